"""Messages that are too late: only time counts in which their account could not send (table `outage`)."""

from datetime import timedelta
from uuid import UUID

from chatwren.domain.failures import TOO_LATE
from chatwren.store.conditions import WAITS
from chatwren.store.database import Connection


async def expire(connection: Connection, account: UUID, allowed: timedelta) -> bool:
    """Expire what of an account's waiting messages has become too late. Returns whether there were any.

    Lateness grows only while the account cannot send. So it is enough to look when it can again, in the transaction
    that says so, and now and then meanwhile.

    Args:
        connection: one statement is run.
        account: whose messages.
        allowed: lateness of those that have no `expires_at`; that of others is from their due time to it.
    """
    result = await connection.execute(
        f"""
        WITH line AS MATERIALIZED (SELECT outage_line($1, $2) AS at), late AS MATERIALIZED (
          SELECT m.id FROM line, unnest(enum_range(NULL::message_lane)) AS l (lane), message m
          WHERE m.account_id = $1 AND m.lane = l.lane AND {WAITS}
            AND m.expires_at IS NULL AND m.due <= line.at
          UNION ALL
          SELECT m.id FROM message m
          WHERE m.account_id = $1 AND {WAITS} AND m.expires_at <= now()
            AND outage_since($1, m.due) >= m.expires_at - m.due
        ), locked AS MATERIALIZED (
          -- What is retried after an unknown outcome may be out: that never expires.
          SELECT m.id FROM message m JOIN late USING (id)
          WHERE m.status = 'waiting' AND m.unconfirmed = 0 ORDER BY m.id FOR NO KEY UPDATE OF m
        )
        UPDATE message m SET status = 'expired', ended_at = now(), error_code = $3, error_message = $4
        FROM locked WHERE m.id = locked.id
        """,
        account,
        allowed,
        TOO_LATE.code,
        TOO_LATE.message,
    )
    return result != "UPDATE 0"


async def cut_off(connection: Connection) -> list[tuple[UUID, UUID]]:
    """The accounts that cannot send now and have messages waiting, each with its user."""
    rows = await connection.fetch(
        """
        SELECT a.id, a.user_id FROM outage o JOIN account a ON a.id = o.account_id
        WHERE o.ended_at IS NULL AND EXISTS (
          SELECT FROM message m WHERE m.account_id = a.id AND m.status <= 'sending' AND m.due <= now()
        )
        """
    )
    return [(row[0], row[1]) for row in rows]


async def forget_outages(connection: Connection, kept: timedelta) -> None:
    """Remove outages that ended so long ago. A message is never due for longer than it is kept waiting."""
    await connection.execute("DELETE FROM outage WHERE ended_at < now() - $1::interval", kept)
