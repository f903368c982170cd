"""How many messages a user has, exactly, without counting them and without making anybody wait.

Triggers append what each statement changes to `message_total`; a user's totals are the sums over its rows.
"""

from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.messages import Shown
from chatwren.store.database import Connection

FOLDED_AT_ONCE = 100
"""Most users whose rows one call of `fold` replaces."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How many messages a user has, by what the API shows."""

    by_status: dict[Shown, int]

    @property
    def all(self) -> int:
        """How many in all."""
        return sum(self.by_status.values())


def pending_of(user: str) -> str:
    """SQL of the waiting and sending messages of a user: id and due time, by the index of the queue.

    Args:
        user: the SQL expression of the user's id.
    """
    return f"""(
      SELECT m.id, m.due FROM account a CROSS JOIN unnest(enum_range(NULL::message_lane)) AS l (lane)
      JOIN message m ON m.account_id = a.id AND m.lane = l.lane AND m.status <= 'sending'
      WHERE a.user_id = {user}
    )"""


async def of_user(connection: Connection, user_id: UUID) -> Totals:
    """The user's totals, all of one moment."""
    row = await connection.fetchrow(
        f"""
        SELECT coalesce(sum(pending), 0)::bigint AS pending, coalesce(sum(sent), 0)::bigint AS sent,
               coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(cancelled), 0)::bigint AS cancelled,
               coalesce(sum(expired), 0)::bigint AS expired,
               (SELECT count(*) FROM {pending_of("$1")} AS p WHERE p.due <= now()) AS due,
               (SELECT count(*) FROM message WHERE user_id = $1 AND status = 'sending') AS sending
        FROM message_total WHERE user_id = $1
        """,
        user_id,
    )
    return Totals(
        {
            Shown.SCHEDULED: row["pending"] - row["due"],
            Shown.QUEUED: row["due"] - row["sending"],
            **{one: row[one.value] for one in Shown if one not in (Shown.SCHEDULED, Shown.QUEUED)},
        }
    )


async def fold(connection: Connection) -> int:
    """Replace the rows of some users by one each. Safe to run by many at once. Returns how many users there were."""
    folded: int | None = await connection.fetchval(
        """
        WITH loose AS (SELECT DISTINCT user_id FROM message_total WHERE NOT folded ORDER BY user_id LIMIT $1),
        gone AS (
          DELETE FROM message_total t USING loose WHERE t.user_id = loose.user_id
          RETURNING t.user_id, pending, sent, failed, cancelled, expired
        )
        INSERT INTO message_total (user_id, folded, pending, sent, failed, cancelled, expired)
        SELECT user_id, true, sum(pending), sum(sent), sum(failed), sum(cancelled), sum(expired) FROM gone
        GROUP BY user_id HAVING (sum(pending), sum(sent), sum(failed), sum(cancelled), sum(expired)) <> (0, 0, 0, 0, 0)
        RETURNING (SELECT count(*) FROM loose)
        """,
        FOLDED_AT_ONCE,
    )
    return folded or 0
