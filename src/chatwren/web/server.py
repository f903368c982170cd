"""The server that runs the web application: its listeners, its start, and its end without losing a request."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
import threading
from collections.abc import Iterator

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from chatwren.machine import descriptors, lifeline
from chatwren.media.objects import media_store
from chatwren.service.computing import share_python
from chatwren.settings import CannotStart, Settings
from chatwren.store.database import Database
from chatwren.web.app import create_app
from chatwren.web.context import Context
from chatwren.web.http.protocol import STALL_SECONDS, BoundedConfig, BoundedProtocol

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 10
"""How long an answer under way may take once the port is closed."""
_LAST_SECONDS = 0.25
"""How long those who connected at the last moment may take to say what they want."""
_CLOSE = (b"connection", b"close")
_KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep a connection: it should be they who close it
_BACKLOG = 2048
_UNSENT_BYTES = 32 * 1024  # of an answer, in the kernel: what is on its way has no bound but the client's window


class Server(uvicorn.Server):
    """uvicorn, ending by SIGTERM or SIGINT as an ordinary return after what is under way was answered.

    SIGTERM gives a balancer time to notice before the port is closed (`leave`).
    """

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
        config.memory = app.state.memory

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gently at the signals that ask for it."""
        loop = asyncio.get_running_loop()
        here = {signal.SIGTERM: self.leave, signal.SIGINT: self.stop}
        if threading.current_thread() is not threading.main_thread():
            here = {}
        for one, then in here.items():
            loop.add_signal_handler(one, then)
        try:
            yield
        finally:
            for one in here:
                loop.remove_signal_handler(one)

    def leave(self) -> None:
        """Want no more requests and say so, answer for a while those that come, and stop. At once the second time."""
        if self._context.leaving:
            self.stop()
            return
        self._context.leaving = True
        seconds = self._context.settings.drain_seconds
        log.info("web.leaving", seconds=seconds)
        # Each answer ends its connection, so that none is kept for a request that would come when it is closed.
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        asyncio.get_running_loop().call_later(seconds, self.stop)

    def stop(self) -> None:
        """Take no more connections, answer what is under way, and return from `serve`."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            log.info("web.ready", addresses=[_url(one) for one in sockets or ()])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, end the streams that have no end of their own, then the rest."""
        if self._context.leaving:
            await self._let_in_the_last(sockets or [])
        self._context.draining.set()
        await super().shutdown(sockets)

    async def _let_in_the_last(self, sockets: list[socket.socket]) -> None:
        """Close the port behind those who have connected, and hear what they want.

        Whoever meets a closed port asks another process; whoever was let in and gets no answer may not.
        """
        last = [accepted for one in sockets for accepted in _waiting(one)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for accepted in last:
            await loop.connect_accepted_socket(self._protocol, accepted)
        await asyncio.sleep(_LAST_SECONDS)

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self.config, self.server_state, self.lifespan.state)


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
    name = "chatwren web"
    async with Database.connect(settings.database_url, application_name=name, pacing=settings.pacing) as db:
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
    bound = listen(settings.host, settings.port, change="CHATWREN_PORT")
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
        if sys.platform == "linux":  # elsewhere connections do not inherit it, and the kernel keeps what it likes
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_SECONDS * 1000))
        one.listen(_BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def _waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """Those who have connected and were not let in."""
    with contextlib.suppress(OSError):  # there are no more
        while True:
            accepted, _ = listening.accept()
            accepted.setblocking(False)
            yield accepted


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
