"""PNGs unpacked ahead of Pillow: the same pixels, and no other verdict on what is wrong."""

import io
import zlib

import pytest
from PIL import Image

from chatwren.media.apart_png import png_apart
from chatwren.media.decoder_wire import Job, Other, Picture, unpack
from chatwren.media.pictures import decode
from chatwren.media.unpacked_png import NotUnpackedError, unpacked
from tests.unit.media.pictures import chunk, noise, picture, written
from tests.unit.media.test_sound_pictures import MAGICK_48, MAGICK_INTERLACED

NOISE = noise((300, 200))


def png_of(packed: bytes, image: Image.Image = NOISE, *, piece: int = 1 << 20) -> bytes:
    """A PNG of an image's size with other pixels, in chunks of such a size."""
    pieces = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    head = written(image, "PNG")[:33]
    return head + b"".join(chunk(b"IDAT", one) for one in (b"", *pieces)) + chunk(b"IEND", b"")


def rows(image: Image.Image = NOISE) -> bytes:
    """An image's pixels as a PNG has them before they are packed."""
    width = image.width * 3
    data = image.tobytes()
    return b"".join(b"\0" + data[at : at + width] for at in range(0, len(data), width))


def read(png: bytes, size: int | None = None) -> bytes:
    apart = png_apart(io.BytesIO(png))
    return unpacked(apart.pixels, apart.unpacked if size is None else size).read()


def pixels(png: bytes) -> tuple[str, bytes]:
    with Image.open(io.BytesIO(png)) as image:
        return image.mode, image.tobytes()


@pytest.mark.parametrize(
    "png",
    [
        *(written(picture(mode=mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        written(picture(mode="P"), "PNG", transparency=0),
        written(Image.new("RGB", (2000, 500), "red"), "PNG"),
        written(NOISE, "PNG"),
        png_of(zlib.compress(rows(), 0)),
        png_of(zlib.compress(rows()), piece=1),
        png_of(zlib.compress(rows()), piece=65_536),
        MAGICK_48,
        MAGICK_INTERLACED,
    ],
)
def test_unpacked_a_png_has_the_same_pixels(png: bytes) -> None:
    assert pixels(read(png)) == pixels(png)


@pytest.mark.parametrize(
    "packed",
    [
        zlib.compress(rows()[:-1]),
        zlib.compress(rows())[:-9],
        b"",
        b"no zlib",
        zlib.compress(rows())[:100] + bytes(100),
    ],
    ids=["a byte less", "cut off", "nothing", "something else", "wrong in the middle"],
)
def test_what_cannot_be_unpacked_to_its_end_is_left_to_zlib(packed: bytes) -> None:
    with pytest.raises(NotUnpackedError):
        read(png_of(packed))


@pytest.mark.parametrize(
    ("packed", "sound"),
    [
        (zlib.compress(rows()), True),
        (zlib.compress(rows())[:-4], True),
        (zlib.compress(rows())[:-4] + bytes(4), False),
        (zlib.compress(rows()) + b"more", True),
        (zlib.compress(rows() + bytes(1_000)), True),
        (zlib.compress(rows())[:-900], False),
        (zlib.compress(rows())[:900] + bytes(900), False),
    ],
    ids=["sound", "no check sum", "another check sum", "more behind it", "more rows", "cut off", "wrong in the middle"],
)
def test_the_verdict_is_as_zlibs(packed: bytes, *, sound: bool) -> None:
    png = png_of(packed)
    found = unpack(decode(io.BytesIO(png), Job("picture", "image/png", len(png), 150_000_000, 5))).outcome
    assert isinstance(found, Picture) if sound else found == Other("damaged")


def test_what_comes_after_the_pixels_is_not_unpacked() -> None:
    assert len(read(png_of(zlib.compress(rows() + bytes(100_000_000))))) < 2 * len(rows())


def test_it_is_read_from_anywhere() -> None:
    apart = png_apart(io.BytesIO(written(NOISE, "PNG")))
    file = unpacked(apart.pixels, apart.unpacked)
    whole = file.read()
    for at in (0, 100_000, 33, len(whole)):
        assert file.seek(at) == at
        assert file.read(70_000) == whole[at : at + 70_000]
    with pytest.raises(io.UnsupportedOperation):
        file.seek(0, io.SEEK_END)
