"""A PNG's pixels unpacked before Pillow sees them: by ISA-L, in a third of the time that zlib takes.

Pillow has them unpacked by whatever zlib the machine has. Here it gets a PNG whose pixels are in stored blocks (RFC
1951, 3.2.4), which are as good as copied.
"""

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from isal import isal_zlib

from chatwren.media.apart import PIECE, part
from chatwren.media.apart_png import SIGNATURE_BYTES, chunks

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 65_000
"""Bytes of a block, which has 65,535 at most."""
_ZLIB = b"\x78\x01"
_CHECK_SUM = bytes(4)  # of a chunk of pixels nobody looks at it
_PIXELS = b"IDAT"


class NotUnpackedError(Exception):
    """There are no so many bytes, or they cannot be unpacked."""


def unpacked(file: BinaryIO, size: int) -> BinaryIO:
    """The same PNG, unpacked as it is read.

    To read it raises NotUnpackedError where zlib has to judge: there is less, or it is packed in another way.

    Args:
        file: the PNG, of chunks that are sound.
        size: bytes of its pixels; what comes after them is left out, but for a byte.
    """
    return io.BufferedReader(_Unpacked(file, size), PIECE)


class _Unpacked(io.RawIOBase):
    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._size = size
        self._pieces = self._all_pieces()
        self._rest = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        offset += self._at if whence == os.SEEK_CUR else 0
        if offset < self._at:
            self._pieces, self._rest, self._at = self._all_pieces(), memoryview(b""), 0
        while self._at < offset and self.readinto(bytearray(min(PIECE, offset - self._at))):
            pass
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        with memoryview(buffer) as room:
            read = min(room.nbytes, len(self._rest))
            room[:read] = self._rest[:read]
        self._rest = self._rest[read:]
        self._at += read
        return read

    def _all_pieces(self) -> Iterator[bytes]:
        """The file: a chunk, or a block of pixels as a chunk of its own, at a time."""
        yield part(self._file, 0, SIGNATURE_BYTES)
        # One byte more is asked for: to know that there is none takes the end, with its check sum.
        unpacking, left, before = isal_zlib.decompressobj(), self._size + 1, _ZLIB
        for kind, start, stop in chunks(self._file):
            if kind != _PIXELS:
                yield part(self._file, start - 8, stop + 4)
                continue
            for at in range(start, stop, PIECE):
                for block in _unpack(unpacking, part(self._file, at, min(stop, at + PIECE)), left):
                    left -= len(block)
                    yield _stored(block, before)
                    before = b""
        if left > 1:
            raise NotUnpackedError


def _unpack(unpacking: "isal_zlib.Decompress", packed: bytes, at_most: int) -> Iterator[bytes]:
    """What is in the next piece, a block at a time."""
    while at_most and not unpacking.eof:
        asked = min(_BLOCK, at_most)
        try:
            block = unpacking.decompress(packed, asked)
        except isal_zlib.error as error:  # type: ignore[misc]  # its types name an instance
            raise NotUnpackedError from error
        packed = unpacking.unconsumed_tail
        at_most -= len(block)
        if block:
            yield block
        if len(block) < asked and not packed:
            return


def _stored(block: bytes, before: bytes) -> bytes:
    """A chunk with such a block."""
    size = len(block)
    head = before + b"\0" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
    return b"".join(((len(head) + size).to_bytes(4), _PIXELS, head, block, _CHECK_SUM))
