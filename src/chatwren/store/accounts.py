"""Accounts as the API sees them. What the worker writes of them: fenced/accounts.py."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chatwren.domain.ids import uuid7
from chatwren.store.database import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """A WhatsApp account that a user linked, or is about to link (`new`)."""

    id: UUID
    user_id: UUID
    status: str  # new, linked, logged_out, banned
    status_since: datetime
    status_reason: str | None
    phone: str | None  # digits
    name: str | None
    connected: bool
    connected_since: datetime
    offline_reason: str | None
    restriction_code: int | None
    restricted_since: datetime | None
    restricted_until: datetime | None
    held_reason: str | None
    held_since: datetime | None
    cold_code: int | None  # WhatsApp's number when it last refused a new contact
    cold_since: datetime | None
    cold_until: datetime | None
    in_flight: UUID | None
    next_at: datetime
    now: datetime  # the database's time when this was read


COLUMNS = (
    "account.id, account.user_id, account.status::text, status_since, status_reason, account.phone, account.name, "
    "connected, connected_since, offline_reason, restriction_code, restricted_since, restricted_until, held_reason, "
    "held_since, cold_code, cold_since, cold_until, in_flight, next_at, now()"
)
"""The columns of an `Account`, in its order, of a query that may join other tables."""
FIRST_OF_USER = "account WHERE account.user_id = {user} ORDER BY account.created_at, account.id LIMIT 1"
"""What of `SELECT … FROM` gives a user's first account."""


async def first_of_user(connection: Connection, user_id: UUID) -> Account | None:
    """The user's first account; None before the first pairing."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM {FIRST_OF_USER.format(user='$1')}", user_id)
    return Account(*row) if row else None


async def get(connection: Connection, account_id: UUID) -> Account:
    """An account that is known to exist."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM account WHERE id = $1", account_id)
    return Account(*row)


async def create_first(connection: Connection, user_id: UUID) -> Account:
    """The user's first account, made now if there is none. Two callers at once get the same one."""
    await connection.execute("SELECT FROM app_user WHERE id = $1 FOR UPDATE", user_id)
    account = await first_of_user(connection, user_id)
    if account is None:
        await connection.execute("INSERT INTO account (id, user_id) VALUES ($1, $2)", uuid7(), user_id)
        account = await first_of_user(connection, user_id)
    assert account is not None  # noqa: S101 - inserted above, in this transaction
    return account


async def groups(connection: Connection, account_id: UUID) -> tuple[list[dict[str, Any]] | None, datetime | None]:
    """The account's groups as last known, None when WhatsApp was never asked, and when it was."""
    row = await connection.fetchrow("SELECT groups, groups_at FROM account WHERE id = $1", account_id)
    return (row[0], row[1]) if row else (None, None)


async def want_groups(connection: Connection, account_id: UUID) -> datetime:
    """Ask the account's worker to fetch the group list; returns when it was asked."""
    wanted: datetime = await connection.fetchval(
        "UPDATE account SET groups_wanted_at = now() WHERE id = $1 RETURNING groups_wanted_at", account_id
    )
    return wanted


async def want_logout(connection: Connection, account_id: UUID) -> None:
    """Ask the account's worker to unlink the device."""
    await connection.execute(
        "UPDATE account SET logout_wanted_at = now() WHERE id = $1 AND status = 'linked' AND logout_wanted_at IS NULL",
        account_id,
    )


async def hold(connection: Connection, account_id: UUID) -> None:
    """Let nothing go out until `release`. What holds it already goes on to."""
    await connection.execute(
        "UPDATE account SET held_reason = 'user', held_since = now() WHERE id = $1 AND held_reason IS NULL", account_id
    )


async def release(connection: Connection, account_id: UUID) -> None:
    """Let what is held go out."""
    await connection.execute("UPDATE account SET held_reason = NULL, held_since = NULL WHERE id = $1", account_id)
