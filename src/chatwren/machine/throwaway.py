"""A PostgreSQL for as long as a test run: `python -m chatwren.machine.throwaway COMMAND...` runs a command beside one.

The command, and what it starts in any language, finds the server's URL in CHATWREN_TEST_DATABASE_URL.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from chatwren.machine.postgres import EmbeddedPostgres
from chatwren.settings import CannotStart, Settings

VARIABLE = "CHATWREN_TEST_DATABASE_URL"


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that PostgreSQL's user can enter, unlike pytest's. It is removed with the context."""
    folder = Path(tempfile.mkdtemp(prefix="chatwren-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def throwaway_postgres() -> AsyncIterator[str]:
    """The URL of a server of its own, which is gone with all its data when the context ends."""
    with open_folder() as folder:
        server = EmbeddedPostgres(Settings(data_dir=folder), throwaway=True)
        try:
            yield await server.start()
        finally:
            await server.stop()


@contextlib.asynccontextmanager
async def fresh_database(server_url: str, *, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a database that exists as long as the context, on the server of `server_url`.

    Args:
        server_url: any database of the server.
        template: URL of a database of that server to copy, to which nobody is connected.
    """
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        copied = "" if template is None else f"TEMPLATE {urlsplit(template).path[1:]} STRATEGY file_copy"
        await connection.execute(f"CREATE DATABASE {name} {copied}")
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


async def _run(command: list[str]) -> int:
    async with throwaway_postgres() as url:
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | {VARIABLE: url})
        return await process.wait()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_run(sys.argv[1:])))
    except CannotStart as error:
        sys.exit(error.message)
    except KeyboardInterrupt:
        sys.exit(130)
