"""How messages go out: the claim, and what becomes of what was claimed. What the API changes of them: messages.py.

Rows are locked in one order everywhere: accounts by id, then messages.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from chatwren.domain.messages import OUTCOME_UNKNOWN
from chatwren.domain.outcomes import Decision, Recorded
from chatwren.domain.reasons import params
from chatwren.store import cold, contacts, pacing
from chatwren.store.conditions import may_go
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns, Given, named


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """The media file of a claimed message. `handle`: of an upload that is recent enough to be used again."""

    id: UUID
    kind: str
    mimetype: str
    file_name: str
    width: int | None
    height: int | None
    seconds: int | None
    thumbnail: bytes | None
    handle: bytes | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this worker is to send now, under this epoch.

    Attributes:
        attempts: this one included.
        unconfirmed: earlier ones whose outcome is unknown. Not 0: it may be out.
        jid: where WhatsApp says that messages to the recipient go; None where it was not asked lately.
        first: the contact has never been written to.
        resend: it was being sent already, by an attempt whose outcome is not known.
    """

    id: UUID
    account: UUID
    user: UUID
    epoch: int
    wa_id: str
    recipient_kind: str
    recipient: str
    text: str
    attempts: int
    unconfirmed: int
    jid: str | None
    first: bool
    resend: bool
    file: ClaimedFile | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds of every claim.

    Attributes:
        guard: until then nothing else leaves the account, should no outcome ever be recorded.
        contact_age: how long WhatsApp's word of where a recipient's messages go is good.
        upload_age: how long an uploaded file is.
    """

    guard: timedelta
    contact_age: timedelta
    upload_age: timedelta

    @property
    def values(self) -> dict[str, timedelta]:
        """As parameters, by name."""
        return {"guard": self.guard, "contact_age": self.contact_age, "upload_age": self.upload_age}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim has taken.

    Attributes:
        passed_over: accounts that have something to send, and that somebody else was just changing.
    """

    taken: Sequence[Claimed]
    passed_over: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        epoch: under which it was made.
        decision: what is to be recorded.
        first: the contact had never been written to.
        age: how long ago it was known.
    """

    message: UUID
    account: UUID
    epoch: int
    decision: Decision
    first: bool = False
    age: timedelta = timedelta()


_PACED = pacing.next_at("a", "s.claimed_at")
"""SQL: when the account a may go on after a message s."""
MAY_SEND = """
    a.status = 'linked' AND a.connected AND a.held_reason IS NULL AND a.logout_wanted_at IS NULL
    AND (a.restricted_until IS NULL OR a.restricted_until <= now())
    AND a.next_at <= now()
"""
"""SQL: the account a may send a message now."""

# A lane's head in one probe: rows that cannot go are not waded through, except those of a recipient that backs off, and
# for some seconds those whose deadline has passed (lateness.py).
_HEAD = f"""
  (SELECT m.id FROM message m
   WHERE m.account_id = a.id AND m.lane = '{{lane}}' AND {may_go("a.id")}
   ORDER BY m.due, m.id LIMIT 1)
"""

NEXT = f"""
    {_HEAD.format(lane="urgent")},
    {_HEAD.format(lane="normal")},
    CASE WHEN (a.cold_until IS NULL OR a.cold_until <= now()) AND {cold.has_room("a")}
      THEN {_HEAD.format(lane="cold")} END,
    {_HEAD.format(lane="bulk")}
"""
"""SQL: what of the account a waits and goes next, of which the first that there is counts; arguments of coalesce."""

_CLAIMED = Columns(
    Claimed,
    "c",
    account="c.account_id",
    user="c.user_id",
    jid="CASE WHEN k.checked_at > now() - :contact_age::interval THEN k.jid END",
    first="c.recipient_kind <> 'group' AND k.reached_at IS NULL",
    file=None,
)
_FILE = Columns(ClaimedFile, "f", handle="u.handle")
CLAIMED = f"{_CLAIMED}, {_FILE}"
"""SQL: what `claimed_of` reads, of a message c that was claimed, `resend` with it, and what ITS_PARTS joins to it."""
ITS_PARTS = """
LEFT JOIN contact k ON k.account_id = c.account_id AND k.address = c.recipient
LEFT JOIN media f ON f.id = c.media_id
LEFT JOIN media_upload u ON u.media_id = c.media_id AND u.account_id = c.account_id
  AND u.uploaded_at > now() - :upload_age::interval
"""

_CLAIM = f"""
WITH head AS MATERIALIZED (
  SELECT a.id AS account_id, l.epoch, a.in_flight, coalesce(
    (SELECT m.id FROM message m WHERE m.id = a.in_flight AND m.status = 'sending'),
    {NEXT}
  ) AS message_id
  FROM account a JOIN lease l ON l.account_id = a.id
  WHERE a.id = ANY(:accounts::uuid[]) AND l.worker_id = :worker AND {MAY_SEND}
), ready AS MATERIALIZED (
  -- Locked are only those that have something to send, and they are asked again, as the row is now.
  SELECT h.* FROM head h JOIN account a ON a.id = h.account_id
  WHERE h.message_id IS NOT NULL AND {MAY_SEND}
  ORDER BY a.id
  FOR NO KEY UPDATE OF a SKIP LOCKED
), claimed AS (
  UPDATE message m SET
    status = 'sending', epoch = r.epoch, claimed_at = now(), attempts = m.attempts + 1,
    -- Its last attempt has no outcome at all, not even that it is unknown: that could not be recorded.
    unconfirmed = m.unconfirmed + (m.status = 'sending' AND m.epoch IS NOT NULL)::integer
  FROM ready r
  -- Once more, of the row as it is now: it may have been cancelled or put off since the head was found. What is in
  -- flight past its deadline keeps all else waiting until it is given up, so that never two are in flight.
  -- By CASE no index of what waits can be used for it, which to statistics of a quiet hour looks like a short way.
  WHERE m.id = r.message_id AND CASE m.status WHEN 'sending' THEN true WHEN 'waiting' THEN m.due <= now() END
    AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp())
  RETURNING m.*, m.id IS NOT DISTINCT FROM r.in_flight AS resend
), taken AS (
  UPDATE account a SET in_flight = c.id, next_at = now() + :guard::interval
  FROM claimed c WHERE a.id = c.account_id
)
SELECT {CLAIMED},
  ARRAY(SELECT account_id FROM head WHERE message_id IS NOT NULL EXCEPT SELECT account_id FROM ready) AS passed_over
FROM (SELECT) AS always
LEFT JOIN claimed c ON true {ITS_PARTS}
"""


async def claim(connection: Connection, worker: UUID, accounts: Collection[UUID], terms: Terms) -> Claim:
    """Take the next message of each of these accounts that may send one now: at most one for each account.

    What was in flight goes again first; then the lanes in their order, in each by (due, id). The cold lane is passed
    over while WhatsApp refuses new contacts, and while the cap is reached.

    Args:
        connection: one statement is run.
        worker: who claims; accounts of others are passed over.
        accounts: which to look at.
    """
    rows = await connection.fetch(*named(_CLAIM, worker=worker, accounts=list(accounts), **terms.values))
    taken = claimed_of(rows)
    connection.tell(Topic.MESSAGES, (one.user for one in taken))
    return Claim(taken, rows[0]["passed_over"])


def claimed_of(rows: Sequence[asyncpg.Record]) -> list[Claimed]:
    """The messages that were claimed, of rows some of which have none."""
    return [
        _CLAIMED.of(row, file=None if row["ClaimedFile.id"] is None else _FILE.of(row))
        for row in rows
        if row["Claimed.id"] is not None
    ]


_STEPS_KEPT = 100
"""Attempts of one message that its timeline shows."""

_OUTCOMES = Given[Outcome](
    "o",
    message_id=("uuid", lambda one: one.message),
    account_id=("uuid", lambda one: one.account),
    epoch="bigint",
    status=("message_status", lambda one: one.decision.status),
    fact=("boolean", lambda one: one.decision.fact),
    age="interval",
    code=("text", lambda one: one.decision.failure and one.decision.failure.code),
    params=("jsonb", lambda one: one.decision.failure and params(one.decision.failure)),
    unconfirmed=("boolean", lambda one: one.decision.unconfirmed),
    account_pause=("interval", lambda one: one.decision.account_pause),
    recipient_pause=("interval", lambda one: one.decision.recipient_pause),
    restriction=("integer", lambda one: one.decision.restriction),
    cold_refusal=("integer", lambda one: one.decision.cold_refusal),
    cause=("text", lambda one: one.decision.cause),
)
_SENT_TO = contacts.reach(
    "SELECT account_id, recipient, now() - age FROM settled WHERE status = 'sent' AND recipient_kind <> 'group'"
)
_RECORD = f"""
    WITH outcome AS (
      SELECT * FROM {_OUTCOMES}
    ), locked AS MATERIALIZED (
      SELECT a.id FROM account a WHERE a.id IN (SELECT account_id FROM outcome)
      ORDER BY a.id FOR NO KEY UPDATE
    ), settled AS (
      UPDATE message m SET
        status = o.status, epoch = NULL,
        sent_at = CASE WHEN o.status = 'sent' THEN now() - o.age END,
        ended_at = CASE WHEN o.status = 'failed' THEN now() - o.age END,
        error_code = o.code, error_params = o.params, error_message = NULL,
        unconfirmed = m.unconfirmed + o.unconfirmed::integer
      FROM outcome o JOIN locked k ON k.id = o.account_id
      WHERE m.id = o.message_id
        AND (m.status = 'sending'
             OR (o.status = 'sent' AND m.status = 'failed' AND m.error_code = '{OUTCOME_UNKNOWN}')
             OR (o.status = 'sent' AND m.status = 'waiting' AND m.unconfirmed > 0))
        AND (o.fact OR EXISTS (
          SELECT FROM lease l WHERE l.account_id = o.account_id AND l.worker_id = :worker AND l.epoch = o.epoch
        ))
      RETURNING m.id, m.account_id, m.user_id, m.recipient, m.recipient_kind, m.status, m.claimed_at, m.attempts,
                o.age, o.account_pause, o.recipient_pause, o.restriction, o.cold_refusal, o.cause
    ), noted AS (
      INSERT INTO message_step (message_id, at, step, detail)
      SELECT s.id, v.at, v.step, v.detail FROM settled s CROSS JOIN LATERAL (VALUES
        (s.claimed_at, 'attempt', s.attempts::text),
        (now() - s.age, CASE s.status WHEN 'sending' THEN 'unconfirmed' ELSE 'not_sent' END, s.cause)
      ) AS v (at, step, detail)
      WHERE s.status <= 'sending' AND s.attempts <= {_STEPS_KEPT}
    ), backing_off AS (
      INSERT INTO contact (account_id, address, retry_at, retry_code)
      SELECT account_id, recipient, now() + recipient_pause,
             CASE WHEN cold_refusal IS NULL THEN 'recipient_unreachable' ELSE 'cold_refused' END
      FROM settled WHERE recipient_pause IS NOT NULL ORDER BY account_id, recipient
      ON CONFLICT (account_id, address) DO UPDATE SET
        -- Who wrote while their message was refused as one to a stranger is answered at once.
        retry_at = CASE WHEN excluded.retry_code = 'cold_refused' AND contact.wrote_at > now() - interval '1 minute'
                   THEN NULL ELSE excluded.retry_at END,
        retry_code = excluded.retry_code
    ), reached AS (
      {_SENT_TO}
    ), paused AS (
      UPDATE account a SET
        in_flight = CASE WHEN s.status = 'sending' THEN a.in_flight END,
        next_at = coalesce(now() + s.account_pause, {_PACED}),
        restriction_code = coalesce(s.restriction, a.restriction_code),
        restricted_since = CASE WHEN s.restriction IS NULL THEN a.restricted_since ELSE now() END,
        restricted_until = CASE WHEN s.restriction IS NULL THEN a.restricted_until ELSE now() + s.account_pause END,
        cold_code = coalesce(s.cold_refusal, a.cold_code),
        cold_since = CASE WHEN s.cold_refusal IS NULL THEN a.cold_since ELSE now() END,
        cold_until = CASE WHEN s.cold_refusal IS NULL THEN a.cold_until ELSE now() + s.recipient_pause END
      FROM settled s WHERE a.id = s.account_id AND a.in_flight = s.id
      RETURNING a.id, a.next_at - now() AS pause
    )
    SELECT s.user_id, s.account_id, s.recipient, p.pause
    FROM settled s LEFT JOIN paused p ON p.id = s.account_id
"""


async def record(connection: Connection, worker: UUID, outcomes: Sequence[Outcome]) -> Recorded:
    """Record what became of attempts: facts always, only forward; decisions only under the current epoch.

    Takes at most one outcome for each account.
    """
    if not any(one.first for one in outcomes):  # only strangers have messages in the cold lane
        return _recorded(connection, await _record(connection, worker, outcomes))
    async with connection.transaction():
        rows = await _record(connection, worker, outcomes)
        # Also those whose message waits again: they may have written while it was under way.
        await contacts.promote(connection, [(row["account_id"], row["recipient"]) for row in rows])
    return _recorded(connection, rows)


async def _record(connection: Connection, worker: UUID, outcomes: Sequence[Outcome]) -> Sequence[asyncpg.Record]:
    rows: Sequence[asyncpg.Record] = await connection.fetch(*_OUTCOMES.asking(_RECORD, outcomes, worker=worker))
    return rows


def _recorded(connection: Connection, rows: Sequence[asyncpg.Record]) -> Recorded:
    recorded = Recorded(
        users=frozenset(row["user_id"] for row in rows),
        pauses={row["account_id"]: row["pause"] for row in rows if row["pause"] is not None},
    )
    connection.tell(Topic.MESSAGES, recorded.users)
    return recorded
