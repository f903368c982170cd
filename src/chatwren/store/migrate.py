"""Bring the database's schema to this version of Chatwren, beside processes that use it."""

import asyncio
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from chatwren.store.database import CLASHES, Connection

if TYPE_CHECKING:
    from sqlalchemy import Connection as SyncConnection
    from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger(__name__)

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x43_48_41_54  # "CHAT": the advisory lock that lets one process migrate at a time
_LOCK_TIMEOUT = "1s"
"""How long a statement may wait for a table that others use: whoever wants the table meanwhile waits behind it."""
_PAUSE_SECONDS = 0.1
_IN_THE_WAY = {one.sqlstate for one in (*CLASHES, asyncpg.LockNotAvailableError)}


async def migrate(dsn: str, *, to: str = "head") -> None:
    """Apply what is missing; nothing when the schema is current, or newer. Safe to call from many processes at once.

    Others may use the database meanwhile; where one is in the way, the migration stands back and tries again. Killed in
    the middle, it goes on when it is called again.

    Args:
        dsn: libpq URL.
        to: the revision to stop at.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses.
    """
    guard = await asyncpg.connect(dsn)
    try:
        # It may be of a newer release, whose revisions are not known here.
        if to != "head" or not await is_current(guard):
            await _migrate(guard, dsn, to)
    finally:
        await guard.close()


async def _migrate(guard: asyncpg.Connection, dsn: str, to: str) -> None:
    # Here, because most starts only ask whether the schema is current, and these take long to import.
    from sqlalchemy import pool  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    engine = create_async_engine(
        # The DSN's own form is kept: libpq's (a unix socket as ?host=) is read by asyncpg, not by SQLAlchemy.
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, server_settings={"lock_timeout": _LOCK_TIMEOUT}),
        poolclass=pool.NullPool,
    )
    try:
        # Asked again and again: who builds an index beside its writers would wait for the statement that waits here.
        my_turn = "SELECT pg_try_advisory_lock($1)"
        while not (await guard.fetchval(my_turn, _LOCK) and await _upgraded(engine, to)):  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await engine.dispose()


async def revision(connection: Connection | asyncpg.Connection) -> str | None:
    """The revision of the schema; None where Chatwren has no tables yet."""
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    return found


async def is_current(connection: Connection | asyncpg.Connection) -> bool:
    """Whether the schema has all that this version needs: a newer one has."""
    return lacks(await revision(connection)) is None


def lacks(found: str | None) -> str | None:
    """What a schema of that revision lacks for this version, and what mends it, as a sentence; None: nothing."""
    if found is None:
        return "The database has no tables of Chatwren yet: run `chatwren migrate`."
    if not (found.isdecimal() and found >= _newest()):
        return f"The database's tables are at {found}, and this version needs {_newest()}: run `chatwren migrate`."
    return None


@cache
def _newest() -> str:
    """The newest revision: each file in versions/ begins with its number."""
    return max(path.name for path in (_FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


async def _upgraded(engine: "AsyncEngine", to: str) -> bool:
    """Whether the schema is at that revision now; False: somebody was in the way."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    try:
        async with engine.connect() as connection:
            await connection.run_sync(partial(_upgrade, to=to))
            await connection.commit()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
            raise
        log.info("migration.stands_back", error=str(error.orig))
        return False
    return True


def _upgrade(connection: "SyncConnection", *, to: str) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
