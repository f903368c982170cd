"""What an image costs to decode, told by its structure before anything is decoded.

Sources: ITU-T T.81, annex B (JPEG's markers); RFC 9649 (WebP's chunks).
"""

import os
import re
from typing import BinaryIO

MAX_SCANS = 100
"""Scans of a JPEG. Encoders write up to a dozen; each goes over the whole picture."""
MAX_SCANNED_PIXELS = 1_500_000_000
"""Scans of a JPEG, times its pixels: 28 scans of the largest."""

_MAX_SEGMENTS = 4_000  # metadata of 25 MB in segments of 64 kB, and tables before each scan
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, 0xD8})
_MAX_GAP = 1_000  # bytes before a marker of the head; there are none, but fill bytes are allowed
# A marker: not the stuffed zero, or the restart markers that stand between compressed bytes.
_MARKER = re.compile(rb"(?<!\xff)\xff++([\x01-\xcf\xd8-\xfe])")
_WEBP_HEAD = 30


def jpeg_scans(file: BinaryIO) -> int:
    """How many scans a JPEG has, as far as `MAX_SCANS` + 1; 0 if there is no picture to be found in it."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    content = file.read(end)
    scans = at = 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(content, at)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            return scans
        if scans == 0 and marker.end() - at > _MAX_GAP:
            return 0
        at = marker.end()
        if marker[1][0] in _WITHOUT_LENGTH:
            continue
        if marker[1][0] == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                return scans
        at += int.from_bytes(content[at : at + 2])
    return 0


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
