"""A JPEG taken apart by its markers. Source: ITU-T T.81, annex B."""

import os
import re
from collections import defaultdict
from typing import BinaryIO

from chatwren.media.apart import EXIF, Apart, Taken, is_padding, is_profile

MAX_SCANS = 100
"""Scans of a JPEG. Encoders write up to a dozen; each goes over the whole picture."""

_MAX_SEGMENTS = 4_000  # metadata of 25 MB in segments of 64 kB, and tables before each scan
_MAX_GAP = 1_000  # bytes before a marker of the head; there are none, but fill bytes are allowed
# A marker: not the stuffed zero, or the restart markers that stand between compressed bytes.
_MARKER = re.compile(rb"(?<!\xff)\xff++([\x01-\xcf\xd8-\xfe])")
_START_OF_SCAN, _END_OF_IMAGE, _PROGRESSIVE = 0xDA, 0xD9, 0xC2
_WITHOUT_LENGTH = frozenset({0x01, 0xD8})
_APP0, _APP1, _APP2, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_BESIDE = frozenset({*range(0xE0, 0xF0), _COMMENT})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SHOWN_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})  # baseline and extended too: not lossless, not arithmetic-coded
_SHOWN_COMPONENTS = frozenset({1, 3, 4})
_SHORTEST = {_APP0: 12, _APP14: 12}  # bytes of JFIF and of Adobe's, of which decoders read the colours
_COEFFICIENTS = 64
_PROFILE = b"ICC_PROFILE\0"


def jpeg_apart(file: BinaryIO) -> Apart:
    """What a JPEG holds. Of one of more than `MAX_SCANS` scans only that."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    content = file.read(size)
    reading = _Reading(file)
    at = 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.search(content, at)
        if marker is None:
            return reading.result(len(content.rstrip(b"\xff")), ended=False)
        if marker[1][0] == _END_OF_IMAGE:
            reading.apart.amiss |= not is_padding(content[marker.end() :])
            return reading.result(marker.end(), ended=True)
        if reading.apart.scans == 0 and marker.end() - at > _MAX_GAP:
            break
        at = marker.end()
        if marker[1][0] in _WITHOUT_LENGTH:
            continue
        stop = at + int.from_bytes(content[at : at + 2])
        reading.segment(marker[1][0], marker.start(), stop, content[at + 2 : stop])
        if reading.apart.scans > MAX_SCANS:
            return reading.apart
        at = stop
    return Apart(file, scans=0)


def with_end(apart: Apart, tail: bytes = b"") -> BinaryIO:
    """The pixels of a JPEG without its end, with one, and with these bytes before it."""
    size = apart.pixels.seek(0, os.SEEK_END)
    return Taken(apart.pixels).take(0, size).write(tail + bytes((0xFF, _END_OF_IMAGE))).as_file()


class _Reading:
    """A JPEG that is gone through."""

    def __init__(self, file: BinaryIO) -> None:
        self.apart = Apart(file, scans=0)
        self._taken, self._begin = Taken(file), 0
        self._exif: list[bytes] = []
        self._profile: list[bytes] = []
        self._frame = 0
        self._components = b""
        self._brought: defaultdict[int, set[int]] = defaultdict(set)  # coefficients of each, to the last bit

    def segment(self, kind: int, start: int, stop: int, content: bytes) -> None:
        """Note a segment that begins and ends there."""
        if kind in _BESIDE:
            if self.apart.scans:
                self.apart.amiss = True  # between scans is no place for it
            elif not self._is_needed(kind, content):
                self._taken.take(self._begin, start)
                self._begin = stop
        elif kind in _FRAMES and self.apart.scans == 0:
            self._frame, self._components = kind, content[6::3]
            eight_bits, count = content[:1] == b"\x08", content[5] if len(content) > 5 else 0  # noqa: PLR2004 - where it is
            self.apart.shown = kind in _SHOWN_FRAMES and eight_bits and count in _SHOWN_COMPONENTS
        elif kind == _START_OF_SCAN:
            self.apart.scans += 1
            self._scan(content)

    def result(self, end: int, *, ended: bool) -> Apart:
        """What it holds, if it goes on to there."""
        apart = self.apart
        apart.pixels = self._taken.take(self._begin, end).as_file()
        apart.exif = b"".join(self._exif)  # a long one is in several; so are two of which the second says another place
        apart.amiss |= len(self._exif) > 1 or (bool(self._profile) and not is_profile(b"".join(self._profile)))
        apart.ended = ended
        apart.complete = all(len(self._brought[one]) == _COEFFICIENTS for one in self._components)
        return apart

    def _is_needed(self, kind: int, content: bytes) -> bool:
        """Note what it says beside its pixels. Whether decoders need it for these."""
        if kind == _APP1 and content.startswith(EXIF):
            self._exif.append(content[len(EXIF) :])
        elif kind in {_APP1, _APP13}:
            self.apart.packets.append(content)
        elif kind == _APP2 and content.startswith(_PROFILE):
            self._profile.append(content[len(_PROFILE) + 2 :])
            return True
        elif kind == _APP2:
            self.apart.amiss = True  # more pictures, each with metadata of its own
        elif kind in _SHORTEST:
            self.apart.amiss |= len(content) < _SHORTEST[kind]
            return len(content) >= _SHORTEST[kind]
        return False

    def _scan(self, content: bytes) -> None:
        count = content[0] if content else 0
        first, last, approximation = content[1 + 2 * count : 4 + 2 * count].ljust(3, b"\xff")
        if self._frame != _PROGRESSIVE:
            first, last, approximation = 0, _COEFFICIENTS - 1, 0
        if approximation & 0x0F == 0:
            for component in content[1 : 1 + 2 * count : 2]:
                self._brought[component].update(range(first, min(last + 1, _COEFFICIENTS)))
