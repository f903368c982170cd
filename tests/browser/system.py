"""The system under test, as a person starts it: `chatwren serve --sandbox`."""

import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.house import House, Program
from tests.e2e.phones import Phones
from tests.waiting import until

_START_SECONDS = 60


@dataclass
class System(House):
    """A house that one command built. `phones_url` is the page of the simulated phones."""

    phones_url: str = field(init=False)

    async def further_web(self, **settings: str) -> str:
        """Start one more web process with other settings; its URL."""
        own = {"CHATWREN_HOST": "127.0.0.1", "CHATWREN_PORT": "0", **settings}
        web = await self.start("web", sys.executable, "-m", "chatwren", "web", **own)
        ready = await _said(web, r'"http://127\.0\.0\.1(:\d+)".*"web\.ready"')
        return f"http://localhost{ready[1]}"


@contextlib.asynccontextmanager
async def serve(database_url: str, folder: Path) -> AsyncIterator[System]:
    """`chatwren serve --sandbox`, for as long as the context lasts."""
    system = System(folder, {"DATABASE_URL": database_url, "CHATWREN_DATA_DIR": str(folder)})
    try:
        program = await system.start(
            "serve", sys.executable, "-m", "chatwren", "serve", "--sandbox", "--port", "0", "--sandbox-port", "0"
        )
        system.url = (await _said(program, r"Chatwren is ready: (\S+)"))[1]
        system.phones_url = (await _said(program, r"Simulated phones: +(\S+)"))[1]
        async with httpx.AsyncClient(base_url=system.phones_url, timeout=30, trust_env=False) as client:
            system.phones = Phones(client)
            yield system
    finally:
        await system.close()


async def _said(program: Program, pattern: str) -> re.Match[str]:
    """What a process has logged, once it has."""

    async def found() -> re.Match[str] | None:
        said = program.log.read_text()
        assert program.process.returncode is None, said
        return re.search(pattern, said)

    match = await until(found, seconds=_START_SECONDS, what=f"{pattern!r} in {program.log}")
    assert match is not None
    return match
