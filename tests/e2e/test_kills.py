"""`chatwren serve --sandbox` as it is delivered, under traffic both ways: each of its processes is killed."""

import os
import re
import signal
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from chatwren.machine.postgres import reach_database
from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings
from tests.e2e.house import House, Person, Program
from tests.e2e.phones import Phones
from tests.e2e.traffic import flowing, linked
from tests.waiting import until

pytestmark = pytest.mark.anyio

BACK_SECONDS = 15
GAP = 0.25


class Whole:
    """A `serve` with people whose phones are linked.

    Attributes:
        home: the system that it runs.
        people: who uses it.
    """

    def __init__(self, home: House, phones: httpx.AsyncClient) -> None:
        self.home = home
        self.people: list[Person] = []
        self._phones = phones
        self._serve: Program

    async def start(self) -> None:
        """Start it, again too, and wait until it is ready."""
        serve = self._serve = await self.home.start(
            "serve", sys.executable, "-m", "chatwren", "serve", "--sandbox", DATABASE_URL=""
        )

        async def ready() -> re.Match[str] | None:
            assert serve.process.returncode is None, serve.log.read_text()
            return re.search(r"Chatwren is ready: (\S+) .*\nSimulated phones: +(\S+)\n", serve.log.read_text())

        said = await until(ready, seconds=60, what="the start of serve")
        assert said is not None
        self.home.url = said[1]
        self._phones.base_url = httpx.URL(said[2])
        for person in self.people:
            person.http.base_url = httpx.URL(said[1])

    def pid(self, name: str) -> int:
        """The process id of serve itself or of one of its processes."""
        if name == "serve":
            return self._serve.process.pid
        if name == "postgres":
            return int((self.home.folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
        return [
            int(one["pid"]) for one in self._serve.said() if one["event"] == "process.started" and one["name"] == name
        ][-1]


@pytest.fixture(scope="module")
async def whole() -> AsyncIterator[Whole]:
    with open_folder() as folder:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            home = House(
                folder,
                {
                    "CHATWREN_DATA_DIR": str(folder / "data"),
                    "CHATWREN_PORT": "0",
                    "CHATWREN_SANDBOX_PORT": "0",
                    "CHATWREN_PACING_GAP_SECONDS": "0",
                },
            )
            home.phones = Phones(client)
            made = Whole(home, client)
            try:
                await made.start()
                async with reach_database(Settings(data_dir=folder / "data", database_url=None)) as url:
                    home.environment["DATABASE_URL"] = url
                async with linked(home, 3) as made.people:
                    yield made
            finally:
                await home.close()


@pytest.mark.parametrize("name", ["web", "worker", "engine", "postgres", "sandbox", "serve"])
async def test_killed_under_traffic(whole: Whole, name: str) -> None:
    """What it did is done again within 15 s; after serve itself by the next one."""
    takes_the_sandbox_along = name in ("sandbox", "serve")
    async with flowing(whole.home, whole.people, gap=GAP) as traffic:
        await traffic.flows()
        if takes_the_sandbox_along:  # which keeps no messages on disk: what is under way to an account would be lost
            traffic.friends_write.clear()
            await traffic.all_stored()
        os.kill(whole.pid(name), signal.SIGKILL)
        if name == "serve":
            await whole.start()
        if takes_the_sandbox_along:

            async def answers() -> bool:
                try:
                    return bool(await whole.home.phones.stats())
                except httpx.TransportError:
                    return False

            await until(answers, what="the sandbox")
            traffic.friends_write.set()
        await traffic.flows(seconds=BACK_SECONDS)
        tally = await traffic.end()
    assert tally.wrong == []
    assert takes_the_sandbox_along or tally.undecryptable == 0  # its phones forget their Signal sessions, too
