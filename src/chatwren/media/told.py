"""What the metadata of a picture tells: which way up it is, and whether it may say where it was taken.

Each entry stands for itself: what is wrong with one takes nothing from the others. Sources: TIFF 6.0, section 2; CIPA
DC-008 (EXIF); Adobe's XMP, part 1; IPTC-IIM 4.2.
"""

import re
from collections.abc import Iterator
from typing import Literal

_ORIENTATION, _GPS = 0x0112, 0x8825
# Bytes of a value of each type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_ENTRY = 12
_INLINE = 4
# Places in XMP (exif:GPSLatitude, photoshop:City, Iptc4xmpCore:Location, …), and a photo's mark that a film follows it,
# which has a place of its own.
_XMP_PLACE = re.compile(rb"GPS|Location|City|State|Country|MotionPhoto|MicroVideo")
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")
# IPTC-IIM, record 2: content location, city, sublocation, province, country.
_IPTC_PLACE = re.compile(rb"\x1c\x02[\x1a\x1b\x5a\x5c\x5f\x64\x65]")

Order = Literal["little", "big"]


def told(exif: bytes, packets: list[bytes]) -> tuple[int, bool]:
    """The orientation (1 to 8; 1 where none is told), and whether the place may be told.

    Args:
        exif: a TIFF file; b"" without any.
        packets: XMP, IPTC and texts.
    """
    orientation, may_tell_place = _exif(exif)
    for packet in packets:
        may_tell_place |= bool(_XMP_PLACE.search(packet) or _IPTC_PLACE.search(packet))
        if orientation == 0 and (found := _XMP_ORIENTATION.search(packet)):
            orientation = int(found[1])
    return orientation or 1, may_tell_place


def _exif(exif: bytes) -> tuple[int, bool]:
    """The orientation, 0 if it is not told, and whether the place is told or something cannot be read."""
    if not exif:
        return 0, False
    order: Order = "little" if exif.startswith(b"II*\0") else "big"
    if not exif.startswith((b"II*\0", b"MM\0*")):
        return 0, True
    orientation, may_tell_place = 0, False
    for tag, kind, value in _entries(exif, int.from_bytes(exif[4:8], order), order):
        if value is None:
            may_tell_place = True
        elif tag == _ORIENTATION:
            number = int.from_bytes(value[: _SIZES[kind]], order)
            orientation = number if number in range(1, 9) else orientation
        elif tag == _GPS:
            may_tell_place |= any(True for _ in _entries(exif, int.from_bytes(value[:4], order), order))
    return orientation, may_tell_place


def _entries(exif: bytes, at: int, order: Order) -> Iterator[tuple[int, int, bytes | None]]:
    """The entries of a directory: tag, type, value; None for what cannot be read, and once if that is the directory."""
    count = int.from_bytes(exif[at : at + 2], order)
    if at + 2 > len(exif):
        yield 0, 0, None
    for start in range(at + 2, at + 2 + count * _ENTRY, _ENTRY):
        entry = exif[start : start + _ENTRY]
        if len(entry) < _ENTRY:
            yield 0, 0, None
            return
        tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
        size = _SIZES.get(kind, 0) * int.from_bytes(entry[4:8], order)
        begin = int.from_bytes(entry[8:], order)
        value = exif[begin : begin + size] if size > _INLINE else entry[8 : 8 + size]
        yield tag, kind, value if kind in _SIZES and len(value) == size else None
