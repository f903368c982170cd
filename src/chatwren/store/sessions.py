"""The table `session`: who is logged in. It holds a hash of each session's id; the id itself is only in the cookie."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from chatwren.store import accounts, users
from chatwren.store.accounts import Account
from chatwren.store.database import Connection
from chatwren.store.users import User

LIVING = """
  SELECT sid_hash, user_id, last_seen_at < now() - interval '5 minutes' AS stale
  FROM session JOIN app_user ON app_user.id = user_id
  WHERE sid_hash = {sid_hash} AND disabled_at IS NULL
    AND last_seen_at > now() - interval '14 days' AND session.created_at > now() - interval '90 days'
  LIMIT 1
"""
"""The session with that hash, unless it has ended. LIMIT 1: else a join may hash the whole table."""


@dataclass(frozen=True, slots=True)
class Session:
    """A living session.

    Attributes:
        user: whose it is.
        account: the user's first; None before the first pairing.
        stale: its `last_seen_at` is old enough to be worth a write.
    """

    sid_hash: bytes
    user: User
    account: Account | None
    stale: bool


_USER_COLUMNS = len(fields(User))


async def insert(connection: Connection, sid_hash: bytes, user_id: UUID) -> None:
    """Begin a session."""
    await connection.execute("INSERT INTO session (sid_hash, user_id) VALUES ($1, $2)", sid_hash, user_id)


async def get(connection: Connection, sid_hashes: Collection[bytes]) -> dict[bytes, Session]:
    """The sessions that have not ended: idle for 14 days, 90 days old, or their user disabled."""
    rows = await connection.fetch(
        f"""
        SELECT living.sid_hash, living.stale, {users.COLUMNS}, account.*
        FROM unnest($1::bytea[]) AS asked (sid_hash)
        CROSS JOIN LATERAL ({LIVING.format(sid_hash="asked.sid_hash")}) AS living
        JOIN app_user ON app_user.id = living.user_id
        LEFT JOIN LATERAL (SELECT {accounts.COLUMNS} FROM {accounts.FIRST_OF_USER.format(user="living.user_id")})
          AS account ON true
        """,
        list(sid_hashes),
    )
    return {row[0]: _session(tuple(row)) for row in rows}


def _session(row: tuple[Any, ...]) -> Session:
    sid_hash, stale, *values = row
    account = values[_USER_COLUMNS:]
    return Session(
        sid_hash, User(*values[:_USER_COLUMNS]), Account(*account) if account[0] is not None else None, stale
    )


async def is_of_user(connection: Connection, sid_hash: bytes, user_id: UUID) -> bool:
    """Whether there is such a living session, and it is that user's."""
    row = await connection.fetchrow(f"SELECT user_id FROM ({LIVING.format(sid_hash='$1')}) AS living", sid_hash)
    return row is not None and row[0] == user_id


async def touch(connection: Connection, sid_hashes: Collection[bytes]) -> None:
    """Note that the sessions are used."""
    await connection.execute("UPDATE session SET last_seen_at = now() WHERE sid_hash = ANY($1)", list(sid_hashes))


async def delete(connection: Connection, sid_hash: bytes) -> None:
    """End the session."""
    await connection.execute("DELETE FROM session WHERE sid_hash = $1", sid_hash)


async def delete_of_user(connection: Connection, user_id: UUID) -> None:
    """End all sessions of the user."""
    await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
