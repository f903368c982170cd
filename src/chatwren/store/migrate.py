"""Bring the database's schema to this version of Chatwren."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x43_48_41_54  # "CHAT": the advisory lock that lets one process migrate at a time


async def migrate(dsn: str) -> None:
    """Apply what is missing; nothing when the schema is current. Safe to call from many processes at once.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses.
    """
    guard = await asyncpg.connect(dsn)
    engine = create_async_engine(
        # The DSN's own form is kept: libpq's (a unix socket as ?host=) is read by asyncpg, not by SQLAlchemy.
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn),
        poolclass=pool.NullPool,
    )
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", _LOCK)
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()
    finally:
        await engine.dispose()
        await guard.close()


async def is_current(dsn_or_connection: asyncpg.Connection) -> bool:
    """Whether the schema is the one that this version needs."""
    try:
        version = await dsn_or_connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    return bool(version == ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
