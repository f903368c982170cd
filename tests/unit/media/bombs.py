"""Files made to cost a decoder much: small ones that become large, and ones that never end."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image

MEGABYTE = 1_000_000
SIDE = 7_200  # squared: just within the pixels of an image


def _written(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _jpeg(size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> bytes:
    return _written(Image.new(mode, size, 99), "JPEG", **options)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes, data: bytes = b"", interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, interlaced)
    body = (_chunk(b"IHDR", header), *chunks, _chunk(b"IDAT", data or zlib.compress(b"")), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _riff(content: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(content)) + content


@cache
def large_jpeg() -> bytes:
    return _jpeg((8192, 6144), progressive=True, quality=50, subsampling=2)


def scans(jpeg: bytes, more: int) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    last = jpeg[jpeg.rfind(b"\xff\xda") : -2]
    return jpeg[:-2] + last * more + jpeg[-2:]


def gif_of_43_bytes() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 7000, 7000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, 7000, 7000, 0) + b"\2\3\x4c\1\5\0;"


def gif_of_many_frames() -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * 100_000 + b";"


def webp_canvas(side: int) -> Callable[[], bytes]:
    def make() -> bytes:
        """One colour needs no bits for its pixels, so that another size is a few bits."""
        small = bytearray(_written(Image.new("RGBA", (8, 8), (9, 9, 9, 9)), "WEBP", lossless=True))
        at = small.index(b"VP8L") + 9
        bits = int.from_bytes(small[at : at + 4], "little") >> 28 << 28 | side - 1 << 14 | side - 1
        small[at : at + 4] = bits.to_bytes(4, "little")
        if small[12:16] == b"VP8X":
            small[24:27] = small[27:30] = (side - 1).to_bytes(3, "little")
        return bytes(small)

    return make


def webp_of_many_frames() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    film = _written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    frame = film[film.rindex(b"ANMF") :]
    return _riff(film[8:] + frame * 10_000)


def png_texts() -> bytes:
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(MEGABYTE)))
    return _png(64, 64, *[text] * 1_000, data=zlib.compress(bytes(64 * 9)))


def png_profile() -> bytes:
    profile = _chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50 * MEGABYTE)))
    return _png(64, 64, profile, data=zlib.compress(bytes(64 * 9)))


def jpeg_of_size(jpeg: bytes, width: int, height: int) -> bytes:
    at = max(jpeg.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2"))
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def jpeg_arithmetic() -> bytes:
    return jpeg_of_size(_jpeg(), 7000, 7000).replace(b"\xff\xc0", b"\xff\xc9", 1)


def jpeg_12_bits() -> bytes:
    jpeg = jpeg_of_size(_jpeg(), 7000, 7000)
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 4] + b"\x0c" + jpeg[at + 5 :]


def jpeg_exif() -> bytes:
    """An EXIF directory of 5,000 entries that say that each has 4 GB, and that is its own next one."""
    entry = struct.pack("<HHII", 0x9286, 7, 0xFFFFFFF0, 8)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + entry * 5_000 + struct.pack("<I", 8)
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + _jpeg()[2:]


def jpeg_of_exif() -> bytes:
    """3,900 segments of it, which make 25 MB."""
    segment = b"\xff\xe1\x19\x00Exif\0\0" + bytes(0x1900 - 8)
    return b"\xff\xd8" + segment * 3_900 + _jpeg()[2:]


def png_of_chunks() -> bytes:
    """Its pixels in 90,000 pieces, with a text after each."""
    data = zlib.compress(bytes(64 * 9), 0).ljust(90_000, b"\0")
    pieces = b"".join(_chunk(b"IDAT", data[at : at + 1]) + _chunk(b"tEXt", b"a\0b") for at in range(len(data)))
    return _png(64, 64)[:33] + pieces + _chunk(b"IEND", b"")


def avif_of_size(side: int) -> Callable[[], bytes]:
    def make() -> bytes:
        avif = bytearray(_written(Image.new("RGB", (64, 64)), "AVIF"))
        at = avif.index(b"ispe") + 8
        avif[at : at + 8] = struct.pack(">II", side, side)
        return bytes(avif)

    return make


def bmp_run_lengths() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, 2, 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + 2, 0, 0, 14 + len(head)) + head + b"\0\1"


def tiff() -> bytes:
    entries = ((256, 100_000), (257, 100_000), (258, 1), (259, 5), (273, 8), (278, 100_000), (279, 8))
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + tags + bytes(4)


def icon_in_icon() -> bytes:
    inner = _png(30_000, 30_000)
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inner), 22) + inner


def boxes() -> bytes:
    """A video whose index is nothing but empty tracks, and one of 2^64 bytes."""
    tracks = struct.pack(">I4s", 8, b"trak") * 500_000 + struct.pack(">I4sQ", 1, b"trak", 2**64 - 1)
    return struct.pack(">I4s4s4x", 16, b"ftyp", b"isom") + struct.pack(">I4s", 8 + len(tracks), b"moov") + tracks


BOMBS: dict[str, Callable[[], bytes]] = {
    "a GIF of 43 bytes": gif_of_43_bytes,
    "a GIF of 100,000 frames": gif_of_many_frames,
    "a WebP with alpha within the pixels": webp_canvas(SIDE),
    "a WebP of 16383 x 16383": webp_canvas(16383),
    "a WebP of 3700 x 3700": webp_canvas(3700),
    "a WebP of 10,000 frames": webp_of_many_frames,
    "a JPEG of 3,000 scans": lambda: scans(large_jpeg(), 2_990),
    "a JPEG of 90 scans of 50 megapixels": lambda: scans(large_jpeg(), 80),
    "a JPEG of 28 scans of 50 megapixels": lambda: scans(large_jpeg(), 18),
    "a progressive JPEG of 7200 x 7200": lambda: jpeg_of_size(_jpeg(progressive=True), SIDE, SIDE),
    "a CMYK JPEG of 20,000 x 20,000": lambda: jpeg_of_size(_jpeg(mode="CMYK"), 20_000, 20_000),
    "an arithmetic-coded JPEG": jpeg_arithmetic,
    "a JPEG of 12 bits": jpeg_12_bits,
    "a JPEG with an EXIF directory without end": jpeg_exif,
    "a JPEG of nothing but markers": lambda: b"\xff\xd8" + b"\xff" * 24 * MEGABYTE,
    "a JPEG of nothing but restart markers": lambda: b"\xff\xd8" + b"\xff\xd0" * 12 * MEGABYTE,
    "a JPEG of 25 MB of EXIF": jpeg_of_exif,
    "a JPEG of 196 megapixels without its end": lambda: jpeg_of_size(_jpeg(), 14_000, 14_000)[:-2],
    "a truncated JPEG of 50 megapixels": lambda: large_jpeg()[: len(large_jpeg()) // 2],
    "a PNG of 30,000 x 30,000 in one bit": lambda: _png(30_000, 30_000),
    "a PNG of 7200 x 7200 in one bit": lambda: _png(SIDE, SIDE, data=zlib.compress(bytes((SIDE // 8 + 1) * SIDE))),
    "an interlaced PNG of 7200 x 7200": lambda: _png(
        SIDE, SIDE, data=zlib.compress(bytes((SIDE // 8 + 8) * SIDE * 2)), interlaced=1
    ),
    "a PNG of 14,000 x 14,000 in one bit": lambda: _png(14_000, 14_000, data=zlib.compress(bytes(14_000 * 1_751))),
    "a PNG of 180,000 chunks": png_of_chunks,
    "a PNG of a gigabyte of text": png_texts,
    "a PNG with a profile of 50 MB": png_profile,
    "a BMP of run lengths": bmp_run_lengths,
    "an AVIF that says 20,000 x 20,000": avif_of_size(20_000),
    "an AVIF that says 7,000 x 7,000": avif_of_size(7_000),
    "a TIFF of 100,000 x 100,000": tiff,
    "an icon in an icon": icon_in_icon,
    "a HEIC grid": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x14ispe" + bytes(4) + b"\xff" * 8,
    "an MP4 of 500,000 tracks": boxes,
    "an Ogg of page heads": lambda: b"OggS\0\2" + bytes(22) + b"OpusHead" + b"OggS" * 3 * MEGABYTE,
}
