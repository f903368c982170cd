"""Pictures by which one sees which way up they are, and parts of their files."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

RED, BLUE = (200, 30, 30), (30, 30, 200)


def picture(size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Image.Image:
    """Red, with a blue upper left quarter."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (0, 0, size[0] // 2, size[1] // 2))
    return image.convert(mode)


def noise(size: tuple[int, int] = (60, 40)) -> Image.Image:
    """One that cannot lose a byte without losing pixels."""
    return Image.effect_noise(size, 80).convert("RGB")


def written(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """A PNG with these after its header."""
    png = written(image or picture(), "PNG")
    return png[:33] + b"".join(chunks) + png[33:]


def jpeg_with(kind: int, content: bytes, before: bytes = b"") -> bytes:
    """A JPEG that begins with this segment, which stands before all that one has."""
    jpeg = before or written(picture())
    return jpeg[:2] + bytes((0xFF, kind)) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def tiff(*entries: bytes, order: str = "<", count: int | None = None) -> bytes:
    """EXIF of one directory; `count` is how many entries it says that it has."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(entries) if count is None else count) + b"".join(entries) + bytes(4)


def entry(tag: int, kind: int, count: int, value: int, order: str = "<") -> bytes:
    """Of a directory; a value of two bytes stands at the left of its four."""
    if kind == 3 and count == 1:  # SHORT
        return struct.pack(order + "HHIHH", tag, kind, count, value, 0)
    return struct.pack(order + "HHII", tag, kind, count, value)
