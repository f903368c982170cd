"""The table `session`: who is logged in. It holds a hash of each session's id; the id itself is only in the cookie."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from chatwren.domain.accounts import Account
from chatwren.domain.users import User
from chatwren.store import accounts, users
from chatwren.store.database import Connection
from chatwren.store.rows import Columns, Given

STILL_LIVING = """
  disabled_at IS NULL
  AND last_seen_at > now() - interval '14 days' AND session.created_at > now() - interval '90 days'
"""
"""What is true of a session, joined with its user, that has not ended."""
LIVING = f"""
  SELECT sid_hash, user_id, last_seen_at < now() - interval '5 minutes' AS stale
  FROM session JOIN app_user ON app_user.id = user_id
  WHERE sid_hash = {{sid_hash}} AND {STILL_LIVING}
  LIMIT 1
"""
"""The session with that hash, unless it has ended. LIMIT 1: else a join may hash the whole table."""


_STANDING = (
    f"""hashtextextended(ROW({", ".join(f"app_user.{one.name}" for one in fields(User))}, account.standing)::text, 0)"""
)
STANDING_OF_USER = f"""
  SELECT {_STANDING} AS standing FROM app_user
  LEFT JOIN LATERAL (SELECT {accounts.STANDING} AS standing FROM {accounts.DEFAULT_OF_USER.format(user="app_user.id")})
    AS account ON true
  WHERE app_user.id = {{user}} LIMIT 1
"""
"""A number that changes when what is known of a user and their first account does."""


@dataclass(frozen=True, slots=True)
class Session:
    """A living session.

    Attributes:
        stale: its `last_seen_at` is old enough to be worth a write.
        standing: see STANDING_OF_USER.
        user: whose it is.
        account: that which the user means who names none; None before the first linking.
    """

    sid_hash: bytes
    stale: bool
    standing: int
    user: User
    account: Account | None


_SESSION = Columns(Session, "living", user=None, account=None, standing=_STANDING)


async def insert(connection: Connection, sid_hash: bytes, user_id: UUID) -> None:
    """Begin a session."""
    await connection.execute("INSERT INTO session (sid_hash, user_id) VALUES ($1, $2)", sid_hash, user_id)


_ASKED = Given[bytes]("asked", sid_hash=("bytea", lambda sid_hash: sid_hash))
_GET = f"""
    SELECT {_SESSION}, {users.COLUMNS}, account.*
    FROM {_ASKED}
    CROSS JOIN LATERAL ({LIVING.format(sid_hash="asked.sid_hash")}) AS living
    CROSS JOIN LATERAL (SELECT * FROM app_user WHERE id = living.user_id LIMIT 1) AS app_user
    LEFT JOIN LATERAL (
      SELECT {accounts.COLUMNS}, {accounts.STANDING} AS standing
      FROM {accounts.DEFAULT_OF_USER.format(user="living.user_id")}
    ) AS account ON true
"""


async def get(connection: Connection, sid_hashes: Sequence[bytes]) -> dict[bytes, Session]:
    """The sessions that have not ended: idle for 14 days, 90 days old, or their user disabled."""
    rows = await connection.fetch(*_ASKED.asking(_GET, sid_hashes))
    return {found.sid_hash: found for found in map(_session, rows)}


def _session(row: asyncpg.Record) -> Session:
    return _SESSION.of(row, user=users.COLUMNS.of(row), account=accounts.account_of(row))


async def is_of_user(connection: Connection, sid_hash: bytes, user_id: UUID) -> bool:
    """Whether there is such a living session, and it is that user's."""
    row = await connection.fetchrow(f"SELECT user_id FROM ({LIVING.format(sid_hash='$1')}) AS living", sid_hash)
    return row is not None and row[0] == user_id


async def touch(connection: Connection, sid_hashes: Collection[bytes]) -> None:
    """Note that the sessions are used."""
    await connection.execute("UPDATE session SET last_seen_at = now() WHERE sid_hash = ANY($1)", list(sid_hashes))


# What a session is called where its owner sees it: it leads neither to the id in the cookie nor to the hash of that.
_PUBLIC_ID = "left(encode(sha256('session ' || sid_hash), 'hex'), 32)"


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session as its user sees it. `last_seen_at` may lag by some minutes."""

    id: str
    created_at: datetime
    last_seen_at: datetime
    current: bool


_SEEN = Columns(SeenSession, "session", id=_PUBLIC_ID, current="session.sid_hash = $2")


async def of_user(connection: Connection, user_id: UUID, *, current: bytes) -> list[SeenSession]:
    """The user's sessions that have not ended, the one of this hash first, then the last used."""
    rows = await connection.fetch(
        f"""
        SELECT {_SEEN} FROM session JOIN app_user ON app_user.id = user_id
        WHERE user_id = $1 AND {STILL_LIVING}
        ORDER BY sid_hash = $2 DESC, last_seen_at DESC, session.created_at DESC
        """,
        user_id,
        current,
    )
    return [_SEEN.of(row) for row in rows]


async def delete(connection: Connection, sid_hash: bytes) -> UUID | None:
    """End the session. Returns whose it was; None: there was none."""
    user_id: UUID | None = await connection.fetchval(
        "DELETE FROM session WHERE sid_hash = $1 RETURNING user_id", sid_hash
    )
    return user_id


async def delete_one(connection: Connection, user_id: UUID, public_id: str) -> bool:
    """End one of the user's sessions. False: there is none of that id."""
    result = await connection.execute(
        f"DELETE FROM session WHERE user_id = $1 AND {_PUBLIC_ID} = $2", user_id, public_id
    )
    return bool(result != "DELETE 0")


async def delete_of_user(connection: Connection, user_id: UUID, *, but: bytes = b"") -> int:
    """End all sessions of the user, but for the one of this hash. Returns how many there were."""
    result = await connection.execute("DELETE FROM session WHERE user_id = $1 AND sid_hash <> $2", user_id, but)
    return int(result.removeprefix("DELETE "))


async def keep_latest(connection: Connection, user_id: UUID, *, at_most: int, new: bytes) -> None:
    """End those of the user's sessions that were not used for longest, until there are `at_most`, the new one included.

    The caller holds the user's lock, so that no other session of theirs begins meanwhile.
    """
    await connection.execute(
        """
        DELETE FROM session WHERE sid_hash IN (
          SELECT sid_hash FROM session WHERE user_id = $1 AND sid_hash <> $2
          ORDER BY last_seen_at DESC, created_at DESC OFFSET $3
        )
        """,
        user_id,
        new,
        max(0, at_most - 1),
    )
