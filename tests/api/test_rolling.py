"""Two web processes behind a balancer are restarted one after the other: no request is lost."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Person
from tests.api.server import SECRET
from tests.waiting import until

pytestmark = pytest.mark.anyio

REQUESTS = 1_000
_CHECK_SECONDS = 0.05
_START_SECONDS = 60


@dataclass
class Balancer:
    """Passes connections on to web processes in turn.

    Attributes:
        asks: it asks /health/ready, sends to who is ready, and never tries again. Else it asks nobody, and tries the
            next where a port is closed, as nginx does.
        ready: the ports of those who were ready when they were asked last.
    """

    ports: list[int]
    asks: bool
    ready: set[int] = field(default_factory=set)
    port: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        """It listens."""
        self._turns = itertools.cycle(self.ports)
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        checking = asyncio.create_task(self._check())
        try:
            yield self
        finally:
            checking.cancel()
            server.close()

    async def _check(self) -> None:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while True:
                for port in self.ports:
                    try:
                        answer = await client.get(f"http://127.0.0.1:{port}/health/ready")
                        (self.ready.add if answer.status_code == 200 else self.ready.discard)(port)
                    except httpx.TransportError:
                        self.ready.discard(port)
                await asyncio.sleep(_CHECK_SECONDS)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            there = await self._connect()
            if there is not None:
                with contextlib.closing(there[1]), contextlib.suppress(ConnectionError):
                    ways = [asyncio.create_task(_pump(reader, there[1])), asyncio.create_task(_pump(there[0], writer))]
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    for way in ways:
                        way.cancel()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        usable = [port for port in itertools.islice(self._turns, 3) if port in self.ready or not self.asks]
        for port in usable[:1] if self.asks else usable:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@pytest.fixture
def start(alice: Person, tmp_path: Path) -> Callable[[int], Awaitable[Process]]:
    """Starts a web process on a port."""
    environment = os.environ | {
        "DATABASE_URL": str(alice.server.settings.database_url),
        "CHATWREN_DATA_DIR": str(tmp_path),
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_DRAIN_SECONDS": "2",
        "CHATWREN_LOG_LEVEL": "warning",
    }

    async def start(port: int) -> Process:
        own = environment | {"CHATWREN_PORT": str(port)}
        return await asyncio.create_subprocess_exec(sys.executable, "-m", "chatwren", "web", env=own)

    return start


@pytest.mark.parametrize("asks", [True, False], ids=["asks whether it is ready", "tries the next"])
async def test_no_request_is_lost_while_one_after_the_other_is_restarted(
    *, asks: bool, alice: Person, start: Callable[[int], Awaitable[Process]]
) -> None:
    ports = [_free_port() for _ in range(2)]
    webs = [await start(port) for port in ports]
    try:
        async with Balancer(ports, asks).running() as balancer:
            await _until_ready(balancer, ports)
            answers: list[int | str] = []
            done = asyncio.Event()
            clients = [asyncio.create_task(_ask(alice, balancer.port, done, answers, keep=n % 2)) for n in range(4)]
            restarts = 0
            while restarts < len(webs) or len(answers) < REQUESTS:
                number = restarts % len(webs)
                webs[number].send_signal(signal.SIGTERM)
                assert await webs[number].wait() == 0
                webs[number] = await start(ports[number])
                await _until_ready(balancer, ports)
                restarts += 1
            done.set()
            await asyncio.gather(*clients)
        assert Counter(answers) == {200: len(answers)}
    finally:
        for web in webs:
            with contextlib.suppress(ProcessLookupError):
                web.kill()
            await web.wait()


async def _ask(alice: Person, port: int, done: asyncio.Event, answers: list[int | str], *, keep: int) -> None:
    """Change something again and again, over one connection or a new one each time: statuses, and what was lost."""
    connections = httpx.Limits(max_keepalive_connections=keep)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"cookie": alice.cookie},
        limits=connections,
        timeout=30,
        trust_env=False,
    ) as client:
        while not done.is_set():
            try:
                answers.append((await client.patch("/api/users/me", json={"timeZone": "Asia/Kolkata"})).status_code)
            except httpx.TransportError as error:
                answers.append(repr(error))


async def _until_ready(balancer: Balancer, ports: list[int]) -> None:
    async def both() -> bool:
        return balancer.ready == set(ports)

    await until(both, seconds=_START_SECONDS, what="two web processes that are ready")


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])
