"""For whoever runs Chatwren: is the process alive, can it serve, and how much does it do."""

import asyncio
import contextlib
from functools import partial
from typing import Annotated

from litestar import Response, get
from msgspec import Meta, Struct

from chatwren.domain.errors import Unavailable
from chatwren.service import dead_letters, readiness
from chatwren.store.database import UNREACHABLE
from chatwren.web.context import HttpRequest, context
from chatwren.web.openapi import Operation

_LEAVING_RETRY_SECONDS = 5.0
_METRICS_SECONDS = 2
_METRICS_TYPE = "text/plain; version=0.0.4"  # Litestar adds the charset


class Health(Struct):
    """It is well."""

    status: Annotated[str, Meta(examples=["ok"])]


@get("/health/live", operation=Operation("Is the process alive", Health, access=None))
async def live() -> Health:
    """The process answers. Restart it when it does not."""
    return Health("ok")


@get("/health/ready", operation=Operation("Can it serve", Health, access=None))
async def ready(request: HttpRequest) -> Health:
    """The database answers and has the right schema. Send no requests here while it is not so, or the process leaves.

    Raises:
        Unavailable: see above.
    """
    if context(request).leaving:
        raise Unavailable("This process is about to end.", code="leaving", retry_after=_LEAVING_RETRY_SECONDS)
    await readiness.check(context(request).db)
    return Health("ok")


@get("/metrics", operation=Operation("Metrics for Prometheus", access=None, media_type="text/plain"))
async def metrics(request: HttpRequest) -> Response[bytes]:
    """Requests answered, by route and status, how long they took, and how much that arrived could not be stored."""
    known = context(request)
    with contextlib.suppress(*UNREACHABLE):  # the rest is told without it
        async with asyncio.timeout(_METRICS_SECONDS):
            await known.metrics.count_dead_letters(partial(dead_letters.count, known.db))
    return Response(known.metrics.text(), media_type=_METRICS_TYPE)
