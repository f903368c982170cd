"""A web process in a thread: real sockets, so that cookies, headers and bodies are the bytes that a client sees."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import uvloop
from litestar import Litestar

from chatwren.media.objects import media_store
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.web.app import create_app
from chatwren.web.server import Server, listeners

T = TypeVar("T")

SECRET = "a secret of the tests"
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS: a client that reads the authorities of the web for itself takes 20 ms."""


class _Server(Server):
    """Says when it has started."""

    def __init__(self, app: Litestar, started: threading.Event) -> None:
        super().__init__(app)
        self._says = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._says.set()


class WebServer:
    """Serves as long as its context."""

    def __init__(self, database_url: str, data_dir: Path, **given: Any) -> None:
        settings = {"cookie_secrets": (SECRET,), "sandbox": True, "host": "127.0.0.1", "port": 0, **given}
        self.settings = Settings(_env_file=None, database_url=database_url, data_dir=data_dir, **settings)
        self.sockets = listeners(self.settings)
        self.port: int = self.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(30)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self._failure is None

    @property
    def app(self) -> Litestar:
        """The application that it serves."""
        app = self.server.config.app
        assert isinstance(app, Litestar)
        return app

    def run(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Do something with the database, in the server's loop."""

        async def do() -> T:
            return await work(self.db)

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(30)

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""

        async def fetch(db: Database) -> list[tuple[Any, ...]]:
            async with db.connection() as connection:
                return [tuple(row) for row in await connection.fetch(query, *values)]

        return self.run(fetch)

    def client(self, **given: Any) -> httpx.Client:
        """A client without a session. The caller closes it."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=_NO_AUTHORITIES, **given)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            self.loop = asyncio.get_running_loop()
            async with Database.connect(str(self.settings.database_url), pacing=self.settings.pacing) as self.db:
                media = media_store(str(self.settings.data_dir / "media"))
                self.server = _Server(create_app(self.settings, self.db, media), self._started)
                await self.server.serve(self.sockets)
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            self._failure = error
        finally:
            for one in self.sockets:
                one.close()
            self._started.set()
