"""How long sounds without a container are, told by their frames."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.media.recognise import MediaKind
from chatwren.media.sounds import read_sound
from tests.unit.media.conftest import Prepare

SAMPLES = Path(__file__).parent / "samples"
MP3 = b"\xff\xfb\x10\xc4" + bytes(100)  # 32 kb/s at 44.1 kHz: 1,152 samples
MP3_LOW = b"\xff\xf3\x48\xc4" + bytes(140)  # MPEG-2, 32 kb/s at 16 kHz: 576 samples
AAC = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)  # 44.1 kHz: 1,024 samples
AMR = b"\x04" + bytes(12)
AMR_BEGIN = b"#!AMR\n"


@pytest.mark.parametrize("name", ["cbr.mp3", "vbr.mp3", "tagged_at_end.mp3", "sound.aac", "tagged.aac", "sound.amr"])
def test_a_sound_of_two_seconds(prepared: Prepare, path: Path, name: str) -> None:
    file = prepared(path, (SAMPLES / name).read_bytes(), name=name)
    mimetype = {"mp3": "audio/mpeg", "aac": "audio/aac", "amr": "audio/amr"}[name.partition(".")[2]]
    assert (file.kind, file.mimetype, file.seconds, file.file_name) == (MediaKind.AUDIO, mimetype, 2, name)


@pytest.mark.parametrize(
    ("content", "mimetype", "seconds"),
    [
        (MP3 * 383, "audio/mpeg", 10),
        (MP3_LOW * 278, "audio/mpeg", 10),
        (b"ID3\3\0\0\0\0\0\x20" + b"\xff\xfb" * 16 + MP3 * 383, "audio/mpeg", 10),
        (MP3 * 383 + b"TAG" + bytes(125), "audio/mpeg", 10),
        (MP3 * 200 + b"\xff\xfb\x10\xc4" + bytes(300) + MP3 * 183, "audio/mpeg", 10),
        (bytes(1000) + MP3 * 383, "audio/mpeg", 10),
        (MP3 * 383 + MP3[:50], "audio/mpeg", 10),
        (MP3, "audio/mpeg", 1),
        (AAC * 431, "audio/aac", 10),
        (AMR_BEGIN + AMR * 500, "audio/amr", 10),
        (b"", "audio/mpeg", None),
        (bytes(100), "audio/mpeg", None),
        (MP3[:100] + bytes(1000), "audio/mpeg", None),
        (MP3 * 10 + bytes(100_000), "audio/mpeg", None),
        (AAC[:6], "audio/aac", None),
        (AMR_BEGIN, "audio/amr", None),
        (AAC * 1_000_001, "audio/aac", None),
    ],
)
def test_frames_are_counted(content: bytes, mimetype: str, seconds: int | None) -> None:
    assert read_sound(io.BytesIO(content), mimetype).seconds == seconds


PIECES = st.sampled_from([MP3, MP3_LOW, AAC, AMR, AMR_BEGIN, b"ID3\4\0\0\0\0\0\x04", b"TAG", b"\xff", b"\xff\xf1"])


@given(
    st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join),
    st.sampled_from(["audio/mpeg", "audio/aac", "audio/amr"]),
)
def test_no_sound_breaks_it(content: bytes, mimetype: str) -> None:
    seconds = read_sound(io.BytesIO(content), mimetype).seconds
    assert seconds is None or seconds > 0


@pytest.mark.parametrize("codec", [b"\1vorbis", b"\x7fFLAC", b"Speex   "])
def test_an_ogg_that_is_not_opus_goes_as_a_document_with_a_warning(prepared: Prepare, path: Path, codec: bytes) -> None:
    file = prepared(path, b"OggS" + bytes(24) + codec, name="a.ogg")
    assert (file.kind, file.file_name) == (MediaKind.DOCUMENT, "a.ogg")
    assert "Ogg Opus" in file.warnings[0]
