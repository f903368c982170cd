"""What an image costs to decode, told by its structure before anything is decoded.

Source: RFC 9649 (WebP's chunks).
"""

MAX_SCANNED_PIXELS = 1_500_000_000
"""Scans of a JPEG, times its pixels: 28 scans of 52 megapixels."""

_WEBP_HEAD = 30


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height of the canvas that a WebP file begins with; (0, 0) if it does not say."""
    head = head.ljust(_WEBP_HEAD, b"\0")
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8 ":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            return 0, 0
