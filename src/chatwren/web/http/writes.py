"""How an answer is written: its head together with the body."""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def join(cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
    """Let what answers a request write the head together with what comes next, unless the head is all."""
    if cycle.scope["method"] != "HEAD":
        cycle.transport = cast("asyncio.Transport", Joined(cycle.transport, loop))


class Joined:
    """What an answer is written to: a transport that keeps the first piece, the head, until the next one comes.

    That is at once but for streams, whose head goes by itself. uvloop hands each piece to the kernel as it comes, and
    for two the client wakes twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._begun = False
        self._kept = b""

    def write(self, data: bytes) -> None:
        """Write a piece; the first one with the next, or when nothing else is to be done before."""
        if self._begun:
            kept, self._kept = self._kept, b""
            self._transport.write(kept + data)
        else:
            self._begun, self._kept = True, data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close when all is written."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._kept and not self._transport.is_closing():
            self._transport.write(self._kept)
        self._kept = b""
