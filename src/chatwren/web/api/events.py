"""Server-sent events: hints that something has changed. A page fetches again what it shows."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from litestar import get
from litestar.response import Stream

from chatwren.domain.caller import Scope
from chatwren.domain.errors import Forbidden, NotAuthenticated, TooMany
from chatwren.domain.limits import Limit
from chatwren.store.database import UNREACHABLE
from chatwren.web.access import caller, who_asks
from chatwren.web.context import HttpRequest, context
from chatwren.web.openapi import Operation

_CHANGED = b"event: changed\ndata: {}\n\n"
_HEARTBEAT = b": still here\n\n"
_RETRY = b"retry: 2000\n\n"


@get(
    "/api/events",
    operation=Operation(
        "Listen for changes",
        access=Scope.READ,
        description="Server-sent events for `new EventSource(url, {withCredentials: true})`. The event `changed` means "
        "that messages, the account or its groups may have changed: fetch again what is shown. One comes at once.",
        media_type="text/event-stream",
        errors=(429,),
    ),
)
async def listen(request: HttpRequest) -> Stream:
    """Hints for as long as the client listens."""
    user = caller(request).user
    async with context(request).limits.slot(user.id, Limit.EVENT_STREAMS):
        pass  # else 429: once the stream has begun, it can only end
    return Stream(
        _events(request, user.id),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},  # nginx would hold events back
    )


async def _events(request: HttpRequest, user_id: UUID) -> AsyncIterator[bytes]:
    """The stream. Some of many that begin at the same moment may find no place any more: they end, and come again."""
    of = context(request)
    draining = asyncio.ensure_future(of.draining.wait())
    try:
        async with of.limits.slot(user_id, Limit.EVENT_STREAMS):
            yield _RETRY + _CHANGED  # whatever happened before the client listened
            changes = of.changes.of_user(user_id)
            while not of.draining.is_set():
                change = asyncio.ensure_future(anext(changes))
                await asyncio.wait((change, draining), return_when=asyncio.FIRST_COMPLETED)
                if not change.done():
                    change.cancel()
                    return
                if not await _still_signed_in(request):
                    return
                yield _CHANGED if change.result() else _HEARTBEAT
    except TooMany:
        yield _RETRY
    finally:
        draining.cancel()


async def _still_signed_in(request: HttpRequest) -> bool:
    """Whether the session has not ended since. While the database is away nobody knows, so yes."""
    try:
        await who_asks(request)
    except (NotAuthenticated, Forbidden):
        return False
    except UNREACHABLE:
        return True
    return True
