"""Formats that look alike: how a video or sound is coded, what a ZIP file holds, and what the client says of it."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from chatwren.domain.errors import TooLarge
from chatwren.media.recognise import MEGABYTE, MediaKind
from tests.unit.media.conftest import Prepare

SAMPLES = Path(__file__).parent / "samples"
VIDEO, AUDIO, DOCUMENT = MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.DOCUMENT
H264_AND_AAC = "mediaFile goes as a document: WhatsApp plays videos of H.264 with AAC."
AAC_ALONE = "mediaFile goes as a document: WhatsApp plays sounds of AAC in MP4."


@pytest.mark.parametrize(
    ("sample", "kind", "mimetype", "warning"),
    [
        ("h264_aac.mp4", VIDEO, "video/mp4", None),
        ("h264_fragmented.mp4", VIDEO, "video/mp4", None),
        ("h264_aac.3gp", VIDEO, "video/3gpp", None),
        ("aac.m4a", AUDIO, "audio/mp4", None),
        ("hevc_aac.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("hevc_hev1.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("av1.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("vp9.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("mpeg4.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("h263_amr.3gp", DOCUMENT, "video/3gpp", H264_AND_AAC),
        ("h264_10_bits.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("h264_444.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("h264_mp3.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("h264_ac3.mp4", DOCUMENT, "video/mp4", H264_AND_AAC),
        ("alac.m4a", DOCUMENT, "audio/mp4", AAC_ALONE),
        ("mp3.mp4", DOCUMENT, "video/mp4", AAC_ALONE),
        ("opus.mp4", DOCUMENT, "video/mp4", AAC_ALONE),
        ("flac.mp4", DOCUMENT, "video/mp4", AAC_ALONE),
    ],
)
def test_what_whatsapp_does_not_play_goes_as_a_document(
    prepared: Prepare, path: Path, *, sample: str, kind: MediaKind, mimetype: str, warning: str | None
) -> None:
    content = (SAMPLES / sample).read_bytes()
    file = prepared(path, content, name=sample)
    assert (file.kind, file.mimetype, file.file_name) == (kind, mimetype, sample)
    assert file.warnings == ((warning,) if warning else ())
    assert path.read_bytes() == content


def _with_more(sample: str, size: int) -> bytes:
    """A sample of that size: more stands in a box at its end."""
    content = (SAMPLES / sample).read_bytes()
    return content + struct.pack(">I4s", size - len(content), b"free") + bytes(size - len(content) - 8)


def test_a_large_sound_that_is_not_played_goes_as_a_document(prepared: Prepare, path: Path) -> None:
    file = prepared(path, _with_more("alac.m4a", 17 * MEGABYTE), name="alac.m4a")
    assert (file.kind, file.warnings) == (DOCUMENT, (AAC_ALONE,))
    with pytest.raises(TooLarge, match="16 MB at most"):
        prepared(path, _with_more("aac.m4a", 17 * MEGABYTE), name="aac.m4a")


OFFICE = "application/vnd.openxmlformats-officedocument."
WORD, EXCEL = OFFICE + "wordprocessingml.document", OFFICE + "spreadsheetml.sheet"
POWERPOINT = OFFICE + "presentationml.presentation"
WITH_MACROS = "application/vnd.ms-excel.sheet.macroEnabled.12"
OPEN_DOCUMENT = "application/vnd.oasis.opendocument."


def zipped(*parts: tuple[str, str], packed: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return file.getvalue()


def package(main_type: str, *, last: bool = False, quote: str = '"') -> bytes:
    """As Office writes it; LibreOffice has the list of types last."""
    types = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xlsx" ContentType="{EXCEL}"/>'
        f'<Override PartName="/a/b.xml" ContentType="{main_type}"/></Types>'
    ).replace('"', quote)
    parts = [("[Content_Types].xml", types), ("_rels/.rels", "<Relationships/>"), ("a/b.xml", "<a/>")]
    return zipped(*(parts[::-1] if last else parts))


DOCX = package(WORD + ".main+xml")
PLAIN_ZIP = zipped(("a.txt", "hello"))
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("content", "name", "content_type", "mimetype", "stored_name"),
    [
        # What it holds tells, whatever the client says.
        (DOCX, "blob", WORD, WORD, "blob.docx"),
        (DOCX, "blob", None, WORD, "blob.docx"),
        (DOCX, None, "application/octet-stream", WORD, "file.docx"),
        (DOCX, "blob", "application/zip", WORD, "blob.docx"),
        (DOCX, "Rechnung 1.2", None, WORD, "Rechnung 1.2.docx"),
        (DOCX, "Angebot.DOCX", "application/zip", WORD, "Angebot.DOCX"),
        (package(WORD + ".main+xml", last=True), "blob", "", WORD, "blob.docx"),
        (package(EXCEL + ".main+xml"), "blob", None, EXCEL, "blob.xlsx"),
        (package(EXCEL + ".main+xml", quote="'"), "blob", None, EXCEL, "blob.xlsx"),
        (package(POWERPOINT + ".main+xml"), "blob", None, POWERPOINT, "blob.pptx"),
        (package("application/vnd.ms-excel.sheet.macroEnabled.main+xml"), "blob", EXCEL, WITH_MACROS, "blob.xlsm"),
        (package("application/vnd.ms-excel.sheet.macroEnabled.main+xml"), "a.xlsm", None, WITH_MACROS, "a.xlsm"),
        (package("application/vnd.ms-excel.sheet.binary.macroEnabled.main"), "blob", None,
         "application/vnd.ms-excel.sheet.binary.macroEnabled.12", "blob.xlsb"),
        (package("application/vnd.ms-word.document.macroEnabled.main+xml"), "blob", None,
         "application/vnd.ms-word.document.macroEnabled.12", "blob.docm"),
        (package("application/vnd.ms-word.template.macroEnabledTemplate.main+xml"), "blob", None,
         "application/vnd.ms-word.template.macroEnabled.12", "blob.dotm"),
        (package("application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"), "blob", None,
         "application/vnd.ms-powerpoint.presentation.macroEnabled.12", "blob.pptm"),
        (package(OFFICE + "wordprocessingml.template.main+xml"), "blob", None,
         OFFICE + "wordprocessingml.template", "blob.dotx"),
        (zipped(("mimetype", OPEN_DOCUMENT + "text"), packed=False), "blob", None, OPEN_DOCUMENT + "text", "blob.odt"),
        (zipped(("mimetype", OPEN_DOCUMENT + "spreadsheet"), packed=False), "blob", WORD,
         OPEN_DOCUMENT + "spreadsheet", "blob.ods"),
        (zipped(("mimetype", "application/epub+zip\n")), "blob", None, "application/epub+zip", "blob.epub"),
        (zipped(("META-INF/MANIFEST.MF", ""), ("AndroidManifest.xml", "")), "blob", None,
         "application/vnd.android.package-archive", "blob.apk"),
        # Where that tells nothing: the name, then the client.
        (PLAIN_ZIP, "a.zip", None, "application/zip", "a.zip"),
        (PLAIN_ZIP, "blob", None, "application/zip", "blob.zip"),
        (PLAIN_ZIP, "blob", "application/x-zip-compressed", "application/zip", "blob.zip"),
        (PLAIN_ZIP, "a.xlsm", None, WITH_MACROS, "a.xlsm"),
        (PLAIN_ZIP, "a.xlsm", WORD, WITH_MACROS, "a.xlsm"),
        (PLAIN_ZIP, "blob", WITH_MACROS.lower(), WITH_MACROS, "blob.xlsm"),
        (PLAIN_ZIP, "a.jar", None, "application/java-archive", "a.jar"),
        (PLAIN_ZIP, "a.cbz", "application/vnd.comicbook+zip", "application/vnd.comicbook+zip", "a.cbz"),
        (PLAIN_ZIP, "a.zip", "application/vnd.comicbook+zip", "application/zip", "a.zip"),
        (PLAIN_ZIP, "a.xyz", "application/pdf", "application/zip", "a.xyz"),
        (package("application/nonsense+xml"), "blob", None, "application/zip", "blob.zip"),
        (zipped(("mimetype", "text/plain")), "blob", None, "application/zip", "blob.zip"),
        (PLAIN_ZIP[:-10], "a.docx", None, WORD, "a.docx"),
        (b"PK\3\4" + bytes(50), "blob", WORD, WORD, "blob.docx"),
        (OLE, "blob", "application/msword", "application/msword", "blob.doc"),
        (OLE, "blob", "application/vnd.ms-excel; charset=binary", "application/vnd.ms-excel", "blob.xls"),
        (OLE, "a.xls", "application/msword", "application/vnd.ms-excel", "a.xls"),
        (OLE, "with a password.docx", None, WORD, "with a password.docx"),
        (OLE, "blob", WORD, WORD, "blob.docx"),
        (OLE, "blob", None, "application/octet-stream", "blob"),
        (b"a;b\n1;2\n", "blob", "text/csv;charset=utf-8", "text/csv", "blob.csv"),
        (b"a;b\n1;2\n", "list.csv", "text/plain", "text/csv", "list.csv"),
        (b"a;b\n1;2\n", "blob", "application/octet-stream", "text/plain", "blob.txt"),
        ("Straße;1\n".encode("latin-1"), "blob", "text/csv", "text/csv", "blob.csv"),
        (b"BEGIN:VCARD\n", "blob", "text/x-vcard", "text/vcard", "blob.vcf"),
        (b"{}", "blob", "application/json", "application/json", "blob.json"),
        (b"<p>", "blob", "text/html", "text/html", "blob.html"),
        (b"x", "blob", "text/markdown", "text/markdown", "blob.txt"),
        (b"<gpx/>", "way.gpx", "application/gpx+xml", "application/gpx+xml", "way.gpx"),
        (b"x", "a.log", "application/pdf", "text/plain", "a.log"),
        (b"\x1f\x8b\x08" + bytes(9), "a.tgz", "application/gzip", "application/gzip", "a.tgz"),
        (b"x", "blob", "text/\r\nX: y", "text/plain", "blob.txt"),
        (b"%PDF-1.7\n", "blob", WORD, "application/pdf", "blob.pdf"),
    ],
)  # fmt: skip
def test_formats_that_look_alike(
    prepared: Prepare, path: Path, *, content: bytes, name: str | None, content_type: str | None, mimetype: str,
    stored_name: str,
) -> None:  # fmt: skip
    file = prepared(path, content, name=name, content_type=content_type)
    assert (file.kind, file.mimetype, file.file_name) == (DOCUMENT, mimetype, stored_name)
    assert file.warnings == ()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "image"),
        ("Video/mp4", "video"),
        ("audio/ogg; codecs=opus", "audio"),
        ("text/html", None),
        (None, None),
    ],
)
def test_a_page_of_an_error_that_is_called_a_picture_is_told(
    prepared: Prepare, path: Path, content_type: str | None, kind: str | None
) -> None:
    file = prepared(path, b"<!doctype html><p>Not found", name="a.png", content_type=content_type)
    told = f"mediaFile goes as a document: it is no {kind}, although its Content-Type says so."
    assert (file.kind, file.warnings) == (DOCUMENT, (told,) if kind else ())


def test_an_archive_that_costs_much_is_what_its_name_says(prepared: Prepare, path: Path) -> None:
    types = zipped(("[Content_Types].xml", " " * 50_000_000))
    assert prepared(path, types, name="a.docx").mimetype == WORD
    many = zipped(*((f"{number}.txt", "") for number in range(40_000)), ("mimetype", OPEN_DOCUMENT + "text"))
    assert prepared(path, many, name="a.docx").mimetype == WORD
