"""Deleting a user: from `app_user.deleted_at` until no row is left. What else it takes: service/deletion.py."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from uuid import UUID

from chatwren.domain.users import Deleted
from chatwren.store.database import UNREACHABLE, Connection, Topic

STEP = 1000
"""Most rows that one statement removes; what hangs on them goes with them."""

_LOCK = 0x43_48_41_44  # "CHAD": one worker deletes at a time
_ENDED = "chatwren_deleted"  # channel on which the end of a deletion is told

# What a user may have much of, in an order that foreign keys allow; the rest goes with the user's own row.
_MUCH = {
    "message": "user_id = $1",
    "media": "user_id = $1",
    "bulk_row": "bulk_id IN (SELECT id FROM bulk WHERE user_id = $1)",
    "inbound": "account_id IN (SELECT id FROM account WHERE user_id = $1)",
    "contact": "account_id IN (SELECT id FROM account WHERE user_id = $1)",
    "contact_alias": "user_id = $1",
    "merged_contact": "user_id = $1",
    "dead_letter": "account_id IN (SELECT id FROM account WHERE user_id = $1)",
    "outage": "account_id IN (SELECT id FROM account WHERE user_id = $1)",
    "idempotency": "user_id = $1",
}


async def begin(connection: Connection, user_id: UUID) -> None:
    """The user is to be deleted: nothing can be done as them from now on. In a transaction.

    The worker that owns an account unlinks its device, also one that the pairing has left. Until then nothing more goes
    out from it.
    """
    await connection.execute(
        "UPDATE app_user SET deleted_at = coalesce(deleted_at, now()), disabled_at = coalesce(disabled_at, now())"
        " WHERE id = $1",
        user_id,
    )
    await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
    await connection.execute("UPDATE bulk SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL", user_id)
    # Before the accounts: a pairing that succeeds meanwhile has linked its account then.
    await connection.execute(
        """
        UPDATE pairing SET state = 'failed', failure = 'user_deleted', ended_at = now(), codes = NULL, phone_code = NULL
        WHERE user_id = $1 AND ended_at IS NULL
        """,
        user_id,
    )
    await connection.change(
        Topic.WORK,
        """
        UPDATE account SET logout_wanted_at = CASE WHEN status = 'linked' THEN coalesce(logout_wanted_at, now()) END
        WHERE user_id = $1 RETURNING id
        """,
        user_id,
    )


@contextlib.asynccontextmanager
async def one_at_a_time(connection: Connection) -> AsyncIterator[bool]:
    """Whether it is this process's turn to delete: no other does so until the block ends."""
    mine = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK)
    try:
        yield mine
    finally:
        if mine:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def ready(connection: Connection) -> list[UUID]:
    """The users who are to be deleted and have no device any more: neither a linked one, nor what a pairing left."""
    rows = await connection.fetch(
        """
        SELECT id FROM app_user u WHERE deleted_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM account a WHERE a.user_id = u.id AND a.status = 'linked')
          AND NOT EXISTS (SELECT FROM pairing p WHERE p.user_id = u.id AND p.jid IS NOT NULL AND p.state <> 'linked')
        ORDER BY deleted_at
        """
    )
    return [row[0] for row in rows]


def steps(user_id: UUID) -> list[Callable[[Connection], Awaitable[int]]]:
    """What removes up to STEP rows of the user's each, and returns how many; to be repeated until there are fewer."""
    return [partial(_remove, table, condition, user_id) for table, condition in _MUCH.items()]


async def _remove(table: str, condition: str, user_id: UUID, connection: Connection) -> int:
    result = await connection.execute(
        f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {STEP}))",
        user_id,
    )
    return int(result.removeprefix("DELETE "))


async def end(connection: Connection, user_id: UUID) -> None:
    """Remove the user and, by foreign keys, every row that belongs to them. In a transaction.

    Whoever waits for it is told.
    """
    told = await connection.fetchval(
        "SELECT NOT EXISTS (SELECT FROM account WHERE user_id = $1 AND status_reason = 'not_told')", user_id
    )
    await connection.execute("DELETE FROM app_user WHERE id = $1", user_id)
    for _ in range(2):  # a job that folds them may have replaced the rows that the first statement waited for
        for table in ("message_total", "message_ahead"):
            await connection.execute(f"DELETE FROM {table} WHERE user_id = $1", user_id)
    for table in ("contact_alias", "merged_contact"):  # of what was under way when the user's row went
        await connection.execute(f"DELETE FROM {table} WHERE user_id = $1", user_id)
    await connection.execute(
        "SELECT pg_notify($1, $2)",
        _ENDED,
        json.dumps({"user": str(user_id), "deleted": asdict(Deleted(told))}),
    )


@contextlib.asynccontextmanager
async def watch(connection: Connection, user_id: UUID) -> AsyncIterator[asyncio.Future[Deleted]]:
    """What becomes of a deletion that begins within the block."""
    ended: asyncio.Future[Deleted] = asyncio.get_running_loop().create_future()

    def hear(*heard: object) -> None:
        told = json.loads(str(heard[-1]))
        if told["user"] == str(user_id) and not ended.done():
            ended.set_result(Deleted(**told["deleted"]))

    await connection.add_listener(_ENDED, hear)
    try:
        yield ended
    finally:
        with contextlib.suppress(*UNREACHABLE):
            await connection.remove_listener(_ENDED, hear)


async def somebody_works(connection: Connection, *, lease: timedelta) -> bool:
    """Whether there is a worker, who could unlink a device: one that has renewed within the lease."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM worker WHERE heartbeat_at > clock_timestamp() - $1::interval)", lease
        )
    )
