"""Bring the database's schema to this version of Chatwren."""

import asyncio
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from chatwren.store.database import Connection

if TYPE_CHECKING:
    from sqlalchemy import Connection as SyncConnection

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x43_48_41_54  # "CHAT": the advisory lock that lets one process migrate at a time
_PAUSE_SECONDS = 0.1


async def migrate(dsn: str) -> None:
    """Apply what is missing; nothing when the schema is current. Safe to call from many processes at once.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses.
    """
    # Here, because web asks this module only whether the schema is current, and these take long to import.
    from sqlalchemy import pool  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    guard = await asyncpg.connect(dsn)
    engine = create_async_engine(
        # The DSN's own form is kept: libpq's (a unix socket as ?host=) is read by asyncpg, not by SQLAlchemy.
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn),
        poolclass=pool.NullPool,
    )
    try:
        # Asked again and again: who builds an index beside its writers would wait for the statement that waits here.
        while not await guard.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - another process has it
            await asyncio.sleep(_PAUSE_SECONDS)
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()
    finally:
        await engine.dispose()
        await guard.close()


async def is_current(connection: Connection) -> bool:
    """Whether the schema is the one that this version needs."""
    try:
        version = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    return bool(version == _newest())


@cache
def _newest() -> str:
    """The newest revision: each file in versions/ begins with its number."""
    return max(path.name for path in (_FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


def _upgrade(connection: "SyncConnection") -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
