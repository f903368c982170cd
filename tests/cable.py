"""A cable to the database that a test can cut and mend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit


class Cable:
    """Passes bytes on to PostgreSQL until it is cut. Made by `cable`."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._through: set[asyncio.StreamWriter] = set()
        self._silent = False
        self._forgotten: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The database's URL through this cable."""
        user = self._target.username or ""
        secret = f":{self._target.password}" if self._target.password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self._port}{self._target.path}?sslmode=disable"

    async def mend(self) -> None:
        """From now on connections are possible."""
        self._silent = False
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def silence(self) -> None:
        """Lose whatever the database says from now on, until the cable is cut and mended."""
        self._silent = True

    def forget(self) -> None:
        """Lose whatever the database says on the connections that there are: so firewalls forget what is idle."""
        self._forgotten |= self._through

    async def cut(self) -> None:
        """Break all connections; new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._through):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = self._target.hostname or parse_qs(self._target.query).get("host", [""])[0]
        port = self._target.port or int(parse_qs(self._target.query).get("port", ["5432"])[0])
        if host.startswith("/"):
            far_reader, far_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        ends = {writer, far_writer}
        if self._server is None:  # it was cut meanwhile
            for end in ends:
                end.transport.abort()
            return
        self._through |= ends
        try:
            ways = [
                asyncio.create_task(_copy(reader, far_writer, lost=lambda: False)),
                asyncio.create_task(_copy(far_reader, writer, lost=lambda: self._silent or writer in self._forgotten)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._through -= ends
            self._forgotten -= ends
            for end in ends:
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lost: Callable[[], bool]) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if not lost():
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def cable(url: str) -> AsyncIterator[Cable]:
    """A whole cable to this database."""
    made = Cable(url)
    await made.mend()
    try:
        yield made
    finally:
        await made.cut()
