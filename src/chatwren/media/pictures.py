"""Decodes images: what they are, whether they pass as they are, and the plain JPEG that they become otherwise.

Runs in a process of its own, which may take only so much memory and time: decoder_process.py.
"""

import io
import math
import re
import warnings
from typing import BinaryIO

from PIL import AvifImagePlugin, ExifTags, Image, ImageFile, IptcImagePlugin, PngImagePlugin

from chatwren.media import recognise
from chatwren.media.decoder_wire import Job, Other, Picture, pack
from chatwren.media.images import MAX_SCANNED_PIXELS, MAX_SCANS, jpeg_scans, webp_size
from chatwren.media.recognise import MediaKind

_THUMBNAIL_EDGE = 100
_THUMBNAIL_QUALITY = 60
_JPEG_QUALITY = 90

_MAX_TEXT = 4 * 1024 * 1024  # of a PNG, unpacked; a single chunk may have 1 MB
_HEAD = 64

Image.init()  # loads what it would load when it needs it, which the process may not do
# Before it decodes, Pillow raises at twice this size. At once it only warns; there we look ourselves.
Image.MAX_IMAGE_PIXELS = recognise.MAX_IMAGE_PIXELS
PngImagePlugin.MAX_TEXT_MEMORY = _MAX_TEXT
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the process may start none
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# It warns of broken EXIF and reads on, without what it skipped. Others may still find that: made an error.
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

# Bytes of memory for each pixel while a file is decoded, at most (measured with Pillow 13): WebP's decoder holds three
# images of 4 bytes beside a lossless one, and its copy is in Pillow's; AVIF's took 9 with the usual 4:2:0 of 8 bits.
_DECODING = {"WEBP": 20, "AVIF": 12}
_ONE_BYTE_MODES = frozenset({"1", "L", "P"})
_PIXEL = 4
_COEFFICIENT = 2
_STRIP_PIXELS = 2_000_000
_REACH = 4  # of the filter, in pixels of the result, and one to spare
_WORKING = 40_000_000


def decode(file: BinaryIO, job: Job) -> bytes:
    """The reply to the job of decoding a picture."""
    try:
        return _decoded(file, job)
    except MemoryError:
        return pack(Other("memory"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return pack(Other("pixels"))
    except Exception:  # noqa: BLE001 - Pillow's decoders raise whatever they stumble over
        return pack(Other("damaged"))


def _decoded(file: BinaryIO, job: Job) -> bytes:
    width, height = webp_size(file.read(_HEAD)) if job.mimetype == "image/webp" else (0, 0)
    if width * height > recognise.MAX_IMAGE_PIXELS:
        return pack(Other("pixels"))
    if width * height * _DECODING["WEBP"] + _WORKING > job.memory:  # which opening it would take
        return pack(Other("memory"))
    scans = jpeg_scans(file) if job.mimetype == "image/jpeg" else 1
    if scans == 0:
        return pack(Other("damaged"))
    if scans > MAX_SCANS:
        return pack(Other("scans"))
    file.seek(0)
    with Image.open(file, formats=_FORMATS) as image:
        if image.width * image.height > recognise.MAX_IMAGE_PIXELS:
            return pack(Other("pixels"))
        if scans * image.width * image.height > MAX_SCANNED_PIXELS:
            return pack(Other("scans"))
        return _prepared(image, job, scans)


def _prepared(image: ImageFile.ImageFile, job: Job, scans: int) -> bytes:
    width, height = image.size
    scale = min(1.0, recognise.MAX_IMAGE_EDGE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if image.format != "JPEG":
        if _memory(image) > job.memory:
            return pack(Other("memory"))
        image.load()  # the metadata of a PNG may follow its pixels
    still = image.format == "MPO" or not getattr(image, "is_animated", False)
    orientation, may_tell_place = _metadata(image)
    if not still:
        return pack(Other("animation"))
    if image.mode not in _CONVERTIBLE_MODES:
        return pack(Other("deep"))
    passes = (
        image.format in _PASSING_FORMATS
        and image.mode in _PASSING_MODES
        and job.size <= recognise.MAX_BYTES[MediaKind.IMAGE]
        and scale == 1
        and orientation not in _UPRIGHT
        and not may_tell_place
    )
    beside = _coefficients(image, scans)
    # A JPEG can be decoded smaller, but not smaller than this.
    image.draft(None, (_THUMBNAIL_EDGE, _THUMBNAIL_EDGE) if passes else size)
    if _memory(image, None if passes else size, turned=orientation in _UPRIGHT, beside=beside) > job.memory:
        return pack(Other("memory"))
    image.load()
    if passes:
        thumbnail = _thumbnail(image)
        return pack(Picture(width, height, 0, len(thumbnail)), b"", thumbnail)
    colours = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
    upright = _flat(image, size)
    if upright is not image:
        image.close()  # its memory is needed
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    content, thumbnail = _jpeg(upright, quality=_JPEG_QUALITY, colours=colours), _thumbnail(upright)
    return pack(Picture(upright.width, upright.height, len(content), len(thumbnail)), content, thumbnail)


def _memory(
    image: ImageFile.ImageFile, size: tuple[int, int] | None = None, *, turned: bool = False, beside: int = 0
) -> int:
    """Bytes that it takes at most to decode an image, and then to make a JPEG of this size of it.

    Args:
        image: as it is loaded.
        size: of the JPEG; None: none is made.
        turned: whether it is turned upright.
        beside: what a decoder holds beside the image.
    """
    pixels = image.width * image.height
    loaded = pixels * (1 if image.mode in _ONE_BYTE_MODES else _PIXEL)
    needed = max(loaded + beside, pixels * _DECODING.get(str(image.format), 0)) + _WORKING
    if size is None:
        return needed
    flat = size[0] * size[1] * _PIXEL
    if image.mode == "RGB" and image.size == size:
        return max(needed, loaded + (flat if turned else 0) + _WORKING)
    return max(needed, loaded + flat + _WORKING, (2 * flat if turned else 0) + _WORKING)


def _coefficients(image: ImageFile.ImageFile, scans: int) -> int:
    """Bytes of what a JPEG's decoder holds of the whole picture when that comes in several scans."""
    if scans <= 1:
        return 0
    parts: list[int] = [across * down for _, across, down, _ in getattr(image, "layer", ())]
    return image.width * image.height * sum(parts) * _COEFFICIENT // max(parts, default=1)


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


def _flat(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image as RGB of that size, on white where it is transparent: made in strips, which spares the memory of it.

    WhatsApp's apps put a transparent image on whatever colour their theme has.
    """
    if image.mode == "RGB" and image.size == size and not image.has_transparency_data:
        return image
    flat = Image.new("RGB", size)
    ratio = image.height / size[1]
    rows = max(1, int(_STRIP_PIXELS / (image.width * ratio)))
    for top in range(0, size[1], rows):
        bottom = min(top + rows, size[1])
        first = max(0, math.floor((top - _REACH) * ratio) - _REACH)
        last = min(image.height, math.ceil((bottom + _REACH) * ratio) + _REACH)
        strip = _on_white(image.crop((0, first, image.width, last)))
        box = (0, top * ratio - first, image.width, min(bottom * ratio, image.height) - first)
        flat.paste(strip.resize((size[0], bottom - top), Image.Resampling.LANCZOS, box, reducing_gap=2.0), (0, top))
    return flat


def _on_white(strip: Image.Image) -> Image.Image:
    if not strip.has_transparency_data:
        return strip if strip.mode == "RGB" else strip.convert("RGB")
    transparent = strip.convert("RGBA")
    white = Image.new("RGB", strip.size, "white")
    white.paste(transparent, mask=transparent.getchannel("A"))
    return white


def _thumbnail(image: Image.Image) -> bytes:
    scale = min(1.0, _THUMBNAIL_EDGE / max(image.size))
    small = _flat(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    return _jpeg(small, quality=_THUMBNAIL_QUALITY)


def _jpeg(image: Image.Image, *, quality: int, colours: bytes | None = None) -> bytes:
    image.info = {}  # a comment in it would be written
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, icc_profile=colours)
    return written.getvalue()
