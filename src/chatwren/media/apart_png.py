"""A PNG taken apart by its chunks. Source: W3C's PNG, third edition."""

import os
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from isal import isal_zlib

from chatwren.media.apart import EXIF, MAX_UNPACKED, PIECE, Apart, Taken, is_padding, is_profile, part

SIGNATURE_BYTES = 8
"""What a PNG begins with, before its first chunk."""
_HEADER = 13
_MAX_CHUNKS = 200_000
_MAX_PALETTE = 3 * 256
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_CLEAR_BYTES = {0: range(2, 3), 2: range(6, 7), 3: range(1, 257)}  # of tRNS, by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"acTL": 8}
_OTHERS_READ = 1024 * 1024  # of a text or profile, unpacked: what Pillow reads before it gives the picture up
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_RAW_PROFILE = re.compile(rb"Raw profile type (\S+)\0")


class _Chunk(NamedTuple):
    """A chunk, by the begin and end of its content. The end of a file may come before it, and the check sum too."""

    kind: bytes
    start: int
    stop: int


def png_apart(file: BinaryIO) -> Apart:
    """What a PNG holds."""
    reading = _Reading(file)
    for chunk in chunks(file):
        if chunk.kind == b"IEND":
            reading.note_rest(chunk.stop + 4)
            return reading.result(ended=True)
        reading.chunk(chunk)
    return reading.result(ended=False)


class _Reading:
    """A PNG that is gone through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._apart = Apart(file)
        self._taken = Taken(file).take(0, SIGNATURE_BYTES)
        self._room = MAX_UNPACKED
        self._colours = -1

    def chunk(self, chunk: _Chunk) -> None:
        """Note it."""
        self._apart.amiss |= not _is_sound(self._file, chunk)
        if chunk.kind == b"IDAT":
            self._taken.take(chunk.start - 8, chunk.stop + 4)
        elif chunk.kind in {b"IHDR", b"PLTE"}:
            self._head(chunk.kind, part(self._file, chunk.start, min(chunk.stop, chunk.start + _MAX_PALETTE)))
        elif chunk.kind[:1].isupper():  # one that decoders must know
            self._apart.amiss = True
            self._apart.shown &= chunk.kind != b"CgBI"  # Apple's own coding
        else:
            self._beside(chunk, part(self._file, chunk.start, min(chunk.stop, chunk.start + MAX_UNPACKED)))

    def note_rest(self, start: int) -> None:
        """Note what stands after its end."""
        self._file.seek(start)
        while rest := self._file.read(PIECE):
            self._apart.amiss |= not is_padding(rest)

    def result(self, *, ended: bool) -> Apart:
        """What it holds, if it goes on no further."""
        apart = self._apart
        apart.pixels = self._taken.write(_written(b"IEND", b"")).as_file()
        apart.ended = ended
        apart.complete = ended or _unpacks_to(apart.pixels, apart.unpacked)
        return apart

    def _head(self, kind: bytes, content: bytes) -> None:
        self._taken.write(_written(kind, content))
        if kind == b"IHDR" and len(content) == _HEADER:
            self._colours = content[9]
            self._apart.deep = content[8] == 16  # noqa: PLR2004 - bits a channel
            self._apart.unpacked = _needed(content) if self._colours in _CHANNELS else 0

    def _beside(self, chunk: _Chunk, content: bytes) -> None:
        """Note what is beside the pixels, and take what decoders need for these."""
        length = chunk.stop - chunk.start
        self._apart.amiss |= length != _LENGTHS.get(chunk.kind, length)
        if chunk.kind == b"tRNS":
            fits = length in _CLEAR_BYTES.get(self._colours, ())
            self._taken.write(_written(chunk.kind, content) if fits else b"")
            self._apart.amiss |= not fits
        elif chunk.kind == b"iCCP":
            packed = content.partition(b"\0")[2]
            profile = _unpacked(packed[1:], MAX_UNPACKED) if packed[:1] == b"\0" else b""
            self._taken.write(_written(chunk.kind, content) if is_profile(profile) else b"")
            self._apart.amiss |= not is_profile(profile) or len(profile) > _OTHERS_READ
        elif chunk.kind == b"eXIf":
            self._apart.exif = content.removeprefix(EXIF)
        elif chunk.kind == b"acTL":
            self._apart.animated = int.from_bytes(content[:4]) > 1
        elif chunk.kind in _TEXTS:
            text = _text(chunk.kind, content, self._room) if length <= self._room else b""
            self._room -= len(text)
            self._apart.amiss |= not text or len(text) > _OTHERS_READ
            self._note(text)

    def _note(self, text: bytes) -> None:
        self._apart.packets.append(text)
        if raw := _RAW_PROFILE.match(text):  # EXIF, IPTC or XMP, as ImageMagick packs them again: length, hex digits
            self._apart.amiss = True
            digits = b"".join(text[raw.end() :].split()[2:])
            if raw[1] in {b"exif", b"APP1"} and not self._apart.exif and re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", digits):
                self._apart.exif = bytes.fromhex(digits.decode()).removeprefix(EXIF)


def chunks(file: BinaryIO) -> Iterator[_Chunk]:
    """The chunks of a PNG, as far as there are any."""
    end, at = file.seek(0, os.SEEK_END), SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        head = part(file, at, at + 8)
        stop = at + 8 + int.from_bytes(head[:4])
        if len(head) < 8 or not head[4:].isalpha():  # noqa: PLR2004 - length and type
            return
        yield _Chunk(head[4:], at + 8, min(stop, end))
        at = stop + 4


def _is_sound(file: BinaryIO, chunk: _Chunk) -> bool:
    """Whether its check sum is right."""
    total = isal_zlib.crc32(chunk.kind)
    for at in range(chunk.start, chunk.stop, PIECE):
        total = isal_zlib.crc32(part(file, at, min(chunk.stop, at + PIECE)), total)
    return part(file, chunk.stop, chunk.stop + 4) == total.to_bytes(4)


def _written(kind: bytes, content: bytes) -> bytes:
    return b"".join((len(content).to_bytes(4), kind, content, zlib.crc32(kind + content).to_bytes(4)))


def _needed(header: bytes) -> int:
    """Bytes of a PNG's pixels before they are packed, each row with its filter."""
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    passes = _ADAM7 if header[12] else ((0, 0, 1, 1),)
    bits, total = header[8] * _CHANNELS[header[9]], 0
    for left, top, across, down in passes:
        columns, rows = -(-max(0, width - left) // across), -(-max(0, height - top) // down)
        total += rows * (1 + -(-columns * bits // 8)) if columns else 0
    return total


def _unpacks_to(pixels: BinaryIO, needed: int) -> bool:
    """Whether there are so many bytes of pixels."""
    unpacking, left = zlib.decompressobj(), needed
    try:
        for kind, start, stop in chunks(pixels):
            for at in range(start, stop, PIECE) if kind == b"IDAT" else ():
                piece = part(pixels, at, min(stop, at + PIECE))
                while left > 0 and piece:
                    left -= len(unpacking.decompress(piece, PIECE))
                    piece = unpacking.unconsumed_tail
        left -= len(unpacking.flush()) if left > 0 else 0
    except zlib.error:
        return False
    return needed > 0 >= left


def _text(kind: bytes, content: bytes, room: int) -> bytes:
    """A text with its keyword; b"" if it cannot be read, or not within so many bytes."""
    keyword, _, rest = content.partition(b"\0")
    if kind == b"tEXt":
        return content
    packed = rest[:1] == b"\1" if kind == b"iTXt" else True
    value = rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" else rest[1:]
    unpacked = _unpacked(value, room) if packed else value
    return keyword + b"\0" + unpacked if unpacked or not value else b""


def _unpacked(packed: bytes, room: int) -> bytes:
    """What was packed; b"" if it cannot be unpacked, or is more than that."""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(packed, room)
    except zlib.error:
        return b""
    return unpacked if unpacking.eof else b""
