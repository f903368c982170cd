"""What handlers share."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State

from chatwren.domain.fairness import FewEach
from chatwren.media.decoders import Decoders
from chatwren.media.objects import MediaStore
from chatwren.service.computing import Computing
from chatwren.service.events import Changes
from chatwren.service.intake import Intake
from chatwren.service.limits import Limits
from chatwren.service.rewording import Rewording
from chatwren.service.sessions import Sessions
from chatwren.service.throttling import Throttling
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.web.http.cookie import SessionCookie
from chatwren.web.http.observe import Metrics

AT_ONCE: Final = 4
"""Requests of one user that are answered at a time. A page of long texts takes the event loop 20 ms, and there are
ten connections to the database."""
MOST_WAITING: Final = 100
"""Of one user. More are told to come again."""

AnyConnection = ASGIConnection[Any, Any, Any, State]
HttpRequest = Request[Any, Any, State]


@dataclass(slots=True)
class Context:
    """What one web process has.

    Attributes:
        cookie: how session ids travel; its secret may come from the database when the application starts.
        changes: what the database says has changed.
        limits: what each user may have.
        computing: the threads of this process that compute.
        rewording: what the operator's language model is asked.
        throttling: how often strangers may try.
        few: how many requests of one user are answered at a time.
        leaving: the process wants no more requests, and still answers those that come.
        draining: set when its port is closed and it is about to end.
    """

    settings: Settings
    db: Database
    media: MediaStore
    cookie: SessionCookie
    changes: Changes
    sessions: Sessions
    limits: Limits
    computing: Computing
    intake: Intake
    throttling: Throttling
    rewording: Rewording
    few: FewEach = field(default_factory=lambda: FewEach(AT_ONCE, most_waiting=MOST_WAITING))
    decoders: Decoders = field(default_factory=Decoders)
    metrics: Metrics = field(default_factory=Metrics)
    leaving: bool = False
    draining: asyncio.Event = field(default_factory=asyncio.Event)


def context(connection: AnyConnection) -> Context:
    """The context of the application that a request came to."""
    found: Context = connection.app.state.context
    return found


def client_address(request: HttpRequest) -> str:
    """The client's IP address; "" where there is none, as over a unix socket."""
    return request.client.host if request.client else ""


def base_url(request: HttpRequest) -> str:
    """How the client reaches this server, without a slash at the end."""
    public_url = context(request).settings.public_url
    return public_url.rstrip("/") if public_url else f"{request.scope['scheme']}://{request.headers.get('host', '')}"


def is_https(request: HttpRequest) -> bool:
    """Whether the browser speaks https, so that cookies can be Secure."""
    return base_url(request).startswith("https:")
