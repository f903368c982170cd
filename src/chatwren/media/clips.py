"""What the container of a video or sound says about it: its length, the size of its picture.

Read from a few header boxes, never by decoding. Sources: ISO/IEC 14496-12 (boxes of MP4, M4A, 3GP), RFC 3533 and
RFC 7845 (Ogg, and Opus in it). The length of other sounds is not told: without decoding it would be a guess.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_BOXES = 2_000  # a few dozen are usual; a hostile file could hold millions
_MAX_SECONDS = 7 * 24 * 3600
_OPUS_RATE = 48_000
_OGG_TAIL = 128 * 1024  # a page has 65,307 bytes at most, so the last one begins in here
_OPUS_HEAD = 28  # offset: after a page header with one segment
_OGG_PAGE_HEADER = 27


@dataclass(frozen=True, slots=True)
class Clip:
    """A video or sound.

    Attributes:
        has_picture: whether it is a video.
        seconds: length, at least 1; None where it is not told.
        width: of the picture as it is shown, pixels; None without one.
        height: likewise.
    """

    has_picture: bool
    seconds: int | None
    width: int | None = None
    height: int | None = None


def read_mp4(file: BinaryIO) -> Clip | None:
    """The facts of an MP4, M4A or 3GP file; None if it cannot be played: its index is missing, as when cut off."""
    end = file.seek(0, os.SEEK_END)
    budget = iter(range(_MAX_BOXES))
    index = next(((start, stop) for kind, start, stop in _boxes(file, 0, end, budget) if kind == b"moov"), None)
    if index is None:
        return None
    seconds, pictures = None, []
    for kind, start, stop in _boxes(file, *index, budget):
        if kind == b"mvhd":
            seconds = _duration(_read(file, start, min(stop, start + 32)))
        elif kind == b"trak" and (size := _picture_size(file, start, stop, budget)) is not None:
            pictures.append(size)
    width, height = max(pictures, default=(0, 0), key=lambda size: size[0] * size[1])
    return Clip(bool(pictures), seconds, width or None, height or None)


def read_ogg_opus(file: BinaryIO) -> Clip:
    """The length of an Ogg file with Opus: the position that its last page carries, less what decoders skip."""
    head = _read(file, 0, _OPUS_HEAD + 12)
    size = file.seek(0, os.SEEK_END)
    tail = _read(file, max(0, size - _OGG_TAIL), size)
    last = tail.rfind(b"OggS")
    page = tail[last : last + _OGG_PAGE_HEADER] if last >= 0 else b""
    stream = slice(14, 18)
    if len(page) < _OGG_PAGE_HEADER or page[stream] != head[stream]:
        return Clip(has_picture=False, seconds=None)
    skipped = int.from_bytes(head[_OPUS_HEAD + 10 :], "little")
    position = int.from_bytes(page[6:14], "little", signed=True)
    return Clip(has_picture=False, seconds=_whole_seconds(position - skipped, _OPUS_RATE))


def _boxes(file: BinaryIO, start: int, end: int, budget: Iterator[int]) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two offsets: type, begin and end of the content. Stops at what is none, or out of budget."""
    while start + 8 <= end and next(budget, None) is not None:
        header = _read(file, start, start + 16)
        size, kind, content = int.from_bytes(header[:4]), header[4:8], start + 8
        if size == 1:  # a longer size follows
            size, content = int.from_bytes(header[8:16]), start + 16
        elif size == 0:  # up to the end
            size = end - start
        stop = start + size
        if stop < content or stop > end:
            return
        yield kind, content, stop
        start = stop


def _picture_size(file: BinaryIO, start: int, end: int, budget: Iterator[int]) -> tuple[int, int] | None:
    """Width and height of a track that is a picture; None of another."""
    size, picture = (0, 0), False
    for kind, begin, stop in _boxes(file, start, end, budget):
        if kind == b"tkhd":
            size = _shown_size(_read(file, max(begin, stop - 44), stop))
        elif kind == b"mdia":
            handlers = (at for inner, at, _ in _boxes(file, begin, stop, budget) if inner == b"hdlr")
            picture = any(_read(file, at + 8, at + 12) == b"vide" for at in handlers)
    return size if picture else None


def _shown_size(matrix_and_size: bytes) -> tuple[int, int]:
    """Width and height, which end a track's header as 16.16 numbers after a matrix that may turn the picture."""
    if len(matrix_and_size) < 44:  # noqa: PLR2004 - nine numbers of the matrix and these two
        return 0, 0
    width, height = int.from_bytes(matrix_and_size[36:38]), int.from_bytes(matrix_and_size[40:42])
    turned = not any(matrix_and_size[:4]) and any(matrix_and_size[4:8])
    return (height, width) if turned else (width, height)


def _duration(header: bytes) -> int | None:
    """The length that a movie header tells: 32-bit times in version 0, 64-bit ones in version 1."""
    times = 8 if header[:1] == b"\1" else 4
    scale_at = 4 + 2 * times
    scale, length = header[scale_at : scale_at + 4], header[scale_at + 4 : scale_at + 4 + times]
    if len(length) < times or length == b"\xff" * times:  # all ones: not known
        return None
    return _whole_seconds(int.from_bytes(length), int.from_bytes(scale))


def _whole_seconds(units: int, per_second: int) -> int | None:
    if units <= 0 or per_second == 0 or units > _MAX_SECONDS * per_second:
        return None
    return max(1, round(units / per_second))


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
