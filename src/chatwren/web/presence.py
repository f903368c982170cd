"""Work that is worth doing only as long as the client is there to hear of it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar import Request

from chatwren.domain.errors import Invalid

T = TypeVar("T")


async def while_there(request: Request[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is cancelled when the client leaves.

    Args:
        request: whose body was read to its end.
        work: what to do.

    Raises:
        Invalid: the client has left.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Invalid("The client has left.", code="client_left")
        return working.result()
    finally:
        for one in (working, leaving):
            one.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
