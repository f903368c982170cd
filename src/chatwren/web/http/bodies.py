"""How much a client may send as a body, and how slowly: one without end must not cost memory or connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from litestar import Request

from chatwren.domain.errors import Invalid, TooLarge
from chatwren.domain.sizes import size
from chatwren.media.recognise import MAX_BYTES
from chatwren.web.http.errors import TooSlow
from chatwren.web.http.memory import HELD, Held

FEW_FIELDS_BYTES: Final = 16 * 1024
"""A body of fields of which none is a message."""
MAX_FIELDS_BYTES: Final = 1024 * 1024
"""Fields with a message, which has 64 KiB and triples when a form is URL-encoded."""
MAX_FILE_BYTES: Final = max(MAX_BYTES.values())
"""The largest file of any kind. What each kind may have is media.prepare's business."""

_SILENCE_SECONDS = 20.0
_GRACE_SECONDS = 30.0
_LEAST_BYTES_A_SECOND = 1024


async def body_chunks(
    request: Request[Any, Any, Any], *, at_most: int, of_file: int = 0, at_end: Callable[[], Awaitable[None]]
) -> AsyncIterator[bytes]:
    """The pieces of a request's body.

    Args:
        at_most: bytes.
        of_file: bytes that come on top where a file may be in it.
        at_end: is called, and may raise, when the body is complete.

    Raises:
        TooLarge: more bytes are announced or come.
        TooSlow: nothing comes for 20 s, or after 30 s less than 1 KiB a second.
        Invalid: the client goes away before the end.
    """
    announced = request.headers.get("content-length", "")
    received = 0
    if announced.isdecimal() and int(announced) > at_most + of_file:
        raise _too_large(at_most, of_file)
    held: Held = request.scope["state"][HELD]
    began = time.monotonic()
    more = True
    while more:
        if held.whole:
            message = await request.receive()  # at once: a time limit would cost as much as all the rest
        else:
            left = began + _GRACE_SECONDS + received / _LEAST_BYTES_A_SECOND - time.monotonic()
            try:
                async with asyncio.timeout(min(_SILENCE_SECONDS, left)):
                    message = await request.receive()
            except TimeoutError:
                raise TooSlow("The request's body comes too slowly. Try again over a better connection.") from None
        if message["type"] != "http.request":
            raise Invalid("The request's body ended early.", code="body_incomplete")
        chunk = message["body"]
        received += len(chunk)
        if received > at_most + of_file:
            raise _too_large(at_most, of_file)
        if chunk:
            yield chunk
        more = message["more_body"]
    await at_end()


def let_go(request: Request[Any, Any, Any], size: int) -> None:
    """Note that so many bytes of the body are in memory no more: they are in a file, or were of no use."""
    held: Held = request.scope["state"][HELD]
    held.kept -= size


def _too_large(at_most: int, of_file: int) -> TooLarge:
    if of_file:
        return TooLarge(f"The request is too large: a file may have {size(of_file)}, the rest {size(at_most)}.")
    return TooLarge(f"The request's body is larger than {size(at_most)}.")
