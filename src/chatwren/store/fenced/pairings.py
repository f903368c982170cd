"""What a worker writes of the pairings that it runs. What the API reads of them: pairings.py."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from chatwren.domain.reasons import UNCONFIRMED, params
from chatwren.store.conditions import WAITS
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns, named

_ORPHANS_LOCK = 0x43_48_41_4F
"""Advisory lock. Shared: a device is being confirmed; exclusive: devices that nobody knows are being logged out."""


@dataclass(frozen=True, slots=True)
class Job:
    """A running pairing.

    Attributes:
        phone: digits, to pair by a code typed there.
        jid: of a device that an earlier worker confirmed and did not see linked.
        overdue: its time is over.
        linked: the account is linked already.
    """

    id: UUID
    account: UUID
    user: UUID
    phone: str | None
    jid: str | None
    overdue: bool
    linked: bool


_JOB = Columns(
    Job,
    "p",
    account="p.account_id",
    user="p.user_id",
    overdue="p.expires_at <= now()",
    linked="a.status = 'linked'",
)


async def get(connection: Connection, pairing: UUID) -> Job | None:
    """A pairing, unless it has ended."""
    row = await connection.fetchrow(
        f"""
        SELECT {_JOB} FROM pairing p JOIN account a ON a.id = p.account_id WHERE p.id = $1 AND p.ended_at IS NULL
        """,
        pairing,
    )
    return _JOB.of(row) if row else None


async def show_codes(connection: Connection, pairing: UUID, codes: Sequence[tuple[str, timedelta]]) -> bool:
    """The QR codes, one after the other from now, each for its time. False: the pairing has ended."""
    return await connection.change(
        Topic.ACCOUNT,
        """
        UPDATE pairing SET state = 'waiting', codes = (
          SELECT jsonb_agg(jsonb_build_object('text', c.text, 'from', now() + c.until - c.lasts,
                                              'until', now() + c.until) ORDER BY c.number)
          FROM (
            SELECT text, lasts, number, sum(lasts) OVER (ORDER BY number) AS until
            FROM unnest($2::text[], $3::interval[]) WITH ORDINALITY AS given (text, lasts, number)
          ) AS c
        )
        WHERE id = $1 AND ended_at IS NULL RETURNING user_id
        """,
        pairing,
        [text for text, _ in codes],
        [lasts for _, lasts in codes],
    )


async def show_phone_code(connection: Connection, pairing: UUID, text: str, valid_for: timedelta) -> bool:
    """The code to be typed on the phone. False: the pairing has ended."""
    return await connection.change(
        Topic.ACCOUNT,
        """
        UPDATE pairing SET state = 'waiting', phone_code = $2, expires_at = now() + $3
        WHERE id = $1 AND ended_at IS NULL RETURNING user_id
        """,
        pairing,
        text,
        valid_for,
    )


async def confirm(connection: Connection, worker: UUID, pairing: UUID, jid: str, phone: str) -> str | None:
    """Record the new device before its keys are stored. In a transaction; commit before the engine is answered.

    Returns:
        None, or a code of why it must not be linked: linked_elsewhere, ended.
    """
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _ORPHANS_LOCK)
    account: UUID | None = await connection.fetchval(
        """
        SELECT p.account_id FROM pairing p JOIN lease l ON l.account_id = p.account_id
        WHERE p.id = $2 AND p.ended_at IS NULL AND l.worker_id = $1 FOR NO KEY UPDATE OF p
        """,
        worker,
        pairing,
    )
    if account is None:
        return "ended"
    elsewhere = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM account WHERE phone = $1 AND status = 'linked' AND id <> $2)", phone, account
    )
    if elsewhere:
        return "linked_elsewhere"
    await connection.execute("UPDATE pairing SET jid = $2 WHERE id = $1", pairing, jid)
    return None


_SUCCEED = f"""
    WITH done AS (
      UPDATE pairing p SET state = 'linked', ended_at = now(), codes = NULL, phone_code = NULL FROM lease l
      WHERE p.id = :pairing AND p.ended_at IS NULL AND l.account_id = p.account_id AND l.worker_id = :worker
      RETURNING p.account_id
    ), doubtful AS (
      UPDATE message m SET
        status = 'failed', ended_at = now(), error_code = :code, error_params = :params
      FROM done JOIN account a ON a.id = done.account_id
      WHERE m.id = a.in_flight AND m.status = 'sending' AND a.phone <> :phone
    )
    UPDATE account a SET
      status = 'linked', status_since = now(), status_reason = NULL, logout_wanted_at = NULL,
      jid = :jid, lid = :lid, phone = :phone,
      number_since = CASE WHEN a.phone = :phone THEN a.number_since ELSE now() END,
      in_flight = CASE WHEN a.phone <> :phone THEN NULL ELSE a.in_flight END,
      held_reason = CASE WHEN waits.so THEN 'relinked_other_number' ELSE a.held_reason END,
      held_since = CASE WHEN waits.so THEN now() ELSE a.held_since END,
      name = CASE WHEN a.phone <> :phone AND NOT a.connected THEN NULL ELSE a.name END,
      groups = CASE WHEN a.phone <> :phone THEN NULL ELSE a.groups END,
      groups_at = CASE WHEN a.phone <> :phone THEN NULL ELSE a.groups_at END
    FROM done JOIN account before ON before.id = done.account_id
    CROSS JOIN LATERAL (SELECT before.phone <> :phone AND EXISTS (
      SELECT FROM message m WHERE m.account_id = before.id AND {WAITS}
    ) AS so) AS waits
    WHERE a.id = done.account_id RETURNING a.user_id
"""


async def succeed(connection: Connection, worker: UUID, pairing: UUID, *, jid: str, lid: str, phone: str) -> str | None:
    """The device is linked: the account is its from now on. To be called in a transaction.

    If the account had another number before, what waits is held, and what may be out from the old number does not go
    again from the new one.

    Returns:
        None, or a code of why it must not stay linked: linked_elsewhere, ended.
    """
    try:
        async with connection.transaction():
            linked = await connection.change(
                Topic.ACCOUNT,
                *named(
                    _SUCCEED,
                    worker=worker,
                    pairing=pairing,
                    jid=jid,
                    lid=lid,
                    phone=phone,
                    code=UNCONFIRMED.code,
                    params=params(UNCONFIRMED),
                ),
            )
    except asyncpg.UniqueViolationError:
        return "linked_elsewhere"
    return None if linked else "ended"


async def fail(connection: Connection, pairing: UUID, code: str) -> None:
    """End a pairing that did not link anything, with a stable code of why. Its codes are wiped."""
    await connection.change(
        Topic.ACCOUNT,
        """
        UPDATE pairing SET state = 'failed', failure = $2, ended_at = now(), codes = NULL, phone_code = NULL
        WHERE id = $1 AND ended_at IS NULL RETURNING user_id
        """,
        pairing,
        code,
    )


async def end_device(connection: Connection, worker: UUID, account: UUID, jid: str, *, told: bool) -> None:
    """Nothing is left of a device that pairings of the account have confirmed. `told`: the phone lists it no more."""
    await connection.execute(
        """
        WITH ended AS (
          UPDATE pairing p SET jid = NULL FROM lease l
          WHERE p.account_id = $2 AND p.jid = $3 AND p.state <> 'linked' AND l.account_id = $2 AND l.worker_id = $1
          RETURNING p.account_id
        )
        UPDATE account a SET status_reason = 'not_told'
        FROM ended WHERE a.id = ended.account_id AND a.status <> 'linked' AND NOT $4
        """,
        worker,
        account,
        jid,
        told,
    )


async def end_linked(connection: Connection, pairing: UUID) -> None:
    """End a pairing of an account that turned out to be linked already."""
    await connection.change(
        Topic.ACCOUNT,
        """
        UPDATE pairing SET state = 'linked', ended_at = now(), codes = NULL, phone_code = NULL
        WHERE id = $1 AND ended_at IS NULL RETURNING user_id
        """,
        pairing,
    )


async def start_over(connection: Connection, pairing: UUID) -> None:
    """What an earlier run of this pairing showed is void."""
    await connection.execute(
        """
        UPDATE pairing SET state = 'requested', codes = NULL, phone_code = NULL, jid = NULL
        WHERE id = $1 AND ended_at IS NULL
        """,
        pairing,
    )


async def known_devices(connection: Connection) -> Collection[str]:
    """The devices of all accounts, those that are still to be logged out for one too.

    Until the transaction ends, no pairing confirms another.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _ORPHANS_LOCK)
    rows = await connection.fetch(
        """
        SELECT jid FROM account WHERE jid IS NOT NULL AND status = 'linked'
        UNION SELECT jid FROM pairing WHERE jid IS NOT NULL AND state <> 'linked'
        """
    )
    return {row[0] for row in rows}
