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


SEEN = "m.status <= 'sending' AND m.due <= m.seen_at"
"""SQL: the message m is pending, and somebody has seen that it is due: at its acceptance, or by `look`."""
UNSEEN = "m.status <= 'sending' AND (m.due <= m.seen_at) IS NOT TRUE"
"""SQL: the message m is pending, and nobody has seen that it is due."""
UNSEEN_DUE = "CASE WHEN m.due <= m.seen_at THEN NULL ELSE m.due END"
"""SQL: when a message m that is UNSEEN is due, as its index has it."""

_SEEN_AFTER = "interval '5 seconds'"
"""How long a message has been due before `look` sees it: what goes out at once is not written once more for that."""
LOOKED_AT_ONCE = 1000
"""Most messages that one call of `look` sees."""


async def of_user(connection: Connection, user_id: UUID) -> Totals:
    """The user's totals, all of one moment."""
    row = await connection.fetchrow(
        f"""
        SELECT t.*,
          (SELECT coalesce(sum(ahead), 0)::bigint FROM message_ahead WHERE user_id = $1) - (
            SELECT count(*) FROM (
              SELECT FROM message m WHERE m.user_id = $1 AND {UNSEEN} AND {UNSEEN_DUE} <= now() ORDER BY {UNSEEN_DUE}
            ) AS unseen
          ) AS later,
          (SELECT count(*) FROM message WHERE user_id = $1 AND status = 'sending') AS sending
        FROM (
          SELECT coalesce(sum(pending), 0)::bigint AS pending, coalesce(sum(sent), 0)::bigint AS sent,
                 coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(cancelled), 0)::bigint AS cancelled,
                 coalesce(sum(expired), 0)::bigint AS expired
          FROM message_total WHERE user_id = $1
        ) AS t
        """,
        user_id,
    )
    return Totals(
        {
            Shown.SCHEDULED: row["later"],
            Shown.QUEUED: row["pending"] - row["later"] - row["sending"],
            **{one: row[one.value] for one in Shown if one not in (Shown.SCHEDULED, Shown.QUEUED)},
        }
    )


async def look(connection: Connection) -> int:
    """See of up to LOOKED_AT_ONCE messages that they are due by now. Returns of how many. Safe to run by many at once.

    It is right whether anybody looks or not, but a page is looked for among all that are due and unseen.
    """
    result = await connection.execute(
        f"""
        WITH due AS MATERIALIZED (
          SELECT d.id FROM (SELECT DISTINCT user_id FROM message_ahead) AS u CROSS JOIN LATERAL (
            SELECT m.id FROM message m
            WHERE m.user_id = u.user_id AND {UNSEEN} AND {UNSEEN_DUE} <= now() - {_SEEN_AFTER}
            ORDER BY {UNSEEN_DUE} LIMIT {LOOKED_AT_ONCE}
          ) AS d LIMIT {LOOKED_AT_ONCE}
        ), locked AS MATERIALIZED (
          SELECT m.id FROM message m WHERE m.id = ANY(ARRAY(SELECT id FROM due)) ORDER BY m.id
          FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE message m SET seen_at = now() WHERE m.id = ANY(ARRAY(SELECT id FROM locked))
        """
    )
    return int(result.removeprefix("UPDATE "))


def _folding(table: str, columns: tuple[str, ...]) -> str:
    sums = ", ".join(f"sum({one})" for one in columns)
    names = ", ".join(columns)
    return f"""
        WITH loose AS (SELECT DISTINCT user_id FROM {table} WHERE NOT folded ORDER BY user_id LIMIT $1),
        gone AS (
          DELETE FROM {table} t USING loose WHERE t.user_id = loose.user_id RETURNING t.user_id, {names}
        ), kept AS (
          INSERT INTO {table} (user_id, folded, {names}) SELECT user_id, true, {sums} FROM gone
          GROUP BY user_id HAVING ({sums}) <> ({", ".join("0" for _ in columns)})
        )
        SELECT count(*) FROM loose
        """


_FOLDED = {"message_total": ("pending", "sent", "failed", "cancelled", "expired"), "message_ahead": ("ahead",)}


async def fold(connection: Connection) -> int:
    """Replace the rows of some users by one each. Safe to run by many at once. Returns how many users there were.

    Of each table those of so many users; returned is the larger number.
    """
    folded = [await connection.fetchval(_folding(*one), FOLDED_AT_ONCE) for one in _FOLDED.items()]
    return int(max(folded))
