"""Decodes images: what they are, whether they pass as they are, and the plain JPEG that they become otherwise.

Runs in a process of its own, which may take only so much memory and time: decoder_process.py.
"""

import hashlib
import io
import math
import warnings
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin

from chatwren.media import recognise
from chatwren.media.apart import EXIF, MAX_UNPACKED, Apart, is_profile
from chatwren.media.apart_jpeg import MAX_SCANS, jpeg_apart, with_end
from chatwren.media.apart_others import avif_apart, webp_apart
from chatwren.media.apart_png import png_apart
from chatwren.media.decoder_wire import Job, Other, Picture, Why, pack
from chatwren.media.images import MAX_SCANNED_PIXELS, webp_size
from chatwren.media.recognise import MediaKind
from chatwren.media.told import told
from chatwren.media.unpacked_png import NotUnpackedError, unpacked

_THUMBNAIL_EDGE = 100
_THUMBNAIL_QUALITY = 60
_JPEG_QUALITY = 90

_HEAD = 64
_BLOCK = 256 * 1024  # of a file, that Pillow decodes at a time: by its own 64 kB a PNG takes 3 % more
_TAILS = (b"\xa5" * 64, b"")  # whatever stands in the place of bits that are missing

Image.init()  # loads what it would load when it needs it, which the process may not do
# Before it decodes, Pillow raises at twice this size. At once it only warns; there we look ourselves.
Image.MAX_IMAGE_PIXELS = recognise.MAX_IMAGE_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = MAX_UNPACKED  # of a profile; texts it does not see
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the process may start none
warnings.simplefilter("ignore")  # of metadata that it cannot read

_APART = {"image/jpeg": jpeg_apart, "image/png": png_apart, "image/webp": webp_apart, "image/avif": avif_apart}
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
# Bytes of memory for each pixel while a file is decoded, at most (measured with Pillow 13): WebP's decoder holds three
# images of 4 bytes beside a lossless one, and its copy is in Pillow's; AVIF's took 9 with the usual 4:2:0 of 8 bits.
_DECODING = {"WEBP": 20, "AVIF": 12}
_ONE_BYTE_MODES = frozenset({"1", "L", "P"})
_PIXEL = 4
_COEFFICIENT = 2
_STRIP_PIXELS = 2_000_000
_REACH = 4  # of the filter, in pixels of the result, and one to spare
_REDUCING_GAP = 2.0
_WORKING = 40_000_000


def decode(file: BinaryIO, job: Job) -> bytes:
    """The reply to the job of decoding a picture."""
    try:
        try:
            return _decoded(file, job)
        except NotUnpackedError:
            return _decoded(file, job, by_zlib=True)
    except MemoryError:
        return pack(Other("memory"))
    except Image.DecompressionBombError:
        return pack(Other("pixels"))
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever they stumble over
        return pack(Other("unknown" if str(error).startswith("Unsupported BMP") else "damaged"))


def _decoded(file: BinaryIO, job: Job, *, by_zlib: bool = False) -> bytes:
    width, height = webp_size(file.read(_HEAD)) if job.mimetype == "image/webp" else (0, 0)
    if width * height > recognise.MAX_IMAGE_PIXELS:
        return pack(Other("pixels"))
    if width * height * _DECODING["WEBP"] + _WORKING > job.memory:  # which opening it would take
        return pack(Other("memory"))
    apart = _APART.get(job.mimetype, Apart)(file)
    if why := _unfit(apart):
        return pack(Other(why))
    # What is not as its writer left it zlib judges, which knows more faults.
    quick = apart.unpacked and apart.ended and not apart.amiss and not by_zlib
    with _opened(unpacked(apart.pixels, apart.unpacked) if quick else apart.pixels) as image:
        why = _too_much(image, apart)
        if not why and not apart.ended:
            why = _lost(image, apart, job)
        if why:
            return pack(Other(why))
        if apart.ended or image.format == "PNG":
            return _prepared(image, apart, job)
    with _opened(with_end(apart)) as image:
        return _prepared(image, apart, job)


def _opened(file: BinaryIO) -> ImageFile.ImageFile:
    file.seek(0)
    image = Image.open(file, formats=_FORMATS)
    image.decodermaxblock = _BLOCK
    return image


def _unfit(apart: Apart) -> Why | None:
    """Why a file is not to be opened."""
    if apart.scans == 0:
        return "damaged"
    if apart.scans > MAX_SCANS:
        return "scans"
    if not apart.shown:
        return "unknown"
    return "animation" if apart.animated else None


def _too_much(image: ImageFile.ImageFile, apart: Apart) -> Why | None:
    """Why an image is not to be decoded."""
    if image.width * image.height > recognise.MAX_IMAGE_PIXELS:
        return "pixels"
    return "scans" if apart.scans * image.width * image.height > MAX_SCANNED_PIXELS else None


def _lost(image: ImageFile.ImageFile, apart: Apart, job: Job) -> Why | None:
    """What is wrong with a JPEG or PNG that is cut off, unless it has all its pixels.

    A JPEG has them if it makes no difference what stands after its last byte.
    """
    if not apart.complete:
        return "damaged"
    if image.format == "PNG":
        ImageFile.LOAD_TRUNCATED_IMAGES = True  # for the rest of this process
        return None
    if _memory(image, beside=_coefficients(image, apart.scans)) > job.memory:
        return "memory"
    seen = set()
    for tail in _TAILS:
        with _opened(with_end(apart, tail)) as one:
            one.load()
            digest = hashlib.blake2b()
            rows = max(1, _STRIP_PIXELS // one.width)
            for top in range(0, one.height, rows):
                digest.update(one.crop((0, top, one.width, min(one.height, top + rows))).tobytes())
        seen.add(digest.digest())
    return None if len(seen) == 1 else "damaged"


def _prepared(image: ImageFile.ImageFile, apart: Apart, job: Job) -> bytes:
    width, height = image.size
    scale = min(1.0, recognise.MAX_IMAGE_EDGE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if getattr(image, "is_animated", False):
        return pack(Other("animation"))
    if image.mode not in _CONVERTIBLE_MODES:
        return pack(Other("deep"))
    orientation, may_tell_place = _told(image, apart)
    passes = (
        image.format in _PASSING_FORMATS
        and image.mode in _PASSING_MODES
        and job.size <= recognise.MAX_BYTES[MediaKind.IMAGE]
        and scale == 1
        and orientation not in _UPRIGHT
        and apart.ended
        and not (may_tell_place or apart.amiss or apart.deep)
    )
    beside = _coefficients(image, apart.scans)
    # A JPEG can be decoded smaller, but not smaller than this.
    image.draft(None, (_THUMBNAIL_EDGE, _THUMBNAIL_EDGE) if passes else size)
    if _memory(image, None if passes else size, turned=orientation in _UPRIGHT, beside=beside) > job.memory:
        return pack(Other("memory"))
    image.load()
    if passes:
        thumbnail = _thumbnail(image)
        return pack(Picture(width, height, 0, len(thumbnail)), b"", thumbnail)
    colours = _colours(image)
    upright = _flat(image, size)
    if upright is not image:
        image.close()  # its memory is needed
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    content, thumbnail = _jpeg(upright, quality=_JPEG_QUALITY, colours=colours), _thumbnail(upright)
    return pack(Picture(upright.width, upright.height, len(content), len(thumbnail)), content, thumbnail)


def _told(image: ImageFile.ImageFile, apart: Apart) -> tuple[int, bool]:
    """The orientation, and whether the metadata may say where it was taken."""
    return told(apart.exif or image.info.get("exif", b"").removeprefix(EXIF), apart.packets)


def _colours(image: ImageFile.ImageFile) -> bytes | None:
    """The colour profile, if it is one of such colours as a JPEG of it has."""
    profile: bytes = image.info.get("icc_profile") or b""
    if image.mode in {"RGB", "RGBA", "P"} and is_profile(profile) and profile[16:20] == b"RGB ":
        return profile[: int.from_bytes(profile[:4])]
    return None


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
        flat.paste(strip.resize((size[0], bottom - top), Image.Resampling.LANCZOS, box, _REDUCING_GAP), (0, top))
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
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if image.mode == "RGB" and not image.has_transparency_data:  # needs no strips, as it is so small
        small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    else:
        small = _flat(image, size)
    return _jpeg(small, quality=_THUMBNAIL_QUALITY)


def _jpeg(image: Image.Image, *, quality: int, colours: bytes | None = None) -> bytes:
    image.info = {}  # a comment in it would be written
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality, icc_profile=colours)
    return written.getvalue()
