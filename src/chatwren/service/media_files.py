"""An uploaded file made ready to be sent: recognised, measured, and an image brought within WhatsApp's bounds."""

import asyncio
import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from chatwren.domain import media
from chatwren.domain.clips import read_mp4, read_ogg_opus
from chatwren.domain.errors import Invalid, TooLarge
from chatwren.domain.media import MediaKind

_FIELD = "mediaFile"
_THUMBNAIL_EDGE = 100
_THUMBNAIL_QUALITY = 60
_JPEG_QUALITY = 90
_MIMETYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")

# Converting 52 million pixels took 380 MB of memory, with transparency 580 MB (Pillow 13): not two at once.
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="image")

# Before it decodes, Pillow raises at twice this size. At once it only warns; there we look ourselves.
Image.MAX_IMAGE_PIXELS = media.MAX_IMAGE_PIXELS
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# Of broken EXIF it warns and reads on, without what it skipped. Others may still find that: made an error.
warnings.filterwarnings("error", module=r"PIL\.TiffImagePlugin")

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")
_PASSING_FORMATS = frozenset({"JPEG", "PNG"})
_PASSING_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_CONVERTIBLE_MODES = _PASSING_MODES | {"PA", "RGBX", "CMYK", "YCbCr"}  # not 16 bits a channel: most would be lost
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Places in XMP (exif:GPSLatitude, photoshop:City, Iptc4xmpCore:Location, …), and a photo's mark that a film follows it,
# which has a place of its own.
_XMP_PLACE = re.compile(rb"GPS|Location|City|State|Country|MotionPhoto|MicroVideo")
# IPTC-IIM, record 2: content location, city, sublocation, province, country.
_IPTC_PLACE = frozenset({(2, 26), (2, 27), (2, 90), (2, 92), (2, 95), (2, 100), (2, 101)})


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A file as it will be sent.

    Attributes:
        path: where it lies: where the upload lay. The caller removes it.
        kind: how WhatsApp shows it.
        mimetype: what WhatsApp is told.
        file_name: safe to keep it under; recipients see it with documents.
        size: bytes.
        sha256: hex, of the file as it will be sent.
        received_sha256: hex, of the file as it came: the same request has the same.
        width: pixels, of images and where a video tells it.
        height: likewise.
        seconds: length of a video or sound, where its container tells it.
        thumbnail: a small JPEG of an image.
        warnings: sentences for the user about what he may not expect.
    """

    path: Path
    kind: MediaKind
    mimetype: str
    file_name: str
    size: int
    sha256: str
    received_sha256: str
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    thumbnail: bytes | None = None
    warnings: tuple[str, ...] = ()


async def prepare(path: Path, *, file_name: str | None, content_type: str | None) -> PreparedFile:
    """Make an uploaded file ready to be sent.

    What it is, its content tells. An image passes byte for byte if it is a JPEG or PNG of at most 16 MB and 4,096
    pixels a side, not CMYK, already upright, and says nothing of the place where it was taken. Else it becomes such a
    JPEG, without any metadata but its colour profile, and on white where it was transparent.

    What WhatsApp would not show or play goes unchanged as a document, with a warning: animations (which would stand
    still), HEIC, TIFF, 16-bit images, videos other than MP4 and 3GP or over 16 MB, audio other than MP3, AAC, M4A, AMR
    and Ogg with Opus. Only an image is ever decoded, and one at a time.

    Args:
        path: the upload. A converted image takes its place.
        file_name: as the client gave it.
        content_type: as the client gave it: the type of a document whose content says nothing.

    Raises:
        Invalid: the file is empty, or an image that cannot be decoded.
        TooLarge: over the limit of its kind, or an image of too many pixels.
    """
    received = await asyncio.to_thread(_received, path, file_name, content_type)
    match received.kind:
        case MediaKind.IMAGE:
            return await asyncio.get_running_loop().run_in_executor(_one_at_a_time, _prepare_image, received, file_name)
        case MediaKind.VIDEO | MediaKind.AUDIO:
            return await asyncio.to_thread(_prepare_clip, received, file_name)
        case MediaKind.DOCUMENT:
            return _explained(received)


def _received(path: Path, file_name: str | None, content_type: str | None) -> PreparedFile:
    """The file as it came, within the limits of what is accepted at all."""
    size = path.stat().st_size
    if size == 0:
        raise Invalid(f"{_FIELD} is empty (0 bytes).", field=_FIELD)
    _refuse_larger(size, media.MAX_BYTES[MediaKind.DOCUMENT], "a file")
    with path.open("rb") as file:
        recognised = media.recognise(file.read(media.HEAD_BYTES), file_name)
    if recognised.kind is MediaKind.IMAGE:
        _refuse_larger(size, media.MAX_IMAGE_UPLOAD_BYTES, "an image")
    if recognised.kind is MediaKind.AUDIO:
        _refuse_larger(size, media.MAX_BYTES[MediaKind.AUDIO], "an audio file")
    mimetype = recognised.mimetype
    told = (content_type or "").partition(";")[0].strip().lower()
    if mimetype == media.UNKNOWN_TYPE and _MIMETYPE.fullmatch(told):
        mimetype = told
    sha256 = _sha256(path)
    return PreparedFile(
        path=path,
        kind=recognised.kind,
        mimetype=mimetype,
        file_name=media.safe_file_name(file_name, recognised.extension),
        size=size,
        sha256=sha256,
        received_sha256=sha256,
    )


def _refuse_larger(size: int, limit: int, what: str) -> None:
    if size > limit:
        megabytes = size / media.MEGABYTE
        raise TooLarge(f"{_FIELD} has {megabytes:.1f} MB; {what} may have {limit // media.MEGABYTE} MB at most.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_document(received: PreparedFile, because: str) -> PreparedFile:
    return replace(received, kind=MediaKind.DOCUMENT, warnings=(f"{_FIELD} goes as a document: {because}.",))


def _explained(received: PreparedFile) -> PreparedFile:
    """A document with the reason why, if one might expect to see or hear it in the chat."""
    match received.mimetype.partition("/")[0]:
        case "image":
            return _as_document(received, "WhatsApp shows JPEG and PNG images")
        case "video":
            return _as_document(received, "WhatsApp plays MP4 and 3GP videos")
        case "audio":
            return _as_document(received, "WhatsApp plays MP3, AAC, M4A, AMR and Ogg Opus audio")
        case _:
            return received


def _prepare_clip(received: PreparedFile, given_name: str | None) -> PreparedFile:
    seconds = width = height = None
    kind, mimetype = received.kind, received.mimetype
    with received.path.open("rb") as file:
        if mimetype in {"video/mp4", "video/3gpp", "audio/mp4"}:
            clip = read_mp4(file)
            if clip is None:
                return _as_document(received, "it has no index, as if it were cut off, and cannot be played")
            seconds, width, height = clip.seconds, clip.width, clip.height
            if kind is MediaKind.VIDEO and not clip.has_picture:  # what many phones record speech into
                kind, mimetype = MediaKind.AUDIO, "audio/mp4"
                received = replace(received, file_name=media.safe_file_name(given_name, "m4a"))
        elif mimetype.startswith("audio/ogg"):
            seconds = read_ogg_opus(file).seconds
    if kind is MediaKind.AUDIO:
        _refuse_larger(received.size, media.MAX_BYTES[kind], "an audio file")
    elif received.size > media.MAX_BYTES[kind]:
        limit = media.MAX_BYTES[kind] // media.MEGABYTE
        received = _as_document(received, f"WhatsApp plays videos of up to {limit} MB")
        kind = received.kind
    return replace(received, kind=kind, mimetype=mimetype, seconds=seconds, width=width, height=height)


def _prepare_image(received: PreparedFile, given_name: str | None) -> PreparedFile:
    with ExitStack() as stack:
        with _decoding():
            image = stack.enter_context(Image.open(received.path, formats=_FORMATS))
            if image.width * image.height > media.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            if image.format != "JPEG":
                image.load()  # the metadata of a PNG may follow its pixels
            still = image.format == "MPO" or not getattr(image, "is_animated", False)
            orientation, may_tell_place = _metadata(image)
        if not still:
            return _as_document(received, "it is an animation, which would stand still as an image")
        if image.mode not in _CONVERTIBLE_MODES:
            return _as_document(received, "WhatsApp shows images of 8 bits a channel")
        width, height = image.size
        scale = min(1.0, media.MAX_IMAGE_EDGE / max(width, height))
        passes = (
            image.format in _PASSING_FORMATS
            and image.mode in _PASSING_MODES
            and received.size <= media.MAX_BYTES[MediaKind.IMAGE]
            and scale == 1
            and orientation not in _UPRIGHT
            and not may_tell_place
        )
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        with _decoding():
            # A JPEG can be decoded smaller, but not smaller than this.
            image.draft(None, (_THUMBNAIL_EDGE, _THUMBNAIL_EDGE) if passes else size)
            image.load()
        if passes:
            return replace(received, width=width, height=height, thumbnail=_thumbnail(image))
        colours = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
        upright = _on_white(_scaled(image, size))
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    content = _jpeg(upright, quality=_JPEG_QUALITY, colours=colours)
    with received.path.open("r+b") as file:  # fails if the caller has given up and removed it
        file.write(content)
        file.truncate()
    return replace(
        received,
        mimetype="image/jpeg",
        file_name=media.safe_file_name(given_name, "jpg"),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width=upright.width,
        height=upright.height,
        thumbnail=_thumbnail(upright),
    )


@contextmanager
def _decoding() -> Iterator[None]:
    """Pillow's decoders raise whatever they stumble over; of a broken image the user is told that it is broken."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = media.MAX_IMAGE_PIXELS // 1_000_000
        raise TooLarge(f"{_FIELD} has too many pixels; an image may have {most} million at most.") from error
    except Exception as error:
        raise Invalid(
            f"{_FIELD} looks like an image but cannot be read: it is damaged or cut off.", field=_FIELD
        ) from error


def _metadata(image: ImageFile.ImageFile) -> tuple[int, bool]:
    """The EXIF orientation, and whether the metadata of a JPEG or PNG may say where it was taken."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1), _tells_place(image)
    except Exception:  # noqa: BLE001 - Pillow raises whatever it stumbles over
        return 1, True


def _tells_place(image: ImageFile.ImageFile) -> bool:
    if image.getexif().get_ifd(ExifTags.IFD.GPSInfo):
        return True
    packets = [content for _, content in getattr(image, "applist", []) if content.startswith(b"http://ns.adobe.com/")]
    for name, text in getattr(image, "text", {}).items():
        if name.startswith("Raw profile type"):  # EXIF, IPTC or XMP, packed once more
            return True
        packets.append(text.encode(errors="replace"))
    if any(_XMP_PLACE.search(packet) for packet in packets):
        return True
    return not _IPTC_PLACE.isdisjoint(IptcImagePlugin.getiptcinfo(image) or ())


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.mode in {"1", "P", "PA"}:  # these have no colours between their colours
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _on_white(image: Image.Image) -> Image.Image:
    """The image as RGB. WhatsApp's apps put a transparent one on whatever colour their theme has."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    transparent = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(transparent, mask=transparent.getchannel("A"))
    return white


def _thumbnail(image: Image.Image) -> bytes:
    small = image.convert("RGBA") if image.mode in {"1", "P"} else image.copy()
    small.thumbnail((_THUMBNAIL_EDGE, _THUMBNAIL_EDGE))
    return _jpeg(_on_white(small), quality=_THUMBNAIL_QUALITY)


def _jpeg(image: Image.Image, *, quality: int, colours: bytes | None = None) -> bytes:
    image.info = {}  # a comment in it would be written
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, icc_profile=colours)
    return written.getvalue()
