"""Accounts as the API sees them. What the worker writes of them: fenced/accounts.py."""

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chatwren.domain.accounts import Account
from chatwren.domain.ids import uuid7
from chatwren.store import pacing
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns

_MOVING = {"in_flight", "next_at", "now", "pacing"}
_ACCOUNT = Columns(Account, "account", status="account.status::text", now="now()", pacing=None)
COLUMNS = f"{_ACCOUNT}, {pacing.SELECTED}"
"""The columns of an account, for `account_of`, of a query that may join other tables."""
STANDING = f"""ROW({
    ", ".join(
        f"account.{name}"
        for name in (*(one.name for one in fields(Account) if one.name not in _MOVING), *pacing.COLUMNS)
    )
}, account.restricted_until > now())::text"""
"""What is as long the same as all that is known of an account but for what changes with each message that it sends."""
DEFAULT_OF_USER = "account WHERE account.user_id = {user} ORDER BY account.created_at, account.id LIMIT 1"
"""What of `SELECT … FROM` gives the account that a user means who names none: their first."""


def account_of(row: asyncpg.Record) -> Account | None:
    """The account of which a row has the COLUMNS; None where there was none to join."""
    return None if row["Account.id"] is None else _ACCOUNT.of(row, pacing=pacing.read(row))


async def default_of_user(connection: Connection, user_id: UUID) -> Account | None:
    """The account that the user means who names none; None before the first linking."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM {DEFAULT_OF_USER.format(user='$1')}", user_id)
    return account_of(row) if row else None


async def get(connection: Connection, user_id: UUID, account_id: UUID) -> Account | None:
    """An account of the user."""
    found = await among(connection, user_id, (account_id,))
    return found.get(account_id)


async def among(connection: Connection, user_id: UUID, account_ids: Collection[UUID]) -> dict[UUID, Account]:
    """Those of these accounts that are the user's, by their ids."""
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM account WHERE id = ANY($2) AND user_id = $1", user_id, list(account_ids)
    )
    return {found.id: found for row in rows if (found := account_of(row))}


async def create_default(connection: Connection, user_id: UUID) -> Account:
    """The account that the user means who names none, made now if there is none. With the user's row locked."""
    account = await default_of_user(connection, user_id)
    if account is None:
        await connection.execute("INSERT INTO account (id, user_id) VALUES ($1, $2)", uuid7(), user_id)
        account = await default_of_user(connection, user_id)
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
    connection.tell(Topic.WORK, (account_id,))
    return wanted


async def want_logout(connection: Connection, account_id: UUID) -> None:
    """Ask the account's worker to unlink the device."""
    await connection.execute(
        "UPDATE account SET logout_wanted_at = now() WHERE id = $1 AND status = 'linked' AND logout_wanted_at IS NULL",
        account_id,
    )
    connection.tell(Topic.WORK, (account_id,))


async def hold(connection: Connection, account_id: UUID) -> None:
    """Let nothing go out until `release`. What holds it already goes on to."""
    await connection.change(
        Topic.ACCOUNT,
        "UPDATE account SET held_reason = 'user', held_since = now() WHERE id = $1 AND held_reason IS NULL"
        " RETURNING user_id",
        account_id,
    )


async def release(connection: Connection, account_id: UUID) -> None:
    """Let what is held go out."""
    await connection.change(
        Topic.ACCOUNT,
        "UPDATE account SET held_reason = NULL, held_since = NULL WHERE id = $1 RETURNING user_id",
        account_id,
    )
    connection.tell(Topic.WORK, (account_id,))
