"""What a file is, told by its content, and how WhatsApp shows it.

WhatsApp has four kinds of media. Which formats its apps show or play inside the chat is the list of Meta's Cloud API
(developers.facebook.com/docs/whatsapp/cloud-api/reference/media, "Supported Media Types"): JPEG and PNG; MP4 and 3GP;
AAC, AMR, MP3, M4A and Ogg with Opus. Everything else arrives intact as a document, which the recipient opens.
"""

import codecs
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from chatwren.media.formats import OLE, TAGGED_IMAGES, TEXTS, WINDOWS_MEDIA, ZIPPED, extension_of

MEGABYTE = 1_000_000
HEAD_BYTES = 4096
"""How much of a file's beginning `recognise` wants."""

_MAX_NAME_BYTES = 240  # file systems allow 255; phones add " (1)"
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,10})$")
# Directional formatting can make "annexe.pdf" of "fdp.exe". Joiners, which scripts need, are no such thing.
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_SAME_EXTENSION = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif", "heif": "heic", "hif": "heic",
                   "heics": "heic", "m4v": "mp4", "3gpp": "3gp", "3g2": "3gp", "mpeg": "mpg", "vob": "mpg",
                   "m2ts": "ts", "mts": "ts", "oga": "ogg", "opus": "ogg", "mpga": "mp3", "m4b": "m4a", "m4r": "m4a",
                   "aiff": "aif", "aifc": "aif", "weba": "webm", "mka": "mkv", "htm": "html", "tgz": "gz",
                   "svgz": "gz", "cbr": "rar", "ai": "pdf"}  # fmt: skip
_NO_NAMES = frozenset({"null", "undefined"})  # what programs write for a name that they do not have


class MediaKind(StrEnum):
    """How WhatsApp shows a file."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


MAX_BYTES = {
    MediaKind.IMAGE: 16 * MEGABYTE,
    MediaKind.VIDEO: 16 * MEGABYTE,
    MediaKind.AUDIO: 16 * MEGABYTE,
    MediaKind.DOCUMENT: 100 * MEGABYTE,
}
"""The largest file of each kind that goes out."""

MAX_IMAGE_UPLOAD_BYTES = 25 * MEGABYTE
"""The largest image that is looked into; over `MAX_BYTES` it is scaled."""

MAX_IMAGE_EDGE = 4096
"""Pixels of an image's longer side; a longer one is scaled. WhatsApp's apps scale to less when they send."""

MAX_IMAGE_PIXELS = 200_000_000
"""Pixels of an image that is looked into, whatever the size of its file: phones make up to 16320 x 12240."""

UNKNOWN_TYPE = "application/octet-stream"
"""The type of a document whose content says nothing."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is.

    Attributes:
        kind: how WhatsApp would show it. An image may be of a format that has to be converted first.
        mimetype: by its content; `UNKNOWN_TYPE` where that says nothing.
        extension: usual for that type, without dot; "" for an unknown file without one.
        is_archive: whether it is a ZIP file, so that what it holds tells more (archives.py).
    """

    kind: MediaKind
    mimetype: str
    extension: str
    is_archive: bool = False


_IMAGE, _VIDEO, _AUDIO, _DOCUMENT = MediaKind

# The first that matches the beginning of a file tells what it is. Brands of ISO base media files (`ftyp`): the first is
# the main one; some writers name themselves there and what they follow after it.
_SIGNATURES = [
    (re.compile(pattern, re.DOTALL), Recognised(kind, mimetype, extension))
    for pattern, kind, mimetype, extension in (
        (rb"\xff\xd8\xff", _IMAGE, "image/jpeg", "jpg"),
        (rb"\x89PNG\r\n\x1a\n", _IMAGE, "image/png", "png"),
        (rb"GIF8[79]a", _IMAGE, "image/gif", "gif"),
        (rb"RIFF.{4}WEBP", _IMAGE, "image/webp", "webp"),
        (rb"BM.{8}.{4}[\x0c\x28\x40\x6c\x7c]\0{3}", _IMAGE, "image/bmp", "bmp"),
        (rb".{4}ftyp(?:avi[fs]|m[is]f1.{4,64}?avi[fs])", _IMAGE, "image/avif", "avif"),
        (rb".{4}ftyp(?:hei[cfmsvx]|hev[cmsx]|m[is]f1)", _DOCUMENT, "image/heic", "heic"),
        (rb".{4}ftypcrx ", _DOCUMENT, "image/x-canon-cr3", "cr3"),
        (rb".{4}ftypM4[AB] ", _AUDIO, "audio/mp4", "m4a"),
        (rb".{4}ftyp3g[2gp]", _VIDEO, "video/3gpp", "3gp"),
        (rb".{4}ftypqt  ", _DOCUMENT, "video/quicktime", "mov"),
        (rb".{4}ftyp(?:.{4}){0,16}?(?:iso[2-9m]|mp4[12]|avc1|M4V |dash|mmp4)", _VIDEO, "video/mp4", "mp4"),
        (rb"OggS.{24}OpusHead", _AUDIO, "audio/ogg; codecs=opus", "ogg"),
        (rb"OggS.{24}(?:\x01vorbis|\x7fFLAC|Speex)", _DOCUMENT, "audio/ogg", "ogg"),
        (rb"OggS.{24}(?:\x80theora|fishead)", _DOCUMENT, "video/ogg", "ogv"),
        (rb"OggS", _DOCUMENT, "application/ogg", "ogg"),
        (rb"#!AMR\n", _AUDIO, "audio/amr", "amr"),
        (rb"#!AMR-WB\n", _DOCUMENT, "audio/amr-wb", "awb"),
        (rb"ID3[\x02-\x04]", _AUDIO, "audio/mpeg", "mp3"),
        # Bare MPEG audio has no signature but frames: layer III with a bit rate, and AAC in ADTS.
        (rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", _AUDIO, "audio/mpeg", "mp3"),
        (rb"\xff[\xf0\xf1\xf8\xf9][\x40-\x7f]", _AUDIO, "audio/aac", "aac"),
        (rb"RIFF.{4}WAVE", _DOCUMENT, "audio/wav", "wav"),
        (rb"fLaC", _DOCUMENT, "audio/flac", "flac"),
        (rb"FORM.{4}AIF[FC]", _DOCUMENT, "audio/aiff", "aif"),
        (rb"caff\0\x01", _DOCUMENT, "audio/x-caf", "caf"),
        (rb"FLV\x01", _DOCUMENT, "video/x-flv", "flv"),
        (rb"\0\0\x01\xba", _DOCUMENT, "video/mpeg", "mpg"),
        (rb"\x47.{187}\x47.{187}\x47", _DOCUMENT, "video/mp2t", "ts"),
        (rb"\0\0\0\x0cjP  \r\n\x87\n", _DOCUMENT, "image/jp2", "jp2"),
        (rb"\0\0\0\x0cJXL \r\n\x87\n", _DOCUMENT, "image/jxl", "jxl"),
        (rb"RIFF.{4}AVI ", _DOCUMENT, "video/x-msvideo", "avi"),
        (rb"\x1aE\xdf\xa3.{0,60}?webm", _DOCUMENT, "video/webm", "webm"),
        (rb"\x1aE\xdf\xa3", _DOCUMENT, "video/x-matroska", "mkv"),
        (rb"(?:\xef\xbb\xbf)?\s*%PDF-", _DOCUMENT, "application/pdf", "pdf"),
        (rb"\{\\rtf", _DOCUMENT, "application/rtf", "rtf"),
        (rb"\x1f\x8b\x08", _DOCUMENT, "application/gzip", "gz"),
        (rb"7z\xbc\xaf\x27\x1c", _DOCUMENT, "application/x-7z-compressed", "7z"),
        (rb"Rar!\x1a\x07", _DOCUMENT, "application/vnd.rar", "rar"),
    )
]

_ZIP = "application/zip"
_TEXT = "text/plain"
# What clients may call a text or an archive that is of no format known here.
_FINER = {
    _TEXT: re.compile(r"text/.+|application/(?:.+\+(?:xml|json)|(?:x-)?(?:yaml|sql|javascript))"),
    _ZIP: re.compile(r"(?:application/vnd\.|.+\+zip$).*"),
}
# Containers of many formats; where nothing tells the one, they have the type and extension at the end.
_CONTAINERS = [
    (b"PK\x03\x04", ZIPPED, _ZIP, "zip"),
    (b"PK\x05\x06", ZIPPED, _ZIP, "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE | ZIPPED, UNKNOWN_TYPE, ""),  # a .docx with a password is one
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", WINDOWS_MEDIA, "video/x-ms-asf", "asf"),
    (b"II*\0", TAGGED_IMAGES, "image/tiff", "tif"),
    (b"MM\0*", TAGGED_IMAGES, "image/tiff", "tif"),
]
_TAG = re.compile(rb"ID3[\x02-\x04]..[\x00-\x7f]{4}", re.DOTALL)
_TAGGED = re.compile(
    rb"\xff[\xf0\xf1\xf8\xf9][\x40-\x7f]|fLaC|RIFF.{4}WAVE", re.DOTALL
)  # what has such a tag, beside MP3
_PDF = re.compile(rb".{0,1000}?%PDF-", re.DOTALL)
_MIMETYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def tag_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag with which a sound begins; 0: it has none."""
    if not _TAG.match(head):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + (20 if head[5] & 0x10 else 10)  # with the footer, if there is one


def recognise(
    head: bytes, file_name: str | None, content_type: str | None = None, *, after_tag: bytes = b""
) -> Recognised:
    """What a file is, from its first `HEAD_BYTES` bytes.

    Its name, and then the type that the client gives, have a say only where many formats look the same: a .docx is a
    ZIP file, a .csv is text.

    Args:
        head: the beginning of the file; all of a shorter one.
        file_name: as the client gave it.
        content_type: likewise.
        after_tag: what follows the tag with which `head` begins (`tag_length`): not only MP3 has one.
    """
    if tag_length(head) and _TAGGED.match(after_tag):
        head = after_tag
    for pattern, recognised in _SIGNATURES:
        if pattern.match(head):
            return recognised
    named = _EXTENSION.search((file_name or "").strip())
    extension = named[1].lower() if named else ""
    told = (content_type or "").partition(";")[0].strip().lower()
    if "pdf" in {extension, told.removeprefix("application/")} and _PDF.match(head):
        return Recognised(_DOCUMENT, "application/pdf", "pdf")  # what made it wrote a warning, or an HTTP head, before
    for signature, formats, mimetype, usual in _CONTAINERS:
        if head.startswith(signature):
            return _one_of(formats, extension, told, mimetype, usual)
    if _is_text(head, named_so=extension in TEXTS or bool(extension_of(TEXTS, told))):
        return _one_of(TEXTS, extension, told, _TEXT, "txt")
    if _MIMETYPE.fullmatch(told):
        return Recognised(_DOCUMENT, told, extension or extension_of(ZIPPED | OLE, told))
    return Recognised(_DOCUMENT, UNKNOWN_TYPE, extension)


def _one_of(formats: dict[str, str], extension: str, told: str, mimetype: str, usual: str) -> Recognised:
    """One of formats that look alike: the name's, else the client's; else of this type."""
    by_type = extension_of(formats, told)
    finer = "" if extension and extension == usual else told
    return Recognised(
        kind=_DOCUMENT,
        mimetype=formats.get(extension) or formats.get(by_type) or _other(finer, mimetype),
        extension=extension or by_type or usual,
        is_archive=mimetype == _ZIP,
    )


def _other(told: str, mimetype: str) -> str:
    """The type that the client gives to what is unknown, or a finer one of texts and archives."""
    is_finer = mimetype == UNKNOWN_TYPE or bool(mimetype in _FINER and _FINER[mimetype].fullmatch(told))
    return told if is_finer and _MIMETYPE.fullmatch(told) else mimetype


def safe_file_name(name: str | None, extension: str) -> str:
    """A name under which a recipient can keep the file: no folders, nothing invisible, at most 240 bytes of UTF-8.

    Letters of all scripts stay. `extension` is added unless the name ends in it, or in another spelling of it.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    visible = "".join(" " if char.isspace() else char for char in last if _may_be_in_name(char) or char.isspace())
    plain = re.sub(r" +", " ", unicodedata.normalize("NFC", visible)).strip(" .")
    own = _EXTENSION.search(plain)
    if own and _usual(own[1]) == _usual(extension):
        stem, suffix = plain[: own.start()].rstrip(" ."), own[0]
    else:
        stem, suffix = plain, f".{extension}" if extension else ""
    if stem in _NO_NAMES:
        stem = ""
    room = _MAX_NAME_BYTES - len(suffix.encode())
    return (stem.encode()[:room].decode(errors="ignore").rstrip(" .") or "file") + suffix


def _may_be_in_name(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cs"} and char not in _BIDIRECTIONAL


def _usual(extension: str) -> str:
    return _SAME_EXTENSION.get(extension.lower(), extension.lower())


def _is_text(head: bytes, *, named_so: bool) -> bool:
    """UTF-8 or, with its byte order mark, UTF-16; a file with the name of a text may be of an older encoding."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if not head or _CONTROLS.search(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        return named_so
    return True
