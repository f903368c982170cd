"""How long rows are kept, and their removal in steps that hold nothing up."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from chatwren.store.database import Connection

STEP = 1000
"""Most rows that one statement removes."""

_OLD = {
    "session": "last_seen_at < now() - interval '14 days' OR created_at < now() - interval '90 days'",
    "throttle": "window_start < now() - interval '1 day'",
    "idempotency": "created_at < now() - interval '24 hours'",
    "pairing": "requested_at < now() - interval '30 days'",
}
# Of messages and what belongs to them; $1 is how long they are kept. The time in a message's id, when it was accepted,
# makes the old ones a range of the primary key.
_OLD_MESSAGES = {
    "message": "id < uuid_at(now() - $1::interval) AND status > 'sending'"
    " AND coalesce(sent_at, ended_at) < now() - $1::interval",
    "media": "id < uuid_at(now() - $1::interval) AND NOT EXISTS (SELECT FROM message m WHERE m.media_id = media.id)",
    "bulk": "id < uuid_at(now() - $1::interval) AND ended_at < now() - $1::interval",
    "inbound": "received_at < now() - $1::interval",
}


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
    return found


async def _remove(table: str, condition: str, connection: Connection, *values: object) -> int:
    result = await connection.execute(
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {STEP}))",
        *values,
    )
    return int(result.removeprefix("DELETE "))


async def _remove_kept(table: str, keep: timedelta, connection: Connection) -> int:
    return await _remove(table, _OLD_MESSAGES[table], connection, keep)
