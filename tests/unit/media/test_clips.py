import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.media.clips import Clip, read_mp4, read_ogg_opus

UPRIGHT = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
TURNED = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def long_box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body


def mvhd(duration: int, scale: int = 1000, version: int = 0) -> bytes:
    times = struct.pack(">QQIQ" if version else ">IIII", 0, 0, scale, duration)
    return box(b"mvhd", bytes([version, 0, 0, 0]), times, bytes(80))


def track(handler: bytes, width: int = 0, height: int = 0, matrix: tuple[int, ...] = UPRIGHT) -> bytes:
    header = bytes(40) + struct.pack(">9iII", *matrix, width << 16, height << 16)
    return box(b"trak", box(b"tkhd", header), box(b"mdia", box(b"mdhd", bytes(24)), box(b"hdlr", bytes(8), handler)))


FTYP = box(b"ftyp", b"isom", bytes(4))
MDAT = box(b"mdat", bytes(1000))
VIDEO = track(b"vide", 1920, 1080)
SOUND = track(b"soun")


@pytest.mark.parametrize(
    ("file", "clip"),
    [
        (FTYP + box(b"moov", mvhd(12_400), VIDEO, SOUND) + MDAT, Clip(True, 12, 1920, 1080)),
        (FTYP + MDAT + box(b"moov", SOUND, VIDEO, mvhd(12_600)), Clip(True, 13, 1920, 1080)),
        (FTYP + box(b"moov", mvhd(90 * 48_000, 48_000, version=1), VIDEO), Clip(True, 90, 1920, 1080)),
        (FTYP + box(b"moov", mvhd(10), track(b"vide", 1920, 1080, TURNED)), Clip(True, 1, 1080, 1920)),
        (FTYP + long_box(b"mdat", bytes(99)) + box(b"moov", mvhd(5_000), SOUND), Clip(False, 5)),
        (FTYP + box(b"moov", mvhd(0), VIDEO), Clip(True, None, 1920, 1080)),  # fragmented: the length is elsewhere
        (FTYP + box(b"moov", mvhd(0xFFFFFFFF), SOUND), Clip(False, None)),
        (FTYP + box(b"moov", mvhd(5, scale=0), SOUND), Clip(False, None)),
        (FTYP + box(b"moov", mvhd(2**60, version=1), SOUND), Clip(False, None)),
        (FTYP + box(b"moov"), Clip(False, None)),
        (FTYP + MDAT, None),
        (FTYP + MDAT[:500], None),
        (FTYP + MDAT + box(b"moov", mvhd(12_400), VIDEO)[:50], None),
        (FTYP + b"\0\0\0\4moov", None),
        (b"", None),
    ],
)  # fmt: skip
def test_mp4(file: bytes, clip: Clip | None) -> None:
    assert read_mp4(io.BytesIO(file)) == clip


def test_the_last_box_may_leave_its_size_open() -> None:
    moov = box(b"moov", mvhd(3_000), SOUND)
    assert read_mp4(io.BytesIO(FTYP + bytes(4) + moov[4:])) == Clip(has_picture=False, seconds=3)


def test_a_file_of_nothing_but_boxes_is_given_up() -> None:
    class Counted(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return super().read(size)

    file = Counted(FTYP + box(b"free") * 100_000 + box(b"moov", mvhd(5)))
    assert read_mp4(file) is None
    assert file.reads < 10_000


def page(position: int, content: bytes, stream: int = 7) -> bytes:
    return b"OggS\0\0" + struct.pack("<qIII", position, stream, 0, 0) + b"\1" + bytes([len(content)]) + content


OPUS_HEAD = page(0, b"OpusHead\1\1" + struct.pack("<HIHB", 312, 48_000, 0, 0))


@pytest.mark.parametrize(
    ("file", "seconds"),
    [
        (OPUS_HEAD + page(48_000, b"x") + page(312 + 5 * 48_000, b"y"), 5),
        (OPUS_HEAD + bytes(500_000) + page(312 + 100, b"y"), 1),
        (OPUS_HEAD, None),
        (OPUS_HEAD + page(-1, b"y"), None),
        (OPUS_HEAD + page(48_000, b"y", stream=8), None),
        (OPUS_HEAD + page(48_000, b"")[:20], None),
        (OPUS_HEAD + page(2**62, b"y"), None),
        (b"", None),
    ],
)
def test_ogg_opus(file: bytes, seconds: int | None) -> None:
    assert read_ogg_opus(io.BytesIO(file)) == Clip(has_picture=False, seconds=seconds)


PIECES = st.sampled_from(
    [FTYP, MDAT, VIDEO, SOUND, mvhd(5), b"moov", b"trak", bytes(4), b"\0\0\0\1", b"\xff" * 8, OPUS_HEAD, b"OggS"]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join), st.booleans())
def test_no_file_breaks_it(content: bytes, wrapped: bool) -> None:  # noqa: FBT001 - drawn
    file = io.BytesIO(box(b"moov", content) if wrapped else content)
    for clip in (read_mp4(file), read_ogg_opus(file)):
        assert clip is None or clip.seconds is None or clip.seconds > 0
