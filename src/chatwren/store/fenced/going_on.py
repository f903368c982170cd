"""How an account goes on after a message that was acknowledged: that is recorded, and its next one claimed, in one go.

It is what a busy account does for almost every message. All else is recorded, and claimed, by messages.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision, Recorded
from chatwren.store import pacing
from chatwren.store.database import Connection, Topic
from chatwren.store.fenced.messages import (
    CLAIMED,
    ITS_PARTS,
    MAY_SEND,
    NEXT,
    Claimed,
    Outcome,
    Terms,
    claimed_of,
)
from chatwren.store.rows import Given

_ACKNOWLEDGED = Decision(Status.SENT, fact=True)

_GIVEN = Given[Outcome](
    "o",
    message_id=("uuid", lambda one: one.message),
    account_id=("uuid", lambda one: one.account),
    age="interval",
)
_PACED = pacing.next_at("a", "m.claimed_at")
# The account's row is locked first, so that everything here is asked of it as it is now, and is written once, at the
# end. Its lease is asked last: by a statement that waited for the account it may have been lost meanwhile, and whoever
# takes it over just now is not waited for, as they want the account. Each step hands on what the next ones need, and
# what there is of each account is put together by FULL JOIN, which is never done by comparing each with each: to the
# planner there is always but one account.
_GO_ON = f"""
WITH outcome AS (
  SELECT * FROM {_GIVEN}
), locked AS MATERIALIZED (
  SELECT a.*, o.message_id, o.age FROM account a JOIN outcome o ON o.account_id = a.id
  ORDER BY a.id FOR NO KEY UPDATE OF a
), freed AS (
  UPDATE message m SET
    status = 'sent', epoch = NULL, sent_at = now() - a.age,
    ended_at = NULL, error_code = NULL, error_params = NULL, error_message = NULL
  FROM locked a
  WHERE m.id = a.message_id AND CASE m.status WHEN 'sending' THEN true END  -- as in a claim
  RETURNING m.user_id, a.id, a.status, a.connected, a.held_reason, a.logout_wanted_at, a.restricted_until, a.cold_until,
            a.number_since, a.cold_first, a.cold_growth, a.cold_most, {_PACED} AS next_at
), owned AS MATERIALIZED (
  SELECT a.*, l.epoch FROM freed a JOIN lease l ON l.account_id = a.id
  WHERE l.worker_id = :worker AND a.id = ANY(:accounts::uuid[]) AND {MAY_SEND}
  FOR SHARE OF l SKIP LOCKED
), head AS MATERIALIZED (
  SELECT a.id AS account_id, a.epoch, coalesce({NEXT}) AS message_id FROM owned a
), claimed AS (
  UPDATE message m SET status = 'sending', epoch = h.epoch, claimed_at = now(), attempts = m.attempts + 1
  FROM head h
  WHERE m.id = h.message_id AND CASE m.status WHEN 'waiting' THEN m.due <= now() END
    AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp())
  RETURNING m.*, false AS resend
), each AS MATERIALIZED (
  SELECT a.id AS freed, a.user_id AS owner, a.next_at AS free_at,
    a.next_at > now() OR (h.account_id IS NOT NULL AND h.message_id IS NULL) AS idle, c.*
  FROM freed a FULL JOIN head h ON h.account_id = a.id FULL JOIN claimed c ON c.account_id = a.id
), gone_on AS (
  UPDATE account a SET
    in_flight = c.id, next_at = CASE WHEN c.id IS NULL THEN c.free_at ELSE now() + :guard::interval END
  FROM each c WHERE a.id = c.freed
)
SELECT c.owner, c.freed, c.free_at - now() AS pause, c.idle, {CLAIMED} FROM each c {ITS_PARTS}
"""


@dataclass(frozen=True, slots=True)
class GoneOn:
    """What was recorded, and what goes next.

    Attributes:
        recorded: of the accounts that were freed, without those that have a message in flight again.
        taken: the next messages, at most one for each account.
        idle: accounts that have nothing to send now: nothing waits, or their pause is not over.
        left: outcomes of messages that are not being sent any more, as a receipt was first: for `messages.record`.
    """

    recorded: Recorded
    taken: Sequence[Claimed]
    idle: Collection[UUID]
    left: Sequence[Outcome]


def is_usual(outcome: Outcome) -> bool:
    """Whether `go_on` may record it: an acknowledgement, of a message to one who had been written to."""
    return outcome.decision == _ACKNOWLEDGED and not outcome.first


async def go_on(
    connection: Connection,
    worker: UUID,
    outcomes: Sequence[Outcome],
    accounts: Collection[UUID],
    terms: Terms,
) -> GoneOn:
    """Record usual outcomes, at most one for each account, and claim the next message of accounts whose pause is over.

    Args:
        connection: one statement is run.
        worker: who claims. What is acknowledged is recorded whoever owns the account.
        accounts: for which to claim, of those that have an outcome here.
    """
    rows = await connection.fetch(
        *_GIVEN.asking(_GO_ON, outcomes, worker=worker, accounts=list(accounts), **terms.values)
    )
    taken = claimed_of(rows)
    users = frozenset(row["owner"] for row in rows)
    connection.tell(Topic.MESSAGES, users)
    pauses = {row["freed"]: row["pause"] for row in rows}
    left = [one for one in outcomes if one.account not in pauses]
    for one in taken:
        del pauses[one.account]
    return GoneOn(Recorded(users, pauses), taken, {row["freed"] for row in rows if row["idle"]}, left)
