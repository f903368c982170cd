"""`chatwren serve --sandbox` as it is delivered, which a test kills and starts again."""

import contextlib
import re
import sys
from collections.abc import AsyncIterator

import httpx

from chatwren.machine.postgres import reach_database
from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings
from tests.e2e.house import House, Person, Program
from tests.e2e.phones import Phones
from tests.waiting import until


class Whole:
    """A `serve` with people whose phones are linked.

    Attributes:
        home: the system that it runs.
        people: who uses it.
    """

    def __init__(self, home: House, phones: httpx.AsyncClient, database_url: str) -> None:
        self.home = home
        self._database_url = database_url
        self.people: list[Person] = []
        self._phones = phones
        self._serve: Program

    async def start(self) -> None:
        """Start it, again too, and wait until it is ready."""
        serve = self._serve = await self.home.start(
            "serve", sys.executable, "-m", "chatwren", "serve", "--sandbox", DATABASE_URL=self._database_url
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


@contextlib.asynccontextmanager
async def served(database_url: str = "", **settings: str) -> AsyncIterator[Whole]:
    """A running one in a folder of its own, with a PostgreSQL of its own unless there is another."""
    with open_folder() as folder:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            home = House(
                folder,
                {
                    "CHATWREN_DATA_DIR": str(folder / "data"),
                    "CHATWREN_PORT": "0",
                    "CHATWREN_SANDBOX_PORT": "0",
                    "CHATWREN_PACING_GAP_SECONDS": "0",
                    **settings,
                },
            )
            home.phones = Phones(client)
            made = Whole(home, client, database_url)
            try:
                await made.start()
                own = Settings(data_dir=folder / "data", database_url=database_url or None)
                async with reach_database(own) as url:
                    home.environment["DATABASE_URL"] = url
                yield made
            finally:
                await home.close()
