"""Workers: who is alive. Their leases: leases.py. All times are the database's."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chatwren.store.database import Connection, Topic

ENGINE = "chatwren-engine "
"""An engine's database sessions are named by this and its worker's id."""
WORKER = "chatwren-worker "
"""A worker's database sessions are named by this, its id, and what they are for."""
_ENDING_SECONDS = 1.0
_ENDING_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal found.

    Attributes:
        steady: renewed without a gap for one full lease, so that others may be judged.
        next_end: how long until another worker's lease ends, unless it renews, or since one has ended; None where there
            is no other worker.
    """

    steady: bool
    next_end: timedelta | None


@dataclass(frozen=True, slots=True)
class Reaped:
    """Workers that were removed, and the accounts that were theirs."""

    workers: frozenset[UUID]
    accounts: frozenset[UUID]


async def register(connection: Connection, worker: UUID, host: str) -> None:
    """Enter a worker. `host` is for the eyes of an operator."""
    await connection.execute("INSERT INTO worker (id, host) VALUES ($1, $2)", worker, host)


async def renew(connection: Connection, worker: UUID, *, lease: timedelta, gap: timedelta) -> Renewal | None:
    """Record that the worker lives. None: it was taken for dead, and its accounts may be another's.

    Args:
        lease: how long it must have renewed without a gap to judge others.
        gap: what is one.
    """
    row = await connection.fetchrow(
        """
        UPDATE worker SET
          heartbeat_at = clock_timestamp(),
          healthy_since = CASE WHEN heartbeat_at < clock_timestamp() - $3::interval THEN clock_timestamp()
                               ELSE healthy_since END
        WHERE id = $1
        RETURNING healthy_since <= clock_timestamp() - $2::interval, (
          SELECT min(heartbeat_at) + $2::interval - clock_timestamp() FROM worker WHERE id <> $1
        )
        """,
        worker,
        lease,
        gap,
    )
    return Renewal(*row) if row else None


# Accounts of a worker that ended are cut off since its last sign of life. One whose row is locked by what the dead
# worker left behind is not waited for: whoever takes it over notes the same, a little later.
_CUT_OFF = """
  cut AS MATERIALIZED (
    SELECT a.id, gone.heartbeat_at FROM gone JOIN lease l ON l.worker_id = gone.id JOIN account a ON a.id = l.account_id
    WHERE a.connected ORDER BY a.id FOR NO KEY UPDATE OF a SKIP LOCKED
  ), off AS (
    UPDATE account a SET connected = false, connected_since = cut.heartbeat_at, offline_reason = 'starting'
    FROM cut WHERE a.id = cut.id
  )
"""


async def reap(connection: Connection, worker: UUID, *, lease: timedelta) -> Reaped:
    """Remove the workers that have not renewed for a lease; their accounts are then unowned.

    Does nothing unless `worker` itself has been steady for a lease: after a pause of the database all are late.
    """
    return await _remove(
        connection,
        """
        id <> $1 AND heartbeat_at < clock_timestamp() - $2::interval AND EXISTS (
          SELECT FROM worker
          WHERE id = $1 AND healthy_since <= clock_timestamp() - $2::interval
            AND heartbeat_at >= clock_timestamp() - $2::interval
        )
        """,
        worker,
        lease,
    )


async def bury(connection: Connection, dead: Collection[UUID]) -> frozenset[UUID]:
    """Remove workers that are known to be dead, whether or not their leases are over; their accounts are then unowned.

    Returns:
        Those whose rows are gone. One whose row is locked stays, and is to be tried again.
    """
    await _remove(connection, "id = ANY($1)", dead)
    left = await connection.fetch("SELECT id FROM worker WHERE id = ANY($1)", dead)
    return frozenset(dead) - {row[0] for row in left}


async def _remove(connection: Connection, condition: str, *values: object) -> Reaped:
    rows = await connection.fetch(
        f"""
        WITH gone AS (
          DELETE FROM worker WHERE id IN (SELECT id FROM worker WHERE {condition} ORDER BY id FOR UPDATE SKIP LOCKED)
          RETURNING id, heartbeat_at
        ), {_CUT_OFF}
        -- Leases as they were when this statement began.
        SELECT g.id, l.account_id FROM gone g LEFT JOIN lease l ON l.worker_id = g.id
        """,
        *values,
    )
    reaped = Reaped(frozenset(row[0] for row in rows), frozenset(row[1] for row in rows if row[1] is not None))
    connection.tell(Topic.WORK, reaped.accounts)
    return reaped


async def _end_sessions(connection: Connection, condition: str, *values: object) -> int:
    """End the sessions of which a condition is true, and wait until they are gone, but not long for those that stay.

    They are waited for together: one that is stuck must not keep the others, and a heartbeat has little time.

    Returns:
        How many there were.
    """
    pids = await connection.fetchval(
        f"""
        SELECT pids FROM (
          SELECT array_agg(s.pid) AS pids, count(pg_terminate_backend(s.pid)) FROM pg_stat_activity s
          WHERE s.datname = current_database() AND {condition}
        ) AS told
        """,
        *values,
    )
    until = time.monotonic() + _ENDING_SECONDS
    while pids and time.monotonic() < until:
        if not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", pids):
            break
        await asyncio.sleep(_ENDING_LOOK_SECONDS)
    return len(pids or ())


async def end_sessions_of_the_late(connection: Connection, *, lease: timedelta) -> None:
    """End the database sessions of workers that have not renewed for a lease.

    To be called before they are reaped: a transaction in which one froze, or lost its network, would hold up its
    removal and whoever takes over.

    Raises:
        asyncpg.InsufficientPrivilegeError: the role may not end these sessions.
    """
    late = await connection.fetch("SELECT id FROM worker WHERE heartbeat_at < clock_timestamp() - $1::interval", lease)
    if late:
        await end_sessions_of(connection, [row[0] for row in late])


async def end_sessions_of(connection: Connection, dead: Collection[UUID]) -> None:
    """End the database sessions of these workers, before they are removed: see `end_sessions_of_the_late`.

    Raises:
        asyncpg.InsufficientPrivilegeError: the role may not end these sessions.
    """
    await _end_sessions(
        connection,
        "s.application_name ~ ('^' || $1) AND split_part(s.application_name, ' ', 2) = ANY($2::uuid[]::text[])",
        WORKER,
        dead,
    )


async def end_sessions_of_the_gone(connection: Connection) -> int:
    """End the database sessions of engines whose worker is gone, so that one that was frozen overwrites nothing.

    Their pools get no new ones: an engine asks for its worker's row at each connection.

    Raises:
        asyncpg.InsufficientPrivilegeError: the role may not end these sessions.
    """
    return await _end_sessions(
        connection,
        "s.application_name ~ ('^' || $1 || '[0-9a-f-]{36}$')"
        " AND NOT EXISTS (SELECT FROM worker w WHERE $1 || w.id::text = s.application_name)",
        ENGINE,
    )


async def drain(connection: Connection, worker: UUID) -> None:
    """From now on others take over what this worker gives up."""
    await connection.execute("UPDATE worker SET draining = true WHERE id = $1", worker)


async def remove(connection: Connection, worker: UUID) -> None:
    """Remove a worker that ends in order; its leases end with it."""
    await connection.execute(
        f"""
        WITH gone AS (DELETE FROM worker WHERE id = $1 RETURNING id, heartbeat_at), {_CUT_OFF}
        SELECT FROM gone
        """,
        worker,
    )
