"""The database that the settings name, looked at before anything works with it: what is wrong with it is one line."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from chatwren.settings import CannotStart
from chatwren.store import migrate
from chatwren.store.database import UNREACHABLE

OLDEST_POSTGRESQL = 16


async def check_database(database_url: str) -> str:
    """The version of the PostgreSQL at an address.

    Raises:
        Away: it does not answer.
        CannotStart: it cannot be reached all the same, or is older than `OLDEST_POSTGRESQL`.
    """
    async with _connected(database_url) as connection:
        return _version(connection)


async def check_tables(database_url: str) -> str:
    """The version of the PostgreSQL at an address, which has the tables of this version of Chatwren.

    Raises:
        CannotStart: as `check_database`; or it has not.
    """
    async with _connected(database_url) as connection:
        version = _version(connection)
        if problem := migrate.lacks(await migrate.revision(connection)):
            raise CannotStart(problem)
    return version


async def revision(database_url: str) -> str | None:
    """The revision of Chatwren's tables at an address; None: it has none.

    Raises:
        CannotStart: as `check_database`.
    """
    async with _connected(database_url) as connection:
        _version(connection)
        return await migrate.revision(connection)


class Away(CannotStart):
    """The database does not answer, which may pass."""


def unreachable(error: BaseException) -> CannotStart:
    """What is said of a database to which no connection could be made, or whose connection broke."""
    said = " ".join(str(error).split()) or "no answer"
    passing = isinstance(error, UNREACHABLE) and not isinstance(error, ValueError)
    return (Away if passing else CannotStart)(f"The database of DATABASE_URL cannot be reached: {said}")


@contextlib.asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await asyncpg.connect(database_url, timeout=10)
    except (*UNREACHABLE, ValueError, asyncpg.exceptions.PostgresError) as error:
        raise unreachable(error) from None
    try:
        yield connection
    except UNREACHABLE as error:
        raise unreachable(error) from None
    except asyncpg.exceptions.PostgresError as error:
        raise CannotStart(f"The database refuses: {error}") from None
    finally:
        await connection.close()


def _version(connection: asyncpg.Connection) -> str:
    version = connection.get_server_version()
    if version.major < OLDEST_POSTGRESQL:
        raise CannotStart(f"DATABASE_URL is a PostgreSQL {version.major}: Chatwren needs {OLDEST_POSTGRESQL} or newer.")
    return f"{version.major}.{version.minor}"
