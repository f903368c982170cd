"""Leases: which worker acts for which account. The epoch grows with every change of owner."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chatwren.store.database import Connection
from chatwren.store.rows import Columns

# A device that a pairing confirmed, and that did not become its account's.
_LEFT = "p.state = 'failed' AND p.jid IS NOT NULL"
# What there is to do something for: a connection, a pairing or a logout.
_WANTED = f"""
  SELECT a.id, l.worker_id FROM account a LEFT JOIN lease l ON l.account_id = a.id
  WHERE a.status = 'linked' OR EXISTS (SELECT FROM pairing p WHERE p.account_id = a.id AND p.ended_at IS NULL)
    OR EXISTS (SELECT FROM pairing p WHERE p.account_id = a.id AND {_LEFT})
"""


@dataclass(frozen=True, slots=True)
class Share:
    """How the accounts are spread.

    Attributes:
        fair: the most that one worker should own.
        mine: what this one owns.
        unowned: what nobody owns.
    """

    fair: int
    mine: int
    unowned: int


@dataclass(frozen=True, slots=True)
class Owned:
    """An account that a worker owns, and what is wanted of it.

    Attributes:
        wanted: linked, being paired, or with a device to log out; else there is nothing to own it for.
        jid: of the linked device; None while there is none.
        pairing: the running pairing.
        left: a device that a pairing confirmed and did not link the account to. It is logged out before all else.
        logout_wanted: unlink the device.
        groups_wanted_at: when the group list was asked for that has not been fetched since.
    """

    account: UUID
    user: UUID
    epoch: int
    linked: bool
    connected: bool
    jid: str | None
    pairing: UUID | None
    left: str | None
    logout_wanted: bool
    groups_wanted_at: datetime | None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to own it for."""
        return self.linked or self.pairing is not None or self.left is not None


async def share(connection: Connection, worker: UUID, *, lease: timedelta) -> Share:
    """How many accounts the worker should own, and owns."""
    row = await connection.fetchrow(
        f"""
        WITH wanted AS ({_WANTED})
        SELECT
          ceil(count(*)::numeric / greatest(1, (
            SELECT count(*) FROM worker w
            WHERE NOT w.draining AND (w.id = $1 OR w.heartbeat_at > clock_timestamp() - $2::interval)
          )))::integer,
          count(*) FILTER (WHERE worker_id = $1),
          count(*) FILTER (WHERE worker_id IS NULL)
        FROM wanted
        """,
        worker,
        lease,
    )
    return Share(*row)


async def claim(connection: Connection, worker: UUID, *, limit: int) -> int:
    """Take up to `limit` unowned accounts. Returns how many. To be called in a transaction.

    A message that was in flight is the first to go again: its last attempt has no outcome.

    Raises:
        asyncpg.ForeignKeyViolationError: the worker was taken for dead.
    """
    rows = await connection.fetch(
        f"""
        WITH wanted AS ({_WANTED}),
        picked AS (
          -- Each worker in an order of its own, so that they do not all reach for the same.
          SELECT id FROM wanted WHERE worker_id IS NULL ORDER BY md5(id::text || $1::uuid::text) LIMIT $2
        )
        INSERT INTO lease (account_id, worker_id, epoch) SELECT id, $1::uuid, 1 FROM picked ORDER BY id
        ON CONFLICT (account_id) DO UPDATE SET worker_id = $1, epoch = lease.epoch + 1 WHERE lease.worker_id IS NULL
        RETURNING account_id
        """,
        worker,
        limit,
    )
    claimed = sorted(row[0] for row in rows)
    if claimed:
        await connection.execute(
            """
            WITH taken AS MATERIALIZED (SELECT id FROM account WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
            UPDATE account a SET
              connected = false,
              connected_since = CASE WHEN connected THEN now() ELSE connected_since END,
              offline_reason = 'starting',
              next_at = CASE WHEN in_flight IS NULL THEN next_at ELSE now() END
            FROM taken WHERE a.id = taken.id
            """,
            claimed,
        )
        await connection.execute(
            """
            WITH doubtful AS (
              UPDATE message m SET unconfirmed = unconfirmed + 1, epoch = NULL
              FROM account a
              WHERE a.id = ANY($1) AND m.id = a.in_flight AND m.status = 'sending' AND m.epoch IS NOT NULL
              RETURNING m.id, m.claimed_at, m.attempts
            )
            INSERT INTO message_step (message_id, at, step, detail)
            SELECT id, v.at, v.step, v.detail FROM doubtful CROSS JOIN LATERAL (VALUES
              (claimed_at, 'attempt', attempts::text), (now(), 'unconfirmed', 'worker_ended')
            ) AS v (at, step, detail)
            """,
            claimed,
        )
    return len(claimed)


_OWNED = Columns(
    Owned,
    "a",
    account="a.id",
    user="a.user_id",
    epoch="l.epoch",
    linked="a.status = 'linked'",
    pairing="p.id",
    left=f"(SELECT p.jid FROM pairing p WHERE p.account_id = a.id AND {_LEFT} LIMIT 1)",
    logout_wanted="a.logout_wanted_at IS NOT NULL",
    groups_wanted_at="CASE WHEN a.groups_at IS NULL OR a.groups_wanted_at > a.groups_at THEN a.groups_wanted_at END",
)


async def owned(connection: Connection, worker: UUID) -> list[Owned]:
    """Every account that the worker owns."""
    rows = await connection.fetch(
        f"""
        SELECT {_OWNED} FROM lease l JOIN account a ON a.id = l.account_id
        LEFT JOIN pairing p ON p.account_id = a.id AND p.ended_at IS NULL
        WHERE l.worker_id = $1
        """,
        worker,
    )
    return [_OWNED.of(row) for row in rows]


async def release(connection: Connection, worker: UUID, account: UUID, epoch: int) -> None:
    """Give an account up; nothing if it is no longer owned under this epoch."""
    await connection.execute(
        "UPDATE lease SET worker_id = NULL WHERE account_id = $2 AND worker_id = $1 AND epoch = $3",
        worker,
        account,
        epoch,
    )
