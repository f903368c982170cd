"""A picture's file taken apart: the bytes of its pixels, and what it says beside them.

Decoders stumble over what is wrong with metadata. Here they never see it: the pixels decide whether a picture is sound.
"""

import io
import itertools
import os
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Self

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_UNPACKED = 4 * 1024 * 1024
"""Bytes of a picture's texts, and of its profile, that are looked at."""

EXIF = b"Exif\0\0"
"""Stands before EXIF in some files."""

PIECE = 64 * 1024
"""Bytes that are read at a time."""


@dataclass(slots=True)
class Apart:
    """What a picture's file holds.

    Attributes:
        pixels: the file without its metadata, but for a colour profile that is one.
        exif: as it stands in a TIFF file; b"" without any.
        packets: XMP, IPTC and texts, unpacked.
        amiss: whether some of it is wrong or not in these: others may stumble over it, and it may say anything.
        ended: whether the file has its end.
        complete: whether, without its end, it can have all its pixels.
        scans: of a JPEG; 0 if it has no picture. More than are accepted are not counted.
        shown: whether it is coded as phones can show it.
        deep: whether it has 16 bits a channel.
        unpacked: of a PNG: bytes of its pixels; 0 if that is not known.
        animated: whether it is more than one picture, shown one after the other.
    """

    pixels: BinaryIO
    exif: bytes = b""
    packets: list[bytes] = field(default_factory=list)
    amiss: bool = False
    ended: bool = True
    complete: bool = True
    scans: int = 1
    shown: bool = True
    deep: bool = False
    unpacked: int = 0
    animated: bool = False


class Taken:
    """Parts of a file that are taken, and what is written between them, as one file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts: list[tuple[BinaryIO, int, int]] = []

    def take(self, start: int, stop: int) -> Self:
        """Take what stands between two offsets."""
        if self._parts and self._parts[-1][0] is self._file and self._parts[-1][2] == start:
            start = self._parts.pop()[1]
        if start < stop:
            self._parts.append((self._file, start, stop))
        return self

    def write(self, content: bytes) -> Self:
        """Add bytes that are not the file's."""
        if content:
            self._parts.append((io.BytesIO(content), 0, len(content)))
        return self

    def as_file(self) -> BinaryIO:
        """All of it."""
        return io.BufferedReader(_Spliced(self._parts), PIECE)


class _Spliced(io.RawIOBase):
    def __init__(self, parts: list[tuple[BinaryIO, int, int]]) -> None:
        super().__init__()
        self._parts = parts
        self._ends = list(itertools.accumulate(stop - start for _, start, stop in parts))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        end = self._ends[-1] if self._ends else 0
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence])
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        number = bisect_right(self._ends, self._at)
        if number == len(self._parts):
            return 0
        file, _, stop = self._parts[number]
        left = self._ends[number] - self._at
        file.seek(stop - left)
        with memoryview(buffer) as room:
            read = file.read(min(room.nbytes, left))
            room[: len(read)] = read
        self._at += len(read)
        return len(read)


def part(file: BinaryIO, start: int, stop: int) -> bytes:
    """What stands between two offsets, as far as it is there."""
    file.seek(start)
    return file.read(max(0, stop - start))


def is_padding(after: bytes) -> bool:
    """Whether what stands after a picture's end says nothing. Else it may be a film, with its place."""
    return not after.strip(b"\0\xff\r\n ")


def is_profile(unpacked: bytes) -> bool:
    """Whether it is a colour profile (ICC.1, 7.2)."""
    return unpacked[36:40] == b"acsp" and 0 < int.from_bytes(unpacked[:4]) <= len(unpacked)
