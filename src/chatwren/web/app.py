"""The web application, and the server that runs it."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import cast

import structlog
import uvicorn
import uvloop
from litestar import Litestar, get
from litestar.datastructures import ResponseHeader
from litestar.response import Redirect
from litestar.types import ASGIApp, ControllerRouterHandler

from chatwren import descriptors, lifeline
from chatwren.service import sessions
from chatwren.service.computing import Computing, share_python
from chatwren.service.events import Changes
from chatwren.service.intake import Intake
from chatwren.service.limits import Limits
from chatwren.service.throttling import Throttling
from chatwren.settings import CannotStart, Settings
from chatwren.store.database import Database
from chatwren.store.media import MediaStore, media_store
from chatwren.web import qr
from chatwren.web.api import auth, bulk, events, health, media, messages, preview, user_sessions, users, whatsapp
from chatwren.web.asgi import HttpApp
from chatwren.web.connections import Connections
from chatwren.web.context import Context
from chatwren.web.door import Door
from chatwren.web.errors import respond
from chatwren.web.limits import BoundedConfig, BoundedProtocol
from chatwren.web.observe import Observer
from chatwren.web.origins import Origins
from chatwren.web.pages import docs
from chatwren.web.proxies import TrustedProxies
from chatwren.web.session import SessionCookie

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 10
_KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep a connection: it should be they who close it
_BACKLOG = 2048


@get("/")
async def index() -> Redirect:
    """What somebody finds who types the address that `serve` prints."""
    return Redirect("/docs", status_code=302)


# In the order in which they are documented: the user's ten routes as they come in docs/contract.md, then what we add.
_HANDLERS: Sequence[ControllerRouterHandler] = (
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
    docs.page,
    index,
)


def create_app(settings: Settings, db: Database, media: MediaStore) -> Litestar:
    """The application. It holds no state: any number of processes may run it on one database.

    Args:
        settings: of this process.
        db: where users, accounts and messages are.
        media: where files are.

    Raises:
        CannotStart: a setting is not usable.
    """
    limits = Limits(db)
    computing = Computing(limits)
    context = Context(
        settings,
        db,
        media,
        SessionCookie(settings.cookie_secrets, settings.cookie_samesite),
        Changes(db),
        sessions.Sessions(db),
        limits,
        computing,
        Intake(db, media, limits, computing),
        Throttling(db),
    )
    app = Litestar(
        _HANDLERS,
        debug=False,
        exception_handlers={Exception: respond},
        lifespan=[lambda _: _running(context)],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,  # forms.py bounds each body by what its route takes
        response_headers=[
            ResponseHeader(name="cache-control", value="no-store"),
            ResponseHeader(name="x-content-type-options", value="nosniff"),
        ],
    )
    app.state.context = context
    origins = Origins(
        Door(cast("HttpApp", app.asgi_handler), settings),
        allowed=settings.allowed_origins,
        any_localhost=settings.sandbox and not settings.allowed_origins,
        public_url=settings.public_url,
    )
    proxies = TrustedProxies(origins, settings.trusted_proxies)
    app.state.connections = Connections(trusts=proxies.trusts)
    app.asgi_handler = cast("ASGIApp", Observer(proxies, context.metrics))
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


class Server(uvicorn.Server):
    """uvicorn, ending by SIGTERM or SIGINT as an ordinary return after what is under way was answered."""

    def __init__(self, app: Litestar) -> None:
        config = BoundedConfig(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # proxies.py
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        super().__init__(config)
        self._context: Context = app.state.context
        config.connections = app.state.connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gently at the signals that ask for it."""
        loop = asyncio.get_running_loop()
        here = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        for one in here:
            loop.add_signal_handler(one, self.stop)
        try:
            yield
        finally:
            for one in here:
                loop.remove_signal_handler(one)

    def stop(self) -> None:
        """Take no more connections, answer what is under way, and return from `serve`."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            log.info("web.ready", addresses=[_url(one) for one in sockets or ()])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams that have no end of their own, then the rest."""
        self._context.draining.set()
        await super().shutdown(sockets)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CannotStart: the settings or the machine do not allow it.
        any of store.database.UNREACHABLE: the database cannot be reached.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))


async def _run(settings: Settings) -> None:
    if settings.database_url is None:
        raise CannotStart("web needs DATABASE_URL; `chatwren serve` brings a database of its own.")
    descriptors.raise_limit()
    sockets = listeners(settings)
    media = media_store(settings.media_url or str(settings.data_dir / "media"))
    async with Database.connect(settings.database_url, application_name="chatwren web") as db:
        server = Server(create_app(settings, db, media))
        _collect_seldom()
        share_python()
        loop = asyncio.get_running_loop()
        lifeline.watch(lambda: loop.call_soon_threadsafe(server.stop))
        await server.serve(sockets)


def _collect_seldom() -> None:
    """Leave alone what is loaded by now, and look for cycles of garbage less often: a tenth of a request's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def listeners(settings: Settings) -> list[socket.socket]:
    """What a web process listens on: its port, and that of its metrics where they have one of their own.

    Raises:
        CannotStart: a port is in use, or an address is not one of this machine.
    """
    bound = listen(settings.host, settings.port, change="--port or CHATWREN_PORT")
    if settings.metrics_listener:
        try:
            bound += listen(*settings.metrics_listener, change="CHATWREN_METRICS_ADDRESS")
        except CannotStart:
            _close(bound)
            raise
    return bound


def listen(host: str | None, port: int, *, change: str) -> list[socket.socket]:
    """Sockets bound to that address, or to both of this machine's own when `host` is None.

    Args:
        host: name or address.
        port: 0 is any free one.
        change: what sets the port.

    Raises:
        CannotStart: the port is in use, or the address is not one of this machine.
    """
    bound: list[socket.socket] = []
    for address in (host,) if host else ("127.0.0.1", "::1"):
        try:
            one = _bind(address, bound[0].getsockname()[1] if bound else port)
        except OSError as error:
            if bound and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue  # a machine without IPv6
            _close(bound)
            if error.errno == errno.EADDRINUSE:
                raise CannotStart(f"Port {port} is in use. Choose another with {change}.") from None
            raise CannotStart(f"Cannot listen on {address} port {port}: {error.strerror or error}.") from None
        bound.append(one)
    return bound


def _close(bound: list[socket.socket]) -> None:
    for one in bound:
        one.close()


def _bind(address: str, port: int) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    one = socket.socket(family, kind, proto)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(where)
        one.listen(_BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
