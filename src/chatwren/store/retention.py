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
# Messages and what belongs to them; $1 is how long they are kept. The time in a message's id, when it was accepted,
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


async def surplus_inbound(connection: Connection, *, messages: int, size: int) -> list[tuple[UUID, datetime]]:
    """Accounts with more received messages, or bytes of them, than they may have, and the time up to which those go.

    Args:
        connection: one statement is run, which reads an index alone.
        messages: how many an account of a user may have of whom the operator has said nothing else.
        size: how many bytes.
    """
    rows = await connection.fetch(
        """
        WITH allowed AS MATERIALIZED (
          SELECT a.id, coalesce(min(l.value) FILTER (WHERE l.name = $1), $3) AS messages,
                 coalesce(min(l.value) FILTER (WHERE l.name = $2), $4) AS size
          FROM account a LEFT JOIN user_limit l ON l.user_id = a.user_id
          GROUP BY a.id
        )
        SELECT a.id, last.received_at
        FROM (SELECT account_id, count(*) AS messages, sum(size) AS size FROM inbound GROUP BY account_id) AS has
        JOIN allowed a ON a.id = has.account_id
        CROSS JOIN LATERAL (
          SELECT received_at FROM (
            SELECT received_at, row_number() OVER newest AS messages, sum(size) OVER newest AS size
            FROM inbound WHERE account_id = a.id
            WINDOW newest AS (ORDER BY received_at DESC ROWS UNBOUNDED PRECEDING)
          ) AS up_to
          WHERE up_to.messages > a.messages OR up_to.size > a.size
          ORDER BY received_at DESC LIMIT 1
        ) AS last
        WHERE has.messages > a.messages OR has.size > a.size
        """,
        Limit.INBOUND_MESSAGES,
        Limit.INBOUND_BYTES,
        messages,
        size,
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
