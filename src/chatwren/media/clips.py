"""What the container of a video or sound says about it: its length, the size of its picture, how it is coded.

Read from a few header boxes, never by decoding. Sources: ISO/IEC 14496-12 (boxes of MP4, M4A, 3GP), 14496-14 and -15
(what tells the coding), RFC 3533 and RFC 7845 (Ogg, and Opus in it). Sounds without a container: sounds.py. What
WhatsApp plays in an MP4 is H.264 and AAC (developers.facebook.com/docs/whatsapp/cloud-api/reference/media); phones
decode H.264 of 8 bits a channel and 4:2:0, which profiles up to High are.
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
_PICTURES = frozenset({b"avc1", b"avc3"})
_SOUNDS = frozenset({b"mp4a"})
_PROFILES = frozenset({66, 77, 88, 100})  # baseline, main, extended, high: 8 bits, 4:2:0
_AAC = frozenset({0x40, 0x66, 0x67, 0x68})  # MPEG-4's and MPEG-2's; MP3 can be in such a stream too
_FULL_BOX = 4  # version and flags
_PICTURE_ENTRY, _SOUND_ENTRY = 78, 28  # bytes before the boxes of a sample description's entry
_MORE_OF_VERSION = {1: 16, 2: 36}  # QuickTime's, of a sound's
_STREAM, _DECODER = 0x03, 0x04  # descriptors
_MAX_SETUP = 1024


@dataclass(frozen=True, slots=True)
class Clip:
    """A video or sound.

    Attributes:
        has_picture: whether it is a video.
        seconds: length, at least 1; None where it is not told.
        width: of the picture as it is shown, pixels; None without one.
        height: likewise.
        picture_plays: whether WhatsApp plays the largest of its pictures; it does if nothing is told of the coding.
        sound_plays: likewise, of its first sound.
    """

    has_picture: bool
    seconds: int | None
    width: int | None = None
    height: int | None = None
    picture_plays: bool = True
    sound_plays: bool = True


@dataclass(frozen=True, slots=True)
class _Track:
    handler: bytes
    width: int
    height: int
    plays: bool


def read_mp4(file: BinaryIO) -> Clip | None:
    """The facts of an MP4, M4A or 3GP file; None if it cannot be played: its index is missing, as when cut off."""
    end = file.seek(0, os.SEEK_END)
    budget = iter(range(_MAX_BOXES))
    index = next(((start, stop) for kind, start, stop in _boxes(file, 0, end, budget) if kind == b"moov"), None)
    if index is None:
        return None
    seconds, tracks = None, []
    for kind, start, stop in _boxes(file, *index, budget):
        if kind == b"mvhd":
            seconds = _duration(_read(file, start, min(stop, start + 32)))
        elif kind == b"trak":
            tracks.append(_track(file, start, stop, budget))
    sound_plays = next((track.plays for track in tracks if track.handler == b"soun"), True)
    pictures = [track for track in tracks if track.handler == b"vide"]
    if not pictures:
        return Clip(has_picture=False, seconds=seconds, sound_plays=sound_plays)
    picture = max(pictures, key=lambda track: track.width * track.height)
    return Clip(True, seconds, picture.width or None, picture.height or None, picture.plays, sound_plays)


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


def _track(file: BinaryIO, start: int, end: int, budget: Iterator[int]) -> _Track:
    size, handler, plays = (0, 0), b"", True
    for kind, begin, stop in _boxes(file, start, end, budget):
        if kind == b"tkhd":
            size = _shown_size(_read(file, max(begin, stop - 44), stop))
        elif kind == b"mdia":
            for inner, at, to in _boxes(file, begin, stop, budget):
                if inner == b"hdlr":
                    handler = _read(file, at + 8, at + 12)
                elif inner == b"minf" and (described := _inside(file, at, to, budget, b"stbl", b"stsd")):
                    plays = _plays(file, *described, budget)
    return _Track(handler, *size, plays)


def _inside(file: BinaryIO, start: int, end: int, budget: Iterator[int], *path: bytes) -> tuple[int, int] | None:
    """Begin and end of the content of the box that this path leads to."""
    for wanted in path:
        found = next(((at, stop) for kind, at, stop in _boxes(file, start, end, budget) if kind == wanted), None)
        if found is None:
            return None
        start, end = found
    return start, end


def _plays(file: BinaryIO, start: int, end: int, budget: Iterator[int]) -> bool:
    """Whether all that a sample description names can be played."""
    return all(
        coding in _PICTURES | _SOUNDS and _is_usual(file, coding, at, stop, budget)
        for coding, at, stop in _boxes(file, start + _FULL_BOX + 4, end, budget)
    )


def _is_usual(file: BinaryIO, coding: bytes, start: int, end: int, budget: Iterator[int]) -> bool:
    """Whether H.264 or what may be AAC is of a kind that phones decode."""
    if coding in _PICTURES:
        setup = _inside(file, start + _PICTURE_ENTRY, end, budget, b"avcC")
        return setup is None or int.from_bytes(_read(file, setup[0] + 1, setup[0] + 2)) in _PROFILES
    version = int.from_bytes(_read(file, start + 8, start + 10))
    inner = start + _SOUND_ENTRY + _MORE_OF_VERSION.get(version, 0)
    setup = _inside(file, inner, end, budget, b"esds") or _inside(file, inner, end, budget, b"wave", b"esds")
    kind = _object_type(_read(file, setup[0], min(setup[1], setup[0] + _MAX_SETUP))) if setup else None
    return kind is None or kind in _AAC


def _object_type(setup: bytes) -> int | None:
    """What a stream is coded as, of the descriptors that follow the head of an `esds` box."""
    at = _FULL_BOX
    while at + 1 < len(setup):
        tag = setup[at]
        at += 1
        while at < len(setup) and setup[at] & 0x80:  # the length has seven bits a byte, and is not asked for
            at += 1
        at += 1
        if tag == _STREAM and len(setup) > at + 2:
            flags = setup[at + 2]
            at += 3 + (2 if flags & 0x80 else 0)
            at += 1 + setup[at] if flags & 0x40 and at < len(setup) else 0
            at += 2 if flags & 0x20 else 0
        elif tag == _DECODER and at < len(setup):
            return setup[at]
        else:
            return None
    return None


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
