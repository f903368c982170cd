"""How long rows are kept, and their removal in steps that hold nothing up. docs/operations.md lists all bounds."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from chatwren.domain.limits import Limit
from chatwren.store.database import Connection
from chatwren.store.files import ORPHAN_AGE

STEP = 1000
"""Most rows that one statement removes."""

_OLD = {
    "session": "last_seen_at < now() - interval '14 days' OR created_at < now() - interval '90 days'",
    "throttle": "window_start < now() - interval '1 day'",
    "login_network": "seen_at < now() - interval '90 days'",
    "idempotency": "created_at < now() - interval '24 hours'",
    "pairing": "requested_at < now() - interval '30 days'",
    "dead_letter": "created_at < now() - interval '90 days'",
}
# Of messages and what belongs to them; $1 is how long they are kept. The time in a message's id, when it was accepted,
# makes the old ones a range of the primary key.
_OLD_MESSAGES = {
    "message": "id < uuid_at(now() - $1::interval) AND status > 'sending'"
    " AND coalesce(sent_at, ended_at) < now() - $1::interval",
    "bulk": "id < uuid_at(now() - $1::interval) AND ended_at < now() - $1::interval",
    "inbound": "received_at < now() - $1::interval",
}
_UNNAMED_MEDIA = (
    f"id < uuid_at(now() - interval '{ORPHAN_AGE}') AND NOT EXISTS (SELECT FROM message m WHERE m.media_id = media.id)"
)
"""Files of messages that have gone, or of requests that were killed before they had stored theirs."""


def steps(keep_messages: timedelta) -> list[Callable[[Connection], Awaitable[int]]]:
    """What removes up to STEP old rows each, and returns how many; to be repeated until there are fewer.

    Args:
        keep_messages: how long after their end messages are kept; 0: for ever.
    """
    found: list[Callable[[Connection], Awaitable[int]]] = [
        partial(_remove, table, condition) for table, condition in _OLD.items()
    ]
    if keep_messages:
        found += [partial(_remove_kept, table, keep_messages) for table in _OLD_MESSAGES]
    return [*found, partial(_remove, "media", _UNNAMED_MEDIA)]


async def surplus_inbound(connection: Connection, *, default: int) -> list[tuple[UUID, datetime]]:
    """Accounts with more received messages than they may have: each with the time up to which they are too many.

    Args:
        connection: one statement is run.
        default: how many an account of a user may have of whom the operator has said nothing else.
    """
    rows = await connection.fetch(
        """
        SELECT counted.account_id, last.received_at
        FROM (SELECT account_id, count(*) AS n FROM inbound GROUP BY account_id) AS counted
        JOIN account a ON a.id = counted.account_id
        LEFT JOIN user_limit l ON l.user_id = a.user_id AND l.name = $1
        CROSS JOIN LATERAL (
          SELECT received_at FROM inbound i WHERE i.account_id = counted.account_id
          ORDER BY received_at DESC OFFSET coalesce(l.value, $2) LIMIT 1
        ) AS last
        WHERE counted.n > coalesce(l.value, $2)
        """,
        Limit.INBOUND_MESSAGES,
        default,
    )
    return [(row[0], row[1]) for row in rows]


async def remove_inbound(connection: Connection, account: UUID, up_to: datetime) -> int:
    """Remove up to STEP of the account's received messages of that time or before."""
    return await _remove("inbound", "account_id = $1 AND received_at <= $2", connection, account, up_to)


async def _remove(table: str, condition: str, connection: Connection, *values: object) -> int:
    result = await connection.execute(
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {STEP}))",
        *values,
    )
    return int(result.removeprefix("DELETE "))


async def _remove_kept(table: str, keep: timedelta, connection: Connection) -> int:
    return await _remove(table, _OLD_MESSAGES[table], connection, keep)
