"""Pairings as the API sees them. What the worker writes of them: fenced/pairings.py."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from chatwren.domain.ids import uuid7
from chatwren.domain.pairings import Code, Pairing
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns, named
from chatwren.store.sessions import STILL_LIVING

LIFETIME = timedelta(seconds=200)
"""How long a pairing may take in all: WhatsApp's codes last 160 s, a phone code 180 s."""


_PAIRING = Columns(Pairing, "pairing", state="pairing.state::text", now="now()", codes=None)
_COLUMNS = f"{_PAIRING}, pairing.codes"


def _pairing(row: asyncpg.Record) -> Pairing:
    codes = (
        Code(one["text"], datetime.fromisoformat(one["from"]), datetime.fromisoformat(one["until"]))
        for one in row["codes"] or ()
    )
    return _PAIRING.of(row, codes=tuple(codes))


async def join(connection: Connection, *, account_id: UUID, phone: str | None) -> Pairing | None:
    """The account's running pairing, unless it has had its time, or does not do for this phone: then it ends."""
    await connection.execute(
        """
        UPDATE pairing SET state = 'failed', failure = 'timeout', ended_at = now(), codes = NULL, phone_code = NULL
        WHERE account_id = $1 AND ended_at IS NULL
          AND (expires_at <= now() OR ($2::text IS NOT NULL AND phone IS DISTINCT FROM $2)
               OR (codes IS NOT NULL AND (codes->-1->>'until')::timestamptz <= now()))
        """,
        account_id,
        phone,
    )
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM pairing WHERE account_id = $1 AND ended_at IS NULL", account_id
    )
    return _pairing(row) if row else None


_START = f"""
    INSERT INTO pairing (id, account_id, user_id, token, phone, expires_at)
    VALUES (:id, :account_id, :user_id, :token, :phone, now() + :lifetime) RETURNING {_COLUMNS}
"""


async def start(connection: Connection, *, account_id: UUID, user_id: UUID, phone: str | None) -> Pairing:
    """A new pairing of an account of which none runs."""
    row = await connection.fetchrow(
        *named(
            _START,
            id=uuid7(),
            account_id=account_id,
            user_id=user_id,
            token=_token(),
            phone=phone,
            lifetime=LIFETIME,
        )
    )
    connection.tell(Topic.WORK, (account_id,))
    return _pairing(row)


async def until_room(
    connection: Connection, user_id: UUID, *, within: timedelta, at_most: int, by_phone: bool
) -> timedelta | None:
    """How long until the user has begun fewer than `at_most` pairings of a kind lately; None: that is so now.

    One by QR code counts unless WhatsApp could not be reached for it.
    """
    kind = "phone IS NOT NULL" if by_phone else "phone IS NULL AND failure IS DISTINCT FROM 'disconnected'"
    return await _until_room(connection, f"user_id = $1 AND {kind}", user_id, within, at_most)


async def until_room_of_number(
    connection: Connection, phone: str, *, within: timedelta, at_most: int
) -> timedelta | None:
    """The same of all users' pairings by a code typed on this phone. Until the transaction ends, no other begins."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('pairings of ' || $1, 0))", phone)
    return await _until_room(connection, "phone = $1", phone, within, at_most)


async def _until_room(
    connection: Connection, condition: str, value: object, within: timedelta, at_most: int
) -> timedelta | None:
    if not at_most:
        return within
    wait: timedelta | None = await connection.fetchval(
        f"""
        SELECT requested_at + $2::interval - now() FROM pairing
        WHERE {condition} AND requested_at > now() - $2::interval
        ORDER BY requested_at DESC OFFSET $3 LIMIT 1
        """,
        value,
        within,
        at_most - 1,
    )
    return wait


async def leave(connection: Connection, user_id: UUID) -> None:
    """A session of the user has ended: what it saw of a pairing that runs leads nowhere now.

    The picture has another address; where nobody is left to see that, the pairing ends.
    """
    await connection.execute(
        f"""
        WITH seen AS (SELECT EXISTS (SELECT FROM session JOIN app_user ON app_user.id = user_id
                                     WHERE user_id = $1 AND {STILL_LIVING}) AS so)
        UPDATE pairing SET
          token = $2,
          state = CASE WHEN seen.so THEN state ELSE 'failed' END,
          failure = CASE WHEN seen.so THEN failure ELSE 'abandoned' END,
          ended_at = CASE WHEN seen.so THEN ended_at ELSE now() END,
          codes = CASE WHEN seen.so THEN codes END,
          phone_code = CASE WHEN seen.so THEN phone_code END
        FROM seen WHERE user_id = $1 AND ended_at IS NULL
        """,
        user_id,
        _token(),
    )


def _token() -> str:
    return secrets.token_urlsafe(24)


async def get(connection: Connection, pairing_id: UUID) -> Pairing:
    """A pairing that exists."""
    return _pairing(await connection.fetchrow(f"SELECT {_COLUMNS} FROM pairing WHERE id = $1", pairing_id))


async def by_token(connection: Connection, token: str) -> Pairing | None:
    """The pairing whose pictures the token names."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM pairing WHERE token = $1", token)
    return _pairing(row) if row else None


async def latest_of_account(connection: Connection, account_id: UUID) -> Pairing | None:
    """The account's newest pairing, running or ended."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM pairing WHERE account_id = $1 ORDER BY requested_at DESC LIMIT 1", account_id
    )
    return _pairing(row) if row else None


async def linked_token(connection: Connection, account_id: UUID) -> str | None:
    """The token of the pairing that linked the account: its picture says so."""
    token: str | None = await connection.fetchval(
        "SELECT token FROM pairing WHERE account_id = $1 AND state = 'linked' ORDER BY requested_at DESC LIMIT 1",
        account_id,
    )
    return token
