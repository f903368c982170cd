"""The web application: its routes, and what each request passes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import cast

from litestar import Litestar, get
from litestar.datastructures import ResponseHeader
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect
from litestar.types import ASGIApp

from chatwren.media.objects import MediaStore
from chatwren.service import sessions
from chatwren.service.computing import Computing
from chatwren.service.events import Changes
from chatwren.service.intake import Intake
from chatwren.service.limits import Limits
from chatwren.service.rewording import Rewording, rewriter_of
from chatwren.service.throttling import Throttling
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.web.access import check_guarded, guard
from chatwren.web.api import auth, bulk, events, health, media, messages, preview, qr, user_sessions, users, whatsapp
from chatwren.web.context import Context
from chatwren.web.http.answers import Answer
from chatwren.web.http.asgi import HttpApp
from chatwren.web.http.connections import ClientConnections
from chatwren.web.http.cookie import SessionCookie
from chatwren.web.http.door import Door
from chatwren.web.http.errors import respond
from chatwren.web.http.heads import Heads
from chatwren.web.http.memory import Memory, Working
from chatwren.web.http.observe import Observer
from chatwren.web.http.origins import Origins
from chatwren.web.http.proxies import TrustedProxies
from chatwren.web.pages import docs, page


@get("/", access=None)
async def index() -> Redirect:
    """What somebody finds who types the address that `serve` prints."""
    return Redirect("/docs", status_code=302)


# In the order in which they are documented: the user's ten routes as they come in docs/contract.md, then what we add.
_HANDLERS: Sequence[BaseRouteHandler] = (
    auth.register,
    auth.login,
    auth.logout,
    users.me,
    whatsapp.create_qr,
    whatsapp.status,
    whatsapp.groups,
    messages.send,
    messages.schedule,
    messages.queue,
    users.change_me,
    users.change_password,
    user_sessions.list_sessions,
    user_sessions.end_other_sessions,
    user_sessions.end_session,
    whatsapp.pair_by_phone,
    whatsapp.unlink,
    whatsapp.hold,
    whatsapp.release,
    preview.preview,
    messages.follow,
    messages.change,
    messages.cancel,
    messages.cancel_many,
    messages.retry,
    bulk.submit_bulk,
    bulk.follow_bulk,
    media.media_file,
    events.listen,
    qr.linked_picture,
    qr.qr_picture,
    health.live,
    health.ready,
    health.metrics,
    docs.openapi,
    docs.docs,
    page.static,
    index,
)


def create_app(settings: Settings, db: Database, media: MediaStore) -> Litestar:
    """The application. It holds no state: any number of processes may run it on one database.

    Raises:
        CannotStart: a setting is not usable.
        TypeError: a handler does not say who may call it, or has something else before the guard.
    """
    limits = Limits(db)
    computing = Computing(limits)
    rewording = Rewording(db, limits, computing, rewriter_of(settings))
    context = Context(
        settings,
        db,
        media,
        SessionCookie(settings.cookie_secrets, settings.cookie_samesite),
        Changes(db),
        sessions.Sessions(db),
        limits,
        computing,
        Intake(db, media, limits, computing, rewording),
        Throttling(db),
        rewording,
    )
    app = Litestar(
        _HANDLERS,
        debug=False,
        exception_handlers={Exception: respond},
        before_request=guard,  # Litestar copies the handler of each request for what it calls guards
        lifespan=[lambda _: _running(context)],
        logging_config=None,
        openapi_config=None,
        response_class=Answer,
        request_max_body_size=None,  # forms.py bounds each body by what its route takes
        response_headers=[
            ResponseHeader(name="cache-control", value="no-store"),
            ResponseHeader(name="x-content-type-options", value="nosniff"),
        ],
    )
    check_guarded(app)
    app.state.context = context
    origins = Origins(
        Door(Heads(cast("HttpApp", app.asgi_handler)), settings),
        allowed=settings.allowed_origins,
        any_localhost=settings.sandbox and not settings.allowed_origins,
        public_url=settings.public_url,
    )
    proxies = TrustedProxies(origins, settings.trusted_proxies, public_url=settings.public_url)
    app.state.connections = ClientConnections(trusts=proxies.trusts)
    app.state.memory = Memory()
    app.asgi_handler = cast("ASGIApp", Working(Observer(proxies, context.metrics), app.state.memory))
    return app


@contextlib.asynccontextmanager
async def _running(context: Context) -> AsyncIterator[None]:
    """What the application needs while it runs."""
    if not context.settings.cookie_secrets:
        secret = await sessions.cookie_secret(context.db)
        context.cookie = SessionCookie((secret,), context.settings.cookie_samesite)
    listening = asyncio.create_task(context.changes.run())
    try:
        yield
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await context.decoders.close()
        await context.rewording.close()
