"""A system with a PostgreSQL that can be killed, three workers, and many who send; and how much of everything."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatwren.machine.postgres import EmbeddedPostgres
from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings
from chatwren.store.migrate import migrate
from tests.chaos.crowd import Member
from tests.e2e.house import House, a_number, house

CAST = ("alice", "bob", "charlie")
CLOCKS = (0.0, 60.0, -60.0)
"""By how many seconds the clock of each worker is wrong."""
FIGURES = pytest.StashKey[list[str]]()

_LINKING_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """How much happens.

    Attributes:
        freezes: of a worker, of an engine, of both in turn.
        takeover_seconds: how long after the lease at most another owns the accounts of a worker that died. The promise
            is one second; the short form also runs on machines that are busy with something else.
    """

    accounts: int
    messages: int
    worker_kills: int
    engine_kills: int
    freezes: int
    database_kills: int
    races: int
    takeover_seconds: float


SHORT = Scale(
    accounts=9, messages=900, worker_kills=2, engine_kills=2, freezes=1, database_kills=1, races=300, takeover_seconds=4
)
LONG = Scale(
    accounts=56,
    messages=20_000,
    worker_kills=10,
    engine_kills=10,
    freezes=6,
    database_kills=3,
    races=5_000,
    takeover_seconds=1,
)


class Postgres:
    """The PostgreSQL that `chatwren serve` runs, with its settings."""

    def __init__(self, folder: Path) -> None:
        self._pid_file = folder / "postgres" / "postmaster.pid"
        self._server = EmbeddedPostgres(Settings(_env_file=None, data_dir=folder))

    async def start(self) -> str:
        """Its URL, the same each time."""
        return await self._server.start()

    async def kill(self) -> None:
        """End its postmaster by SIGKILL. `start` starts it again."""
        os.kill(int(self._pid_file.read_text().split()[0]), signal.SIGKILL)
        await self._server.wait()
        await self._server.stop()

    async def stop(self) -> None:
        """End it in order."""
        await self._server.stop()


@pytest.fixture(scope="session")
def scale() -> Scale:
    """The short form, or with CHATWREN_TEST_CHAOS=long the long one."""
    return {"short": SHORT, "long": LONG}[os.environ.get("CHATWREN_TEST_CHAOS", "short")]


@pytest.fixture(scope="session")
async def postgres_to_kill() -> AsyncIterator[Postgres]:
    with open_folder() as folder:
        postgres = Postgres(folder)
        try:
            yield postgres
        finally:
            await postgres.stop()


@pytest.fixture(scope="session")
async def home(postgres_to_kill: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    url = await postgres_to_kill.start()
    await migrate(url)
    async with house(url, tmp_path_factory.mktemp("house"), CHATWREN_SEND_TIMEOUT_SECONDS="5") as built:
        for clock in CLOCKS:
            await built.worker(clock=clock)
        yield built


@pytest.fixture(scope="session")
async def crowd(home: House, scale: Scale) -> AsyncIterator[list[Member]]:
    """Users, each with a linked phone and a friend, whose phone sends no receipts, or only of arrivals, or all."""
    linking = asyncio.Semaphore(_LINKING_AT_ONCE)
    async with contextlib.AsyncExitStack() as stack:

        async def join(number: int) -> Member:
            async with linking:
                person = await stack.enter_async_context(home.person(CAST[number % len(CAST)]))
                await person.link()
                friend = a_number()
                await home.phones.set(friend, receipts=("none", "delivered", "read")[number % 3])
                return Member(person, friend)

        yield await asyncio.gather(*(join(number) for number in range(scale.accounts)))


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """What was counted: lines that are shown at the end of the run."""
    return pytestconfig.stash.setdefault(FIGURES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was counted."""
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)
