import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.media.recognise import HEAD_BYTES, MediaKind, recognise, safe_file_name, tag_length

IMAGE, VIDEO, AUDIO, DOCUMENT = MediaKind
WINDOWS_MEDIA = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
UNKNOWN = "application/octet-stream"


def ftyp(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (len(body) + 4).to_bytes(4) + body + bytes(64)


@pytest.mark.parametrize(
    ("head", "name", "kind", "mimetype", "extension"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a.png", IMAGE, "image/jpeg", "jpg"),
        (b"\x89PNG\r\n\x1a\n", None, IMAGE, "image/png", "png"),
        (b"GIF89a", None, IMAGE, "image/gif", "gif"),
        (b"RIFF\1\2\3\nWEBPVP8 ", None, IMAGE, "image/webp", "webp"),
        (b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0", None, IMAGE, "image/bmp", "bmp"),
        (ftyp(b"avif", b"mif1"), None, IMAGE, "image/avif", "avif"),
        (ftyp(b"mif1", b"avif", b"miaf"), None, IMAGE, "image/avif", "avif"),
        (ftyp(b"heic", b"mif1"), "IMG_1.HEIC", DOCUMENT, "image/heic", "heic"),
        (ftyp(b"mif1", b"heic"), None, DOCUMENT, "image/heic", "heic"),
        (ftyp(b"isom", b"iso2", b"mp41"), "a.txt", VIDEO, "video/mp4", "mp4"),
        (ftyp(b"XAVC", b"XAVC", b"mp42"), None, VIDEO, "video/mp4", "mp4"),
        (ftyp(b"3gp5", b"isom"), None, VIDEO, "video/3gpp", "3gp"),
        (ftyp(b"M4A ", b"isom"), None, AUDIO, "audio/mp4", "m4a"),
        (ftyp(b"qt  "), "a.mp4", DOCUMENT, "video/quicktime", "mov"),
        (ftyp(b"crx ", b"isom"), "IMG.CR3", DOCUMENT, "image/x-canon-cr3", "cr3"),
        (ftyp(b"abcd"), "a.mp4", DOCUMENT, UNKNOWN, "mp4"),
        (b"OggS" + bytes(24) + b"OpusHead", "a.opus", AUDIO, "audio/ogg; codecs=opus", "ogg"),
        (b"OggS" + bytes(24) + b"\1vorbis", None, DOCUMENT, "audio/ogg", "ogg"),
        (b"OggS" + bytes(24) + b"\x7fFLAC", None, DOCUMENT, "audio/ogg", "ogg"),
        (b"OggS" + bytes(24) + b"\x80theora", None, DOCUMENT, "video/ogg", "ogv"),
        (b"OggS" + bytes(24) + b"CELT", None, DOCUMENT, "application/ogg", "ogg"),
        (b"ID3\4\0", None, AUDIO, "audio/mpeg", "mp3"),
        (b"\xff\xfb\x90\x64", None, AUDIO, "audio/mpeg", "mp3"),
        (b"\xff\xf1\x50\x80", None, AUDIO, "audio/aac", "aac"),
        (b"#!AMR\n", None, AUDIO, "audio/amr", "amr"),
        (b"#!AMR-WB\n", "a.amr", DOCUMENT, "audio/amr-wb", "awb"),
        (b"FORM\1\2\3\4AIFC", None, DOCUMENT, "audio/aiff", "aif"),
        (b"caff\0\1\0\0", None, DOCUMENT, "audio/x-caf", "caf"),
        (b"FLV\1\5", None, DOCUMENT, "video/x-flv", "flv"),
        (b"\0\0\1\xba", "a.VOB", DOCUMENT, "video/mpeg", "mpg"),
        ((b"\x47" + bytes(187)) * 3, None, DOCUMENT, "video/mp2t", "ts"),
        (WINDOWS_MEDIA, "a.wma", DOCUMENT, "audio/x-ms-wma", "wma"),
        (WINDOWS_MEDIA, "a.wmv", DOCUMENT, "video/x-ms-wmv", "wmv"),
        (WINDOWS_MEDIA, None, DOCUMENT, "video/x-ms-asf", "asf"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", None, DOCUMENT, "image/jp2", "jp2"),
        (b"\n\nWarning: foo()\n%PDF-1.4\n", "invoice.pdf", DOCUMENT, "application/pdf", "pdf"),
        (b"We write %PDF-1.4 files", "about.txt", DOCUMENT, "text/plain", "txt"),
        (b"We write %PDF-1.4 files", None, DOCUMENT, "text/plain", "txt"),
        (b"RIFF\1\2\3\4WAVEfmt ", None, DOCUMENT, "audio/wav", "wav"),
        (b"fLaC", None, DOCUMENT, "audio/flac", "flac"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", None, DOCUMENT, "video/webm", "webm"),
        (b"\x1aE\xdf\xa3\x9fB\x82\x88matroska", None, DOCUMENT, "video/x-matroska", "mkv"),
        (b"%PDF-1.7\n", "invoice", DOCUMENT, "application/pdf", "pdf"),
        (b"%PDF-1.7\n", "invoice.jpg", DOCUMENT, "application/pdf", "pdf"),
        (b"PK\3\4....", "a.docx", DOCUMENT, WORD, "docx"),
        (b"PK\3\4....", "a.zip", DOCUMENT, "application/zip", "zip"),
        (b"PK\3\4....", "a.exe", DOCUMENT, "application/zip", "exe"),
        (b"PK\3\4....", None, DOCUMENT, "application/zip", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.XLS", DOCUMENT, "application/vnd.ms-excel", "xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None, DOCUMENT, UNKNOWN, ""),
        (b"II*\0", "scan.TIFF", DOCUMENT, "image/tiff", "tiff"),
        (b"MM\0*", "raw.nef", DOCUMENT, "image/x-nikon-nef", "nef"),
        (b"Hello!\n", None, DOCUMENT, "text/plain", "txt"),
        (b"BMW offers you a new car, do come in", None, DOCUMENT, "text/plain", "txt"),
        ("Grüße, नमस्ते".encode(), "brief.md", DOCUMENT, "text/plain", "md"),
        (b"a;b\n1;2\n", "a.csv", DOCUMENT, "text/csv", "csv"),
        ("Stra\u00dfe;1\n".encode("latin-1"), "a.csv", DOCUMENT, "text/csv", "csv"),
        ("Stra\u00dfe;1\n".encode("latin-1"), "a.dat", DOCUMENT, UNKNOWN, "dat"),
        ("a,b\n".encode("utf-16"), "a.csv", DOCUMENT, "text/csv", "csv"),
        (("x" * (HEAD_BYTES - 1) + "é").encode()[:HEAD_BYTES], None, DOCUMENT, "text/plain", "txt"),
        (b"<svg/>", "a.svg", DOCUMENT, "image/svg+xml", "svg"),
        (b"\0\1\2\3", "a.jpg", DOCUMENT, UNKNOWN, "jpg"),
        (b"\0\1\2\3", "noname", DOCUMENT, UNKNOWN, ""),
        (b"\0\1\2\3", None, DOCUMENT, UNKNOWN, ""),
        (b"", "a.txt", DOCUMENT, UNKNOWN, "txt"),
    ],
)
def test_content_tells(head: bytes, name: str | None, kind: MediaKind, mimetype: str, extension: str) -> None:
    recognised = recognise(head, name)
    assert (recognised.kind, recognised.mimetype, recognised.extension) == (kind, mimetype, extension)


@pytest.mark.parametrize(
    ("name", "extension", "safe"),
    [
        ("invoice.pdf", "pdf", "invoice.pdf"),
        ("Rechnung für März.PDF", "pdf", "Rechnung für März.PDF"),
        ("चालान.pdf", "pdf", "चालान.pdf"),
        ("क्‍ष.pdf", "pdf", "क्‍ष.pdf"),
        ("👨‍👩‍👧.png", "png", "👨‍👩‍👧.png"),
        ("photo.jpeg", "jpg", "photo.jpeg"),
        ("sticker.webp", "jpg", "sticker.webp.jpg"),
        ("v1.2 notes", "txt", "v1.2 notes.txt"),
        ("../../etc/passwd", "txt", "passwd.txt"),
        ("C:\\fakepath\\a.pdf", "pdf", "a.pdf"),
        ("..\\..\\a.pdf", "pdf", "a.pdf"),
        ("/", "pdf", "file.pdf"),
        ("..", "pdf", "file.pdf"),
        (".pdf", "pdf", "pdf.pdf"),
        (".htaccess", "", "htaccess"),
        ("undefined", "pdf", "file.pdf"),
        ("null.pdf", "pdf", "file.pdf"),
        ("Null Island.pdf", "pdf", "Null Island.pdf"),
        ("backup.tgz", "gz", "backup.tgz"),
        ("book.m4b", "m4a", "book.m4b"),
        ("clip.3g2", "3gp", "clip.3g2"),
        ("logo.ai", "pdf", "logo.ai"),
        ("", "pdf", "file.pdf"),
        (None, "", "file"),
        ("a\0b\r\nc.pdf", "pdf", "ab c.pdf"),
        ("annex\u202efdp.exe", "exe", "annexfdp.exe"),
        ("\u2066a\u2069\ufeff.pdf", "pdf", "a.pdf"),
        ("  a \u00a0 b .pdf ", "pdf", "a b.pdf"),
        ("a\ud800.pdf", "pdf", "a.pdf"),
        ("e\u0301.pdf", "pdf", "é.pdf"),
        ("x" * 300 + ".pdf", "pdf", "x" * 236 + ".pdf"),
        ("é" * 300 + ".pdf", "pdf", "é" * 118 + ".pdf"),
    ],
)
def test_a_name_to_keep(name: str | None, extension: str, safe: str) -> None:
    assert safe_file_name(name, extension) == safe


@given(st.none() | st.text(st.characters()), st.sampled_from(["", "pdf", "jpg", "tiff"]))
def test_every_name_is_safe(name: str | None, extension: str) -> None:
    safe = safe_file_name(name, extension)
    assert 0 < len(safe.encode()) <= 240
    assert safe == safe.strip()
    assert not set(safe) & set("/\\\0\r\n\u202e")
    assert safe not in {".", ".."}
    assert safe_file_name(safe, extension) == safe


HEADS = [head for mark in test_content_tells.pytestmark for head, *_ in mark.args[1]]  # type: ignore[attr-defined]


@given(
    st.binary(max_size=64)
    | st.sampled_from(HEADS).flatmap(lambda head: st.binary(max_size=64).map(lambda b: head + b)),
    st.none() | st.text(st.characters()),
)
def test_any_bytes_are_something(head: bytes, name: str | None) -> None:
    recognised = recognise(head, name)
    assert recognised.kind in MediaKind
    assert "/" in recognised.mimetype
    assert safe_file_name(name, recognised.extension)


def test_noise_is_hardly_ever_taken_for_something_else() -> None:
    noise = random.Random(7)  # noqa: S311 - repeatable noise
    kinds = [recognise(noise.randbytes(512), None).kind for _ in range(5_000)]
    assert kinds.count(DOCUMENT) > 4_990


@pytest.mark.parametrize(
    ("after_tag", "kind", "mimetype", "extension"),
    [
        (b"\xff\xf1\x50\x80", AUDIO, "audio/aac", "aac"),
        (b"fLaC", DOCUMENT, "audio/flac", "flac"),
        (b"\xff\xfb\x90\x64", AUDIO, "audio/mpeg", "mp3"),
        (b"%PDF-1.4", AUDIO, "audio/mpeg", "mp3"),
        (b"", AUDIO, "audio/mpeg", "mp3"),
    ],
)
def test_what_follows_a_tag_tells(after_tag: bytes, kind: MediaKind, mimetype: str, extension: str) -> None:
    head = b"ID3\4\0\0\0\0\2\1"
    assert tag_length(head) == 10 + 2 * 128 + 1
    assert tag_length(b"ID3\4\0\x10\0\0\2\1") == 20 + 2 * 128 + 1
    recognised = recognise(head, "a.mp3", "audio/mpeg", after_tag=after_tag)
    assert (recognised.kind, recognised.mimetype, recognised.extension) == (kind, mimetype, extension)


@pytest.mark.parametrize("head", [b"ID3", b"ID3\4\0\0\xff\0\0\0", b"TAG", b"ID3\x09\0\0\0\0\2\1"])
def test_what_is_no_tag_has_no_length(head: bytes) -> None:
    assert tag_length(head) == 0
