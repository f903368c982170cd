"""Messages that are too late: past their own deadline (`expires_at`), or, without one, by outages of their account.

The claim begins no attempt after a deadline, whatever the message waits for; a job says soon that it has expired.
Without one only time counts in which the account could not send (table `outage`). That the claim does not look at: it
is done in the transaction in which the account can send again, and now and then meanwhile.

What may be out never expires. At its deadline it is given up: its outcome is unknown, and its account goes on.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg

from chatwren.domain.reasons import DEADLINE_PASSED, TOO_LATE, UNCONFIRMED_IN_TIME, Reason, params
from chatwren.store import pacing
from chatwren.store.conditions import WAITS
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import named

AT_ONCE = 1000
"""Most messages that one call of `expire_passed` or `give_up_passed` ends."""

_PASSED = f"{WAITS} AND m.unconfirmed = 0 AND m.expires_at <= now()"
# While an attempt has no outcome the message keeps its epoch, and for so long as it may take the account its guard
# (`next_at`).
_IN_DOUBT = """
  m.expires_at <= now() AND (
    (m.status = 'waiting' AND m.unconfirmed > 0)
    OR (m.status = 'sending' AND (m.epoch IS NULL OR a.next_at <= now()))
  )
"""


async def expire(connection: Connection, account: UUID, allowed: timedelta) -> None:
    """Expire what of an account's waiting messages has become too late by its outages.

    Args:
        connection: one statement is run.
        account: whose messages; those with a deadline are left to it.
        allowed: for how long, since a message was due, the account may have been unable to send.
    """
    late = f"""
      WITH line AS MATERIALIZED (SELECT outage_line(:account, :allowed) AS at)
      SELECT m.id FROM line, unnest(enum_range(NULL::message_lane)) AS l (lane), message m
      WHERE m.account_id = :account AND m.lane = l.lane AND {WAITS}
        AND m.expires_at IS NULL AND m.due <= line.at
    """
    still = "m.status = 'waiting' AND m.unconfirmed = 0"
    await _expire(connection, late, still, TOO_LATE, account=account, allowed=allowed)


async def expire_passed(connection: Connection) -> int:
    """Expire up to AT_ONCE waiting messages whose deadline has passed. Returns how many. One statement is run."""
    late = f"SELECT m.id FROM message m WHERE {_PASSED} ORDER BY m.expires_at LIMIT {AT_ONCE}"
    return await _expire(connection, late, _PASSED, DEADLINE_PASSED)


async def _expire(connection: Connection, late: str, still: str, failure: Reason, **values: object) -> int:
    """Expire the messages of a statement for which a condition still holds when they are locked.

    Args:
        connection: one statement is run.
        late: gives their ids.
        still: a message `m` that it does not hold for was changed meanwhile, or may be out.
        failure: the last word on them.
        values: of the parameters of `late`.
    """
    statement = f"""
      WITH late AS MATERIALIZED ({late}), locked AS MATERIALIZED (
        SELECT m.id FROM message m JOIN late USING (id) WHERE {still} ORDER BY m.id FOR NO KEY UPDATE OF m
      )
      UPDATE message m SET status = 'expired', ended_at = now(), error_code = :code, error_params = :params
      FROM locked WHERE m.id = locked.id RETURNING m.account_id, m.user_id
    """
    rows = await connection.fetch(*named(statement, code=failure.code, params=params(failure), **values))
    return _told(connection, rows)


def _told(connection: Connection, ended: Sequence[asyncpg.Record]) -> int:
    """How many messages were ended; their accounts, which go on, and their users are told."""
    connection.tell(Topic.WORK, (row["account_id"] for row in ended))
    connection.tell(Topic.MESSAGES, (row["user_id"] for row in ended))
    return len(ended)


async def give_up_passed(connection: Connection) -> int:
    """Give up up to AT_ONCE messages past their deadline that may be out, none of which is under way.

    Their accounts go on. Returns as `expire_passed`; one statement is run.
    """
    rows = await connection.fetch(
        f"""
        WITH late AS MATERIALIZED (
          SELECT m.id, a.id AS account_id FROM message m JOIN account a ON a.id = m.account_id
          WHERE m.status <= 'sending' AND {_IN_DOUBT} ORDER BY m.expires_at LIMIT {AT_ONCE}
        ), locked AS MATERIALIZED (
          SELECT a.id, a.next_at FROM account a WHERE a.id IN (SELECT account_id FROM late)
          ORDER BY a.id FOR NO KEY UPDATE
        ), given_up AS (
          UPDATE message m SET
            status = 'failed', epoch = NULL, ended_at = now(), error_code = $1, error_params = $2,
            unconfirmed = m.unconfirmed + (m.epoch IS NOT NULL)::integer
          FROM late JOIN locked a ON a.id = late.account_id
          WHERE m.id = late.id AND {_IN_DOUBT}
          RETURNING m.id, m.account_id, m.user_id, m.claimed_at
        ), freed AS (
          UPDATE account a SET in_flight = NULL, next_at = greatest(a.next_at, {pacing.next_at("a", "g.claimed_at")})
          FROM given_up g WHERE a.id = g.account_id AND a.in_flight = g.id
        )
        SELECT account_id, user_id FROM given_up
        """,
        UNCONFIRMED_IN_TIME.code,
        params(UNCONFIRMED_IN_TIME),
    )
    return _told(connection, rows)


async def cut_off(connection: Connection) -> list[UUID]:
    """The accounts that cannot send now and have messages waiting."""
    rows = await connection.fetch(
        """
        SELECT o.account_id FROM outage o
        WHERE o.ended_at IS NULL AND EXISTS (
          SELECT FROM message m WHERE m.account_id = o.account_id AND m.status <= 'sending' AND m.due <= now()
        )
        """
    )
    return [row[0] for row in rows]


async def forget_outages(connection: Connection, kept: timedelta) -> None:
    """Remove outages that ended so long ago. A message is never due for longer than it is kept waiting."""
    await connection.execute("DELETE FROM outage WHERE ended_at < now() - $1::interval", kept)
