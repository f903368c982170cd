"""The parts of a running Chatwren that the benches drive: its PostgreSQL, its web process, and people with accounts."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from chatwren.domain.ids import uuid7
from chatwren.machine.data_lock import Claim
from chatwren.machine.postgres import EmbeddedPostgres
from chatwren.service import sessions
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.migrate import migrate
from chatwren.web.http.cookie import SessionCookie

SECRET = "a secret of the benches"  # noqa: S105 - opens nothing


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can enter, for as long as the context."""
    with tempfile.TemporaryDirectory(prefix="chatwren-bench-", dir="/tmp") as made:
        path = Path(made)
        path.chmod(0o711)
        yield path


@contextlib.asynccontextmanager
async def postgres(data_dir: Path) -> AsyncIterator[str]:
    """The URL of the embedded PostgreSQL, as `serve` runs it: each commit waits for the disk. Migrated and empty."""
    settings = Settings(_env_file=None, data_dir=data_dir)
    with Claim(data_dir):
        server = EmbeddedPostgres(settings)
        url = await server.start()
        try:
            await migrate(url)
            yield url
        finally:
            await server.stop()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a session and a linked, connected account. `cookie` is the header's value."""

    user: UUID
    account: UUID
    cookie: str


async def sign_up(db: Database, count: int, *, secret: str = SECRET, linked: bool = True) -> list[Person]:
    """So many people, without the time that passwords take to hash.

    Args:
        db: where to.
        count: how many.
        secret: what their cookies are signed with.
        linked: with an account as if a worker had paired it; else `account` names none.
    """
    people = []
    async with db.transaction() as connection:
        for number in range(count):
            user, account = uuid7(), uuid7()
            await connection.execute(
                "INSERT INTO app_user (id, username, username_key, name, phone, email, password_hash)"
                " VALUES ($1, $2, $2, $2, '+491510000000', 'x@example.com', '')",
                user,
                f"person{number}",
            )
            if linked:
                await connection.execute(
                    "INSERT INTO account (id, user_id, status, jid, phone, connected)"
                    " VALUES ($1, $2, 'linked', $3 || ':1@s.whatsapp.net', $3, true)",
                    account,
                    user,
                    f"49151{number:08d}",
                )
            sid = await sessions.start(connection, user, instead_of=None, at_most=50)
            cookie = SessionCookie((secret,)).line(sid, secure=False).partition(";")[0]
            people.append(Person(user, account, cookie))
    return people


@dataclass(frozen=True, slots=True)
class Web:
    """A running `chatwren web`."""

    pid: int
    port: int

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def most_memory(self) -> int:
        """The most resident bytes that it has ever had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.asynccontextmanager
async def web(
    url: str, data_dir: Path, *, program: Sequence[str] = ("-m", "chatwren", "web"), **settings: str
) -> AsyncIterator[Web]:
    """`chatwren web` on that database, as a process of its own whose log goes to a file, with further settings.

    Args:
        url: of the database.
        data_dir: where its files are to be.
        program: what Python runs instead.
        settings: by the names of their variables.
    """
    log = data_dir / "web.log"
    environment = {
        "DATABASE_URL": url,
        "CHATWREN_DATA_DIR": str(data_dir),
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_HOST": "127.0.0.1",
        "CHATWREN_PORT": "0",
        "CHATWREN_DRAIN_SECONDS": "0",
        "CHATWREN_LOG_FORMAT": "json",
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program),
            env=os.environ | environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        while (port := _port(log)) is None:
            assert process.returncode is None, log.read_text()
            await asyncio.sleep(0.05)
        yield Web(process.pid, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _port(log: Path) -> int | None:
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and (event := json.loads(line))["event"] == "web.ready":
            return int(event["addresses"][0].rpartition(":")[2])
    return None
