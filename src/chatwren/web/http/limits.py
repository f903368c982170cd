"""How much a client may send, and how slowly: headers and bodies without end must not cost memory or connections."""

import asyncio
import time
from asyncio import TimerHandle, Transport
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import uvicorn
from litestar import Request
from litestar.types import HTTPReceiveMessage
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatwren.domain.errors import ChatwrenError, Invalid, TooLarge, Transient, Unavailable
from chatwren.media.recognise import MAX_BYTES
from chatwren.web.http.connections import Connections
from chatwren.web.http.errors import HeadersTooLarge, TooSlow, plain_answer

MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers together."""
MAX_FIELDS_BYTES: Final = 1024 * 1024
"""A body without a file, and the fields beside a file. A message of 64 KiB triples when a form is URL-encoded."""
MAX_FILE_BYTES: Final = max(MAX_BYTES.values())
"""The largest file of any kind. What each kind may have is media.prepare's business."""

_HEAD_SECONDS = 10.0
_REST_SECONDS = 5.0
"""How long the rest of a body may come that nobody reads: the answer is out, and whoever sends on hears it first."""
_STALL_SECONDS = 60.0
"""How long a client may take nothing of what is sent to it."""
_REFUSED_SECONDS = 5
_SILENCE_SECONDS = 20.0
_GRACE_SECONDS = 30.0
_LEAST_BYTES_A_SECOND = 1024


class BoundedConfig(uvicorn.Config):
    """What the protocols of one server share."""

    connections: Connections


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on connections and on what comes around a request, and with answers in our form.

    uvicorn collects headers as long as they come, waits for their end for ever, and accepts as many clients as come.
    """

    _head_bytes = 0
    _head_open = False
    _timer: TimerHandle | None = None
    _stall_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Find room for it, and give the first request its time."""
        super().connection_made(transport)
        self._connections = cast("BoundedConfig", self.config).connections
        if self._connections.enter(self, self.client[0] if self.client else ""):
            self._start_timer()
        else:
            self._refuse(
                Unavailable(
                    "There are too many connections.", code="too_many_connections", retry_after=_REFUSED_SECONDS
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it and its time limits."""
        self._stop_timer()
        self.resume_writing()
        self._connections.leave(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head_bytes = 0
        self._head_open = True
        self._stop_timer()  # of the connection's beginning; most heads come whole, and need none of their own
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """From here on the application bounds what comes.

        Raises:
            ValueError: the request is for a proxy (`GET http://…`), whose Host would be another than the one in it.
        """
        if not self.url.startswith(b"/"):
            raise ValueError(self.url)
        self._head_open = False
        self._stop_timer()
        self._connections.busy(self)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """It waits for the next request; not for long for the rest of this one, of which nobody reads more."""
        super().on_response_complete()
        if self.cycle.response_complete:  # else one that came meanwhile is under way
            self._connections.idle(self)
            if self.cycle.more_body:
                self._stop_timer()
                self._timer = self.loop.call_later(_REST_SECONDS, self.transport.close)

    def pause_writing(self) -> None:
        """The client reads slower than we write: it has its time to go on."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read on."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bound a head that comes in pieces. One that came whole is bounded by the size of a read."""
        super().data_received(data)
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge(f"The headers are longer than {MAX_HEAD_BYTES:,} bytes."))
            elif self._timer is None:
                self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(Invalid(msg))

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(TooSlow(f"The headers did not come within {_HEAD_SECONDS:.0f} seconds."))

    def _refuse(self, error: ChatwrenError) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            retry = [(b"retry-after", b"%d" % error.retry_after)] if isinstance(error, Transient) else []
            self.transport.write(plain_answer(error, more_headers=retry))
            self.transport.close()


async def body_chunks(request: Request[Any, Any, Any], *, at_most: int) -> AsyncIterator[bytes]:
    """The pieces of a request's body.

    Raises:
        TooLarge: more than `at_most` bytes are announced or come.
        TooSlow: nothing comes for 20 s, or after 30 s less than 1 KiB a second.
        Invalid: the client goes away before the end.
    """
    announced = request.headers.get("content-length", "")
    received = 0
    if announced.isdecimal() and int(announced) > at_most:
        raise _too_large(at_most)
    began = time.monotonic()
    while True:
        left = began + _GRACE_SECONDS + received / _LEAST_BYTES_A_SECOND - time.monotonic()
        try:
            async with asyncio.timeout(min(_SILENCE_SECONDS, left)):
                message = cast("HTTPReceiveMessage", await request.receive())
        except TimeoutError:
            raise TooSlow("The request's body comes too slowly. Try again over a better connection.") from None
        if message["type"] == "http.disconnect":
            raise Invalid("The request's body ended early.", code="body_incomplete")
        chunk = message["body"]
        received += len(chunk)
        if received > at_most:
            raise _too_large(at_most)
        if chunk:
            yield chunk
        if not message["more_body"]:
            return


def _too_large(at_most: int) -> TooLarge:
    return TooLarge(f"The request's body is larger than {at_most:,} bytes.")
