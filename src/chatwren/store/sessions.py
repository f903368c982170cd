"""The table `session`: who is logged in. It holds a hash of each session's id; the id itself is only in the cookie."""

from dataclasses import dataclass
from uuid import UUID

from chatwren.store.database import Connection
from chatwren.store.users import COLUMNS, User

_ALIVE = "last_seen_at > now() - interval '14 days' AND session.created_at > now() - interval '90 days'"


@dataclass(frozen=True, slots=True)
class Session:
    """A living session. `stale`: its `last_seen_at` is old enough to be worth a write."""

    user: User
    stale: bool


async def insert(connection: Connection, sid_hash: bytes, user_id: UUID) -> None:
    """Begin a session."""
    await connection.execute("INSERT INTO session (sid_hash, user_id) VALUES ($1, $2)", sid_hash, user_id)


async def get(connection: Connection, sid_hash: bytes) -> Session | None:
    """The session, unless it has ended: idle for 14 days, 90 days old, or its user disabled."""
    row = await connection.fetchrow(
        f"""
        SELECT last_seen_at < now() - interval '5 minutes', {COLUMNS}
        FROM session JOIN app_user ON app_user.id = user_id
        WHERE sid_hash = $1 AND disabled_at IS NULL AND {_ALIVE}
        """,
        sid_hash,
    )
    return Session(User(*row[1:]), row[0]) if row else None


async def touch(connection: Connection, sid_hash: bytes) -> None:
    """Note that the session is used."""
    await connection.execute("UPDATE session SET last_seen_at = now() WHERE sid_hash = $1", sid_hash)


async def delete(connection: Connection, sid_hash: bytes) -> None:
    """End the session."""
    await connection.execute("DELETE FROM session WHERE sid_hash = $1", sid_hash)


async def delete_of_user(connection: Connection, user_id: UUID) -> None:
    """End all sessions of the user."""
    await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
