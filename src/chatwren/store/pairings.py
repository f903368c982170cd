"""Pairings as the API sees them. What the worker writes of them: pairing_jobs.py."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chatwren.domain.ids import uuid7
from chatwren.store.database import Connection

LIFETIME = timedelta(seconds=200)
"""How long a pairing may take in all: WhatsApp's codes last 160 s, a phone code 180 s."""


@dataclass(frozen=True, slots=True)
class Code:
    """One QR code and when it is the current one."""

    text: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Pairing:
    """One attempt to link an account."""

    id: UUID
    account_id: UUID
    token: str
    state: str  # requested, waiting, linked, failed
    phone: str | None
    codes: tuple[Code, ...]
    phone_code: str | None
    expires_at: datetime
    ended_at: datetime | None
    failure: str | None
    now: datetime

    @property
    def current(self) -> Code | None:
        """The code that is valid now."""
        return next((code for code in self.codes if code.ends_at > self.now), None)


_COLUMNS = (
    "id, account_id, token, state::text, phone, codes, phone_code, expires_at, ended_at, failure, now()"  # as Pairing
)


def _pairing(row: Any) -> Pairing:
    values = list(row)
    values[5] = tuple(
        Code(one["text"], datetime.fromisoformat(one["from"]), datetime.fromisoformat(one["until"]))
        for one in values[5] or ()
    )
    return Pairing(*values)


async def start_or_join(connection: Connection, *, account_id: UUID, user_id: UUID, phone: str | None) -> Pairing:
    """The account's running pairing, or a new one where none runs or the running one has had its time.

    A pairing by phone code replaces one that shows QR codes only, or asks another phone.
    """
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
    await connection.execute(
        """
        INSERT INTO pairing (id, account_id, user_id, token, phone, expires_at)
        VALUES ($1, $2, $3, $4, $5, now() + $6)
        ON CONFLICT (account_id) WHERE ended_at IS NULL DO NOTHING
        """,
        uuid7(),
        account_id,
        user_id,
        secrets.token_urlsafe(24),
        phone,
        LIFETIME,
    )
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM pairing WHERE account_id = $1 AND ended_at IS NULL", account_id
    )
    return _pairing(row)


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
