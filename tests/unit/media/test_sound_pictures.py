"""Pixels decide whether a picture is sound, whatever stands beside them; what can be read there is used."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from chatwren.domain.errors import Invalid
from chatwren.media.prepare import PreparedFile
from chatwren.media.recognise import MAX_IMAGE_UPLOAD_BYTES, MediaKind
from tests.unit.media.conftest import Prepare
from tests.unit.media.pictures import BLUE, RED, chunk, entry, jpeg_with, noise, picture, png_with, tiff, written

ORIENTATION, DATE, GPS = 0x0112, 0x0132, 0x8825
SHORT, LONG, TEXT = 3, 4, 2
NOWHERE = 0xFFFF00
BAD_DATE = entry(DATE, TEXT, 20, NOWHERE)
UPRIGHT = entry(ORIENTATION, SHORT, 1, 1)
TURNED = entry(ORIENTATION, SHORT, 1, 6)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"http://ns.adobe.com/xap/1.0/\0"


def exif(*entries: bytes, **options: Any) -> bytes:
    return b"Exif\0\0" + tiff(*entries, **options)


def with_bad_sum(png: bytes, kind: bytes) -> bytes:
    """The check sum of the first chunk of this kind is wrong."""
    at = png.index(kind)
    at += 4 + struct.unpack(">I", png[at - 4 : at])[0]
    return png[:at] + bytes((png[at] ^ 1,)) + png[at + 1 :]


def packed_text(size: int) -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size)))


def packed_profile(profile: bytes, method: int = 0) -> bytes:
    return chunk(b"iCCP", b"x\0" + bytes((method,)) + zlib.compress(profile))


def riff(*parts: bytes) -> bytes:
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def looks_right(file: PreparedFile) -> bool:
    """Whether it is an image, the right way up."""
    with Image.open(file.path) as image:
        shown = image.convert("RGB")
    points = (((10, 10), BLUE), ((50, 10), RED), ((10, 30), RED), ((50, 30), RED))
    pixels = [(shown.getpixel(at), colour) for at, colour in points]
    return (file.kind, file.width, file.height) == (MediaKind.IMAGE, 60, 40) and all(
        isinstance(is_, tuple) and max(abs(a - b) for a, b in zip(is_, colour, strict=True)) < 40
        for is_, colour in pixels
    )


# A gradient of 12 x 8 as ImageMagick 6.9 writes it: convert -size 12x8 gradient:red-blue -depth 16 -strip PNG48:-
MAGICK_48 = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAwAAAAIEAIAAAASFlXlAAAARElEQVQoz63SAQ0AIBBC0e9mlDOMYc4w2sUy2EVDCAHeYKPciyVFCTEN0Bb0+IfqGZ5GVQltGab1gC0DFBOUBgjAcYEHWHcQAxCS7c8AAAAASUVORK5CYII="
)
# That picture, interlaced: convert picture.png -strip -interlace PNG PNG24:-
MAGICK_INTERLACED = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAADwAAAAoCAIAAAFa3j4+AAAAnUlEQVRYw+2W0Q2AIAwFgUEYyyGdhLH80hBDMS+hpsa7LxPxcS0q5FpbOtnTdl2X"
    "ZGDeyK1W8Ynh5EUIGc9pjO1n6+nLfpbWatcasmD0uMphic4mrlWG6ff7a2lhrfECEccafxCtvaxRrIm+wddINNFRovmpEk10lGhtb5SQNlIJx374"
    "gTTSSAcAaaQnOJ5P/fhkp5FGGukAII30hAOugBXBzH1jzAAAAABJRU5ErkJggg=="
)

SOUND = {
    "a JPEG with a date beyond the end": written(picture(), exif=exif(BAD_DATE)),
    "a JPEG with EXIF that is none": written(picture(), exif=b"Exif\0\0nonsense"),
    "a JPEG with EXIF of no bytes": jpeg_with(0xE1, b"Exif\0\0"),
    "a JPEG with a directory cut off": written(picture(), exif=exif(BAD_DATE, count=40)),
    "a JPEG with a directory nowhere": written(picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\x00"),
    "a JPEG with an entry of no known type": written(picture(), exif=exif(entry(DATE, 99, 20, 8))),
    "a JPEG with EXIF twice": jpeg_with(0xE1, b"Exif\0\0", before=jpeg_with(0xE1, exif(BAD_DATE))),
    "a JPEG with a profile that is none": written(picture(), icc_profile=b"no profile"),
    "a JPEG with a profile cut off": written(picture(), icc_profile=PROFILE[:200]),
    "a JPEG with a short JFIF": jpeg_with(0xE0, b"JFIF\0\1"),
    "a JPEG with a short Adobe": jpeg_with(0xEE, b"Adobe\0"),
    "a JPEG with broken Photoshop resources": jpeg_with(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\xff\xff\xff\xff"),
    "a JPEG with XMP that is none": jpeg_with(0xE1, XMP + b"<x:xmpmeta"),
    "a JPEG with a list of pictures that is none": jpeg_with(0xE2, b"MPF\0nonsense"),
    "a JPEG without its end": written(picture())[:-2],
    "a JPEG without half of its end": written(picture())[:-1],
    "a progressive JPEG without its end": written(picture(), progressive=True)[:-2],
    "a JPEG with more after its end": written(picture()) + bytes(100),
    "a JPEG with a comment between its tables": jpeg_with(0xFE, b"\xff\xd9\xff\xda"),
    "a PNG with a text of 2 MB": png_with(packed_text(2_000_000)),
    "a PNG with a text of 9 MB": png_with(packed_text(9_000_000)),
    "a PNG with texts of 9 MB in all": png_with(*[packed_text(900_000)] * 10),
    "a PNG with a text cut off": png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(900))[:-6])),
    "a PNG with a text without a keyword's end": png_with(chunk(b"iTXt", b"XML")),
    "a PNG with a profile of 2 MB": png_with(packed_profile(PROFILE + bytes(2_000_000))),
    "a PNG with 2 MB that are no profile": png_with(packed_profile(bytes(2_000_000))),
    "a PNG with a profile that is none": png_with(packed_profile(b"no profile")),
    "a PNG with a profile packed in no known way": png_with(packed_profile(PROFILE, method=7)),
    "a PNG with a profile that is not packed": png_with(chunk(b"iCCP", b"x\0\0" + PROFILE)),
    "a PNG with broken EXIF": png_with(chunk(b"eXIf", b"nonsense")),
    "a PNG with resolutions cut off": png_with(chunk(b"pHYs", b"\0")),
    "a PNG with a clear colour of another kind": png_with(chunk(b"tRNS", bytes(4))),
    "a PNG with a wrong check sum of a text": png_with(chunk(b"tEXt", b"a\0b")[:-1] + b"x"),
    "a PNG with a wrong check sum of its pixels": with_bad_sum(written(picture(), "PNG"), b"IDAT"),
    "a PNG with a wrong check sum of its head": with_bad_sum(written(picture(), "PNG"), b"IHDR"),
    "a PNG with a wrong check sum of its colours": with_bad_sum(written(picture(mode="P"), "PNG"), b"PLTE"),
    "a PNG with a chunk that nobody knows": png_with(chunk(b"ABCD", b"?")),
    "a PNG without its end": written(picture(), "PNG")[:-12],
    "a PNG without its end and last check sums": written(picture(), "PNG")[:-20],
    "an interlaced PNG without its end": MAGICK_INTERLACED[:-12],
    "a WebP with broken EXIF": written(picture(), "WEBP", exif=b"Exif\0\0nonsense"),
    "a WebP that is cut off in its EXIF": written(picture(), "WEBP", exif=exif(BAD_DATE))[:-10],
    "a WebP with a profile that is none": written(picture(), "WEBP", icc_profile=b"no profile"),
    "an AVIF with broken EXIF": written(picture(), "AVIF", exif=exif(UPRIGHT)).replace(b"II*\0", b"????"),
    "a GIF without its end": written(picture(), "GIF")[:-1],
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_what_is_wrong_beside_the_pixels_takes_nothing_from_them(prepared: Prepare, path: Path, name: str) -> None:
    file = prepared(path, SOUND[name])
    assert looks_right(file)
    assert file.warnings == ()
    with Image.open(file.path) as image:
        image.getexif()  # nobody stumbles over what goes out


def turned(file_format: str = "JPEG", **options: Any) -> bytes:
    """Lying on its side, as a camera writes it."""
    return written(picture().transpose(Image.Transpose.ROTATE_90), file_format, **options)


ON_ITS_SIDE = {
    "a place nowhere": turned(exif=exif(TURNED, entry(GPS, LONG, 1, NOWHERE))),
    "a place nowhere before it": turned(exif=exif(entry(GPS, LONG, 1, NOWHERE), TURNED)),
    "a date beyond the end": turned(exif=exif(BAD_DATE, TURNED)),
    "a directory that is longer than told": turned(exif=exif(TURNED, count=9_000)),
    "an entry of no known type": turned(exif=exif(entry(0x010F, 99, 4, 0), TURNED)),
    "an entry of 4 GB": turned(exif=exif(entry(0x010F, TEXT, 0xFFFFFFF0, 8), TURNED)),
    "big-endian numbers": turned(
        exif=exif(entry(DATE, TEXT, 20, NOWHERE, ">"), entry(ORIENTATION, SHORT, 1, 6, ">"), order=">")
    ),
    "a long number": turned(exif=exif(entry(ORIENTATION, LONG, 1, 6))),
    "nonsense first": turned(exif=exif(entry(ORIENTATION, SHORT, 1, 6), entry(ORIENTATION, SHORT, 1, 77))),
    "no end": turned(exif=exif(BAD_DATE, TURNED))[:-2],
    "a PNG": turned("PNG", exif=tiff(BAD_DATE, TURNED)),
    "a PNG as ImageMagick wrote them": turned("PNG")[:33]
    + chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      40\n" + exif(BAD_DATE, TURNED).hex().encode() + b"\n")
    + turned("PNG")[33:],
    "a WebP": turned("WEBP", exif=exif(BAD_DATE, TURNED)),
    "XMP alone": turned(xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_ITS_SIDE)
def test_it_is_turned_upright_whatever_else_cannot_be_read(prepared: Prepare, path: Path, name: str) -> None:
    file = prepared(path, ON_ITS_SIDE[name])
    assert looks_right(file)
    assert file.warnings == ()
    with Image.open(file.path) as image:
        assert not image.getexif()


def test_a_second_exif_that_tells_the_place_does_not_pass(prepared: Prepare, path: Path) -> None:
    place = exif(entry(GPS, LONG, 1, 26)) + struct.pack("<H", 1) + entry(1, TEXT, 2, ord("N")) + bytes(4)
    content = jpeg_with(0xE1, exif(UPRIGHT), before=jpeg_with(0xE1, place))
    file = prepared(path, content)
    assert looks_right(file)
    assert b"Exif" not in path.read_bytes()


@pytest.mark.parametrize("content", [MAGICK_48, png_with()], ids=["48 bits", "24 bits"])
def test_a_png_of_16_bits_is_made_one_of_8(prepared: Prepare, path: Path, content: bytes) -> None:
    file = prepared(path, content)
    assert (file.kind, file.warnings) == (MediaKind.IMAGE, ())
    assert (path.read_bytes() == content) == (content != MAGICK_48)
    if content == MAGICK_48:
        with Image.open(path) as image:
            above, below = image.getpixel((6, 0)), image.getpixel((6, 7))
        assert isinstance(above, tuple)
        assert isinstance(below, tuple)
        assert above[0] - above[2] > 150
        assert below[2] - below[0] > 150


PROGRESSIVE = written(noise(), progressive=True)
LOST = {
    "a JPEG cut in the middle": written(noise())[:-900],
    "a JPEG that lacks a few bytes of its pixels": written(noise())[:-12],
    "a JPEG of a third of its scans": written(noise(), exif=exif(BAD_DATE))[:700],
    "a progressive JPEG without its last scan": PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")],
    "a progressive JPEG without its last scan and the table of it": PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xc4")],
    "a JPEG of its head alone": PROGRESSIVE[: PROGRESSIVE.index(b"\xff\xda")],
    "a PNG cut in the middle": written(noise(), "PNG")[:-900],
    "a PNG that lacks its last row": written(noise(), "PNG")[:-60],
    "a PNG of its head alone": written(noise(), "PNG")[:33],
    "a PNG of nothing but metadata": written(picture(), "PNG")[:33] + packed_text(100) + chunk(b"IEND", b""),
    "a GIF cut in the middle": written(noise(), "GIF")[:-900],
    "a WebP cut in its pixels": written(noise(), "WEBP")[:-20],
    "a WebP of its metadata": riff(b"EXIF" + struct.pack("<I", 4) + b"II*\0"),
    "a BMP that lacks its last byte": written(noise(), "BMP")[:-1],
    "an AVIF cut in the middle": written(noise(), "AVIF")[:-900],
}


@pytest.mark.parametrize("name", LOST)
def test_lost_pixels_are_damage(prepared: Prepare, path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="damaged or cut off"):
        prepared(path, LOST[name])
    assert path.read_bytes() == LOST[name]


def jpeg_of_precision(bits: int) -> bytes:
    jpeg = written(picture())
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 4] + bytes((bits,)) + jpeg[at + 5 :]


def png_of_size(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


AS_DOCUMENT = {
    "a JPEG of 12 bits": (jpeg_of_precision(12), "coded in a way"),
    "an arithmetic-coded JPEG": (written(picture()).replace(b"\xff\xc0", b"\xff\xc9", 1), "coded in a way"),
    "a lossless JPEG": (written(picture()).replace(b"\xff\xc0", b"\xff\xc3", 1), "coded in a way"),
    "a PNG as Apple packs it into apps": (png_with()[:8] + chunk(b"CgBI", bytes(4)) + png_with()[8:], "coded in a way"),
    "a BMP with a JPEG in it": (
        written(picture(), "BMP")[:30] + struct.pack("<I", 4) + written(picture(), "BMP")[34:], "coded in a way"
    ),
    "a PNG of 900 megapixels": (png_of_size(30_000, 30_000), "200 million pixels"),
    "a PNG of a gigapixel": (png_of_size(1_000_000, 1_000), "200 million pixels"),
    "a JPEG of 200 scans": (
        PROGRESSIVE[:-2] + PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2] * 200 + b"\xff\xd9", "too many scans"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_DOCUMENT)
def test_what_cannot_be_made_an_image_goes_as_it_is(prepared: Prepare, path: Path, name: str) -> None:
    content, because = AS_DOCUMENT[name]
    file = prepared(path, content)
    assert (file.kind, file.size) == (MediaKind.DOCUMENT, len(content))
    assert path.read_bytes() == content
    [warning] = file.warnings
    assert warning.startswith("mediaFile goes as a document: ")
    assert because in warning


@pytest.mark.parametrize("size", [MAX_IMAGE_UPLOAD_BYTES, MAX_IMAGE_UPLOAD_BYTES + 1])
def test_a_large_file_of_an_image_goes_as_it_is(prepared: Prepare, path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(written(picture()))
        file.truncate(size)
    ready = prepared(path)
    if size > MAX_IMAGE_UPLOAD_BYTES:
        assert (ready.kind, ready.size) == (MediaKind.DOCUMENT, size)
        assert ready.warnings == ("mediaFile goes as a document: an image may have 25 MB at most.",)
    else:
        assert looks_right(ready)


@pytest.mark.parametrize("size", [(9248, 6936), (12_000, 9_000)], ids=["64 megapixels", "108 megapixels"])
def test_a_photo_of_a_large_camera_is_made_smaller(prepared: Prepare, path: Path, size: tuple[int, int]) -> None:
    file = prepared(path, written(Image.new("L", size, 90)))
    assert (file.kind, file.width, file.height, file.warnings) == (MediaKind.IMAGE, 4096, 3072, ())


HIDDEN = b"ftypmp42 a film of where it was taken"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("before", [b"", bytes(70_000), b"\r\nMotionPhoto_Data"])
def test_what_stands_after_a_picture_is_left_out(
    prepared: Prepare, path: Path, file_format: str, before: bytes
) -> None:
    file = prepared(path, written(picture(), file_format) + before + HIDDEN)
    assert looks_right(file)
    assert HIDDEN not in path.read_bytes()
    assert file.warnings == ()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("padding", [b"\0" * 100, b"\r\n", b"\xff\xff"])
def test_padding_after_a_picture_is_its_own(prepared: Prepare, path: Path, file_format: str, padding: bytes) -> None:
    content = written(picture(), file_format) + padding
    assert looks_right(prepared(path, content))
    assert path.read_bytes() == content
