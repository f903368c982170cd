"""A WebP or AVIF taken apart. They always become another file, so that only their orientation is asked for.

Sources: RFC 9649 (WebP's chunks); ISO/IEC 23008-12 (items of AVIF).
"""

import os
import re
from typing import BinaryIO

from chatwren.media.apart import EXIF, Apart, Taken, part

_RIFF_HEAD = 12
_MAX_CHUNKS = 200_000
_MAX_EXIF = 1024 * 1024
_BESIDE = frozenset({b"EXIF", b"XMP "})
# An item's entry: its version, flags, number and protection, then its type.
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
_AVIF_HEAD = 64 * 1024


def webp_apart(file: BinaryIO) -> Apart:
    """What a WebP holds."""
    end, at = file.seek(0, os.SEEK_END), _RIFF_HEAD
    kept, apart = [], Apart(file)
    for _ in range(_MAX_CHUNKS):
        head = part(file, at, at + 8)
        stop = at + 8 + int.from_bytes(head[4:], "little")
        if len(head) < 8:  # noqa: PLR2004 - type and length
            break
        if head[:4] == b"EXIF":
            apart.exif = part(file, at + 8, min(stop, at + _MAX_EXIF)).removeprefix(EXIF)
        if head[:4] not in _BESIDE:
            kept.append((at, min(stop + stop % 2, end)))
        at = stop + stop % 2
    size = 4 + sum(stop - start for start, stop in kept)
    taken = Taken(file).write(b"RIFF" + size.to_bytes(4, "little") + b"WEBP")
    for start, stop in kept:
        taken.take(start, stop)
    apart.pixels = taken.as_file()
    return apart


def avif_apart(file: BinaryIO) -> Apart:
    """What an AVIF holds. Its EXIF is not asked: properties of the picture itself say which way up it is."""
    end = file.seek(0, os.SEEK_END)
    head = _EXIF_ITEM.sub(rb"\1free", part(file, 0, _AVIF_HEAD))
    return Apart(Taken(file).write(head).take(_AVIF_HEAD, end).as_file())
