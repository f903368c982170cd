"""Files as other people's programs write them: what the phone gets, under which name, of which type, and its pixels."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.e2e.at_phone import SEND, arrived, refused
from tests.e2e.house import House, Person, a_number
from tests.unit.media.pictures import BLUE, RED, chunk, entry, noise, picture, png_with, tiff, written

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parents[1] / "unit/media/samples"


async def post(sender: Person, content: bytes, name: str | None, content_type: str | None) -> Any:
    file = (name, content, content_type) if content_type else (name, content)
    fields = {"phoneId": f"+{a_number()}", "message": "See"}
    return await sender.http.post(SEND, data=fields, files={"mediaFile": file})


async def got(home: House, sender: Person, answer: Any) -> tuple[dict[str, Any], bytes, str, list[str]]:
    """What a phone got: its file, the bytes of it, its caption, and what the sender was warned of."""
    shown = (await arrived(home, sender, answer))[0]
    assert "error" not in shown["media"]
    return shown["media"], await home.phones.media(shown), shown["text"], answer.json().get("warnings", [])


# --- pictures ---------------------------------------------------------------------------------------------------------

SHORT, LONG, TEXT, NOWHERE = 3, 4, 2, 0xFFFF00
BAD_DATE, BAD_PLACE = entry(0x0132, TEXT, 20, NOWHERE), entry(0x8825, LONG, 1, NOWHERE)
TURNED = entry(0x0112, SHORT, 1, 6)


def exif(*entries: bytes) -> bytes:
    return b"Exif\0\0" + tiff(*entries)


def turned(file_format: str = "JPEG", **options: Any) -> bytes:
    return written(picture().transpose(Image.Transpose.ROTATE_90), file_format, **options)


def deep() -> bytes:
    """A PNG of 16 bits a channel."""
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">3H", *(256 * part for part in picture().getpixel((x, y)))) for x in range(60))  # type: ignore[union-attr]
        for y in range(40)
    )
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 40, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES = {
    "a date beyond the end": written(picture(), exif=exif(BAD_DATE)),
    "EXIF that is none": written(picture(), exif=b"Exif\0\0nonsense"),
    "on its side, with a place nowhere": turned(exif=exif(TURNED, BAD_PLACE)),
    "on its side, with a date nowhere": turned(exif=exif(BAD_DATE, TURNED)),
    "a PNG on its side": turned("PNG", exif=tiff(BAD_DATE, TURNED)),
    "a WebP on its side": turned("WEBP", exif=exif(BAD_DATE, TURNED)),
    "on its side without its end": turned(exif=exif(BAD_PLACE, TURNED))[:-2],
    "without its end": written(picture())[:-2],
    "without half of its end": written(picture())[:-1],
    "progressive without its end": written(picture(), progressive=True)[:-2],
    "a PNG without its end": written(picture(), "PNG")[:-12],
    "a text of 2 MB": png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000)))),
    "an international text of 9 MB": png_with(chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(b" " * 9_000_000))),
    "a profile of 2 MB": png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2_000_000)))),
    "16 bits a channel": deep(),
    "CMYK": written(picture(mode="CMYK")),
    "a BMP": written(picture(), "BMP"),
    "as it should be": written(picture(), "PNG"),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_a_sound_picture_is_seen_the_right_way_up(home: House, india: Person, name: str) -> None:
    answer = await post(india, PICTURES[name], "photo.jpg", "image/jpeg")
    media, content, caption, warnings = await got(home, india, answer)
    assert (caption, warnings, "fileName" in media) == ("See", [], False)
    with Image.open(io.BytesIO(content)) as image:
        assert (media["mimetype"], image.size) == (f"image/{str(image.format).lower()}", (60, 40))
        assert not image.getexif()
        assert image.mode in {"RGB", "L"}
        shown = image.convert("RGB")
    for at, colour in (((10, 10), BLUE), ((50, 10), RED), ((10, 30), RED), ((50, 30), RED)):
        pixel = shown.getpixel(at)
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 40


async def test_a_photo_of_64_megapixels_is_seen_smaller(home: House, india: Person) -> None:
    answer = await post(india, written(Image.new("L", (9248, 6936), 90)), "photo.jpg", None)
    media, content, _, warnings = await got(home, india, answer)
    with Image.open(io.BytesIO(content)) as image:
        assert (media["mimetype"], image.size, warnings) == ("image/jpeg", (4096, 3072), [])


PROGRESSIVE = written(noise(), progressive=True)


@pytest.mark.parametrize(
    "content",
    [written(noise())[:-900], written(noise(), "PNG")[:-60], PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")]],
    ids=["a JPEG", "a PNG", "a progressive JPEG"],
)
async def test_a_picture_that_has_lost_pixels_reaches_nobody(india: Person, content: bytes) -> None:
    assert "damaged" in refused(await post(india, content, "photo.jpg", None), "mediaFile")["message"]


# --- what a file is ---------------------------------------------------------------------------------------------------

OFFICE = "application/vnd.openxmlformats-officedocument."
WORD, EXCEL = OFFICE + "wordprocessingml.document", OFFICE + "spreadsheetml.sheet"
POWERPOINT = OFFICE + "presentationml.presentation"
MACROS = "application/vnd.ms-excel.sheet.macroEnabled"
OPEN_TEXT = "application/vnd.oasis.opendocument.text"


def zipped(**parts: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def package(main: str) -> bytes:
    """As Office writes it."""
    return zipped(**{"[Content_Types].xml": f'<Types><Override ContentType="{main}"/></Types>', "word/a.xml": "<a/>"})


def boxed(brand: bytes) -> bytes:
    """The beginning of a picture as phones of Apple and others write it."""
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\0\0mif1" + brand + bytes(200)


PLAIN = zipped(a="hello")
H264, AAC_ALONE, NO_PICTURE = "H.264 with AAC", "sounds of AAC in MP4", "WhatsApp shows JPEG and PNG images"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
FILES = [
    (package(WORD + ".main+xml"), "blob", WORD, WORD, "blob.docx", ""),
    (package(WORD + ".main+xml"), "blob", None, WORD, "blob.docx", ""),
    (package(WORD + ".main+xml"), "offer.zip", "application/zip", WORD, "offer.zip.docx", ""),
    (package(EXCEL + ".main+xml"), "list.xlsx", "application/octet-stream", EXCEL, "list.xlsx", ""),
    (package(EXCEL + ".main+xml"), "list.xls", "application/vnd.ms-excel", EXCEL, "list.xls.xlsx", ""),
    (package(POWERPOINT + ".main+xml"), "blob", None, POWERPOINT, "blob.pptx", ""),
    (package(MACROS + ".main+xml"), "list.xlsm", None, MACROS + ".12", "list.xlsm", ""),
    (package(MACROS + ".main+xml"), "blob", EXCEL, MACROS + ".12", "blob.xlsm", ""),
    (PLAIN, "list.xlsm", "application/octet-stream", MACROS + ".12", "list.xlsm", ""),
    (PLAIN, "blob", WORD, WORD, "blob.docx", ""),
    (PLAIN, "blob", "application/x-zip-compressed", "application/zip", "blob.zip", ""),
    (PLAIN, "all.zip", None, "application/zip", "all.zip", ""),
    (zipped(mimetype=OPEN_TEXT), "blob", None, OPEN_TEXT, "blob.odt", ""),
    (OLE, "blob", "application/msword", "application/msword", "blob.doc", ""),
    (b"%PDF-1.7\n", "bill.docx", WORD, "application/pdf", "bill.docx.pdf", ""),
    (b"a;b\n", "blob", "text/csv; charset=utf-8", "text/csv", "blob.csv", ""),
    (b"<p>Not found", "photo.png", "image/png", "text/plain", "photo.png", "it is no image"),
    (boxed(b"heic"), "IMG_1.HEIC", "image/heic", "image/heic", "IMG_1.HEIC", NO_PICTURE),
    (boxed(b"heix"), "photo.jpg", "image/jpeg", "image/heic", "photo.jpg.heic", NO_PICTURE),
    (boxed(b"mif1"), "blob", None, "image/heic", "blob.heic", NO_PICTURE),
    (written(picture(), "TIFF"), "scan.tif", None, "image/tiff", "scan.tif", NO_PICTURE),
    (b"OggS\0\2" + bytes(22) + b"\1vorbis", "song.ogg", "audio/ogg", "audio/ogg", "song.ogg", "Ogg Opus audio"),
    *[
        ((SAMPLES / name).read_bytes(), name, None, mimetype, name, because)
        for name, mimetype, because in (
            ("hevc_aac.mp4", "video/mp4", H264),
            ("hevc_hev1.mp4", "video/mp4", H264),
            ("av1.mp4", "video/mp4", H264),
            ("h264_10_bits.mp4", "video/mp4", H264),
            ("h264_mp3.mp4", "video/mp4", H264),
            ("h263_amr.3gp", "video/3gpp", H264),
            ("alac.m4a", "audio/mp4", AAC_ALONE),
            ("opus.mp4", "video/mp4", AAC_ALONE),
        )
    ],
]


@pytest.mark.parametrize(
    ("content", "name", "content_type", "mimetype", "shown_name", "because"), FILES, ids=[str(one[4]) for one in FILES]
)
async def test_a_document_arrives_as_what_it_is(
    home: House,
    india: Person,
    *,
    content: bytes,
    name: str,
    content_type: str | None,
    mimetype: str,
    shown_name: str,
    because: str,
) -> None:
    answer = await post(india, content, name, content_type)
    media, came, caption, warnings = await got(home, india, answer)
    assert (media["mimetype"], media.get("fileName"), caption) == (mimetype, shown_name, "See")
    assert came == content
    assert len(warnings) == bool(because)
    assert all(one.startswith("mediaFile goes as a document: ") and because in one for one in warnings)


@pytest.mark.parametrize(
    ("sample", "mimetype", "caption"),
    [
        ("h264_aac.mp4", "video/mp4", "See"),
        ("h264_fragmented.mp4", "video/mp4", "See"),
        ("h264_aac.3gp", "video/3gpp", "See"),
        ("aac.m4a", "audio/mp4", ""),
    ],
)
async def test_what_phones_play_arrives_to_be_played(
    home: House, india: Person, sample: str, mimetype: str, caption: str
) -> None:
    content = (SAMPLES / sample).read_bytes()
    media, came, said, warnings = await got(home, india, await post(india, content, sample, None))
    assert (media["mimetype"], media.get("fileName"), said, warnings) == (mimetype, None, caption, [])
    assert came == content
