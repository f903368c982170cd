"""How much a client may send, and how slowly: headers and bodies without end must not cost memory or connections."""

import asyncio
import time
from asyncio import TimerHandle, Transport
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from litestar import Request
from litestar.types import HTTPReceiveMessage
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatwren.domain.errors import ChatwrenError, Invalid, TooLarge
from chatwren.domain.media import MAX_BYTES
from chatwren.web.errors import HeadersTooLarge, TooSlow, plain_answer

MAX_HEAD_BYTES: Final = 32 * 1024
"""Request line and headers together."""
MAX_FIELDS_BYTES: Final = 1024 * 1024
"""A body without a file, and the fields beside a file. A message of 64 KiB triples when a form is URL-encoded."""
MAX_FILE_BYTES: Final = max(MAX_BYTES.values())
"""The largest file of any kind. What each kind may have is media_files' business."""

_HEAD_SECONDS = 10.0
_SILENCE_SECONDS = 20.0
_GRACE_SECONDS = 30.0
_LEAST_BYTES_A_SECOND = 1024


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what comes before a request's body, and with answers in our form.

    uvicorn collects headers as long as they come and waits for their end for ever.
    """

    _head_bytes = 0
    _head_open = False
    _head_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limit."""
        self._stop_timer()
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
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bound a head that comes in pieces. One that came whole is bounded by the size of a read."""
        super().data_received(data)
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge(f"The headers are longer than {MAX_HEAD_BYTES:,} bytes."))
            elif self._head_timer is None:
                self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(Invalid(msg))

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._refuse(TooSlow(f"The headers did not come within {_HEAD_SECONDS:.0f} seconds."))

    def _refuse(self, error: ChatwrenError) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(plain_answer(error))
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
