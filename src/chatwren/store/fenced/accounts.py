"""What a worker learns about its accounts: connection, restriction, logout, name, groups. Each write is fenced.

Where one returns a boolean, it says whether it changed anything; then the account's user is told. What the API reads
and asks for: accounts.py.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chatwren.store.database import Connection, Topic

# The worker $1 owns the account. Nothing is written for one that it has lost.
_OWNED = "EXISTS (SELECT FROM lease l WHERE l.account_id = a.id AND l.worker_id = $1)"


async def connected(connection: Connection, worker: UUID, account: UUID, push_name: str | None) -> bool:
    """The account is connected: a ban for a time, if there was one, is over."""
    return await connection.change(
        Topic.ACCOUNT,
        f"""
        UPDATE account a SET
          connected = true,
          connected_since = CASE WHEN a.connected THEN a.connected_since ELSE now() END,
          offline_reason = NULL,
          name = coalesce($3, a.name),
          restriction_code = CASE WHEN a.restriction_code BETWEEN 100 AND 199 THEN NULL ELSE a.restriction_code END,
          restricted_until = CASE WHEN a.restriction_code BETWEEN 100 AND 199 THEN NULL ELSE a.restricted_until END
        WHERE a.id = $2 AND {_OWNED} RETURNING a.user_id
        """,
        worker,
        account,
        push_name,
    )


async def disconnected(connection: Connection, worker: UUID, account: UUID, reason: str) -> bool:
    """The connection is down, with a stable code of why."""
    return await connection.change(
        Topic.ACCOUNT,
        f"""
        UPDATE account a SET
          connected = false,
          connected_since = CASE WHEN a.connected THEN now() ELSE a.connected_since END,
          offline_reason = $3
        WHERE a.id = $2 AND {_OWNED} RETURNING a.user_id
        """,
        worker,
        account,
        reason,
    )


async def all_disconnected(connection: Connection, worker: UUID, reason: str) -> bool:
    """The worker's engine is gone, and every connection with it."""
    return await connection.change(
        Topic.ACCOUNT,
        f"""
        WITH mine AS MATERIALIZED (
          SELECT a.id FROM account a WHERE a.connected AND {_OWNED} ORDER BY a.id FOR NO KEY UPDATE
        )
        UPDATE account a SET connected = false, connected_since = now(), offline_reason = $2
        FROM mine WHERE a.id = mine.id RETURNING a.user_id
        """,
        worker,
        reason,
    )


async def restricted(
    connection: Connection, worker: UUID, account: UUID, code: int, until: datetime | None, *, otherwise: timedelta
) -> bool:
    """WhatsApp has banned the account for a time; where it does not say how long, for `otherwise`."""
    return await connection.change(
        Topic.ACCOUNT,
        f"""
        UPDATE account a SET
          connected = false,
          connected_since = CASE WHEN a.connected THEN now() ELSE a.connected_since END,
          offline_reason = 'restricted',
          restriction_code = $3,
          restricted_since = now(),
          restricted_until = coalesce($4, now() + $5::interval)
        WHERE a.id = $2 AND {_OWNED} RETURNING a.user_id
        """,
        worker,
        account,
        code,
        until,
        otherwise,
    )


async def unlinked(connection: Connection, worker: UUID, account: UUID, status: str, reason: str) -> bool:
    """The device is no longer linked: `logged_out` or `banned`, with a stable code of why."""
    return await connection.change(
        Topic.ACCOUNT,
        f"""
        UPDATE account a SET
          status = $3::account_status, status_since = now(), status_reason = $4,
          connected = false,
          connected_since = CASE WHEN a.connected THEN now() ELSE a.connected_since END,
          offline_reason = NULL, restriction_code = NULL, restricted_until = NULL,
          logout_wanted_at = NULL
        WHERE a.id = $2 AND a.status = 'linked' AND {_OWNED} RETURNING a.user_id
        """,
        worker,
        account,
        status,
        reason,
    )


async def named(connection: Connection, worker: UUID, account: UUID, name: str) -> bool:
    """The account's own name."""
    return await connection.change(
        Topic.ACCOUNT,
        f"UPDATE account a SET name = $3 WHERE a.id = $2 AND {_OWNED} RETURNING a.user_id",
        worker,
        account,
        name,
    )


async def groups_changed(connection: Connection, worker: UUID, account: UUID) -> None:
    """The list of groups is to be asked for again, if anybody has ever asked for it."""
    await connection.execute(
        f"UPDATE account a SET groups_wanted_at = now() WHERE a.id = $2 AND a.groups_at IS NOT NULL AND {_OWNED}",
        worker,
        account,
    )


async def store_groups(
    connection: Connection, worker: UUID, account: UUID, groups: list[dict[str, Any]], asked_for: datetime
) -> bool:
    """WhatsApp's list of groups: answers every wish up to `asked_for`."""
    return await connection.change(
        Topic.ACCOUNT,
        f"UPDATE account a SET groups = $3, groups_at = $4 WHERE a.id = $2 AND {_OWNED} RETURNING a.user_id",
        worker,
        account,
        groups,
        asked_for,
    )
