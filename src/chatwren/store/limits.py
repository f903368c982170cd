"""The table `user_limit`: what the operator allows one user instead of the default; and what users have."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.limits import Limit
from chatwren.store.database import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user is allowed besides the defaults, and how many messages they have.

    Attributes:
        overrides: the limits that the operator has set for the user.
        waiting: messages that wait or are being sent, and rows of bulks that may become some (about: by the last line).
        stored: messages in all, those rows included.
    """

    overrides: Mapping[Limit, int]
    waiting: int
    stored: int


async def standing(connection: Connection, user_id: UUID) -> Standing:
    """Where the user stands."""
    row = await connection.fetchrow(
        """
        SELECT l.overrides, t.pending + b.open, t.stored + b.open
        FROM
          (SELECT coalesce(jsonb_object_agg(name, value), '{}') AS overrides FROM user_limit WHERE user_id = $1) AS l,
          (SELECT coalesce(sum(pending), 0)::bigint AS pending,
                  coalesce(sum(pending + sent + failed + cancelled + expired), 0)::bigint AS stored
           FROM message_total WHERE user_id = $1) AS t,
          (SELECT coalesce(sum(greatest(total - read_to, 0)), 0)::bigint AS open
           FROM bulk WHERE user_id = $1 AND ended_at IS NULL) AS b
        """,
        user_id,
    )
    known = {str(one) for one in Limit}  # one that a newer release has set is not ours to judge
    return Standing({Limit(name): value for name, value in row[0].items() if name in known}, row[1], row[2])


async def media_bytes(connection: Connection, user_id: UUID) -> int:
    """How many bytes the user's files have."""
    found: int = await connection.fetchval(
        "SELECT coalesce(sum(size), 0)::bigint FROM media WHERE user_id = $1", user_id
    )
    return found


async def set_override(connection: Connection, user_id: UUID, limit: Limit, value: int | None) -> None:
    """Allow the user so much from now on; None: the default again."""
    if value is None:
        await connection.execute("DELETE FROM user_limit WHERE user_id = $1 AND name = $2", user_id, limit)
        return
    await connection.execute(
        """
        INSERT INTO user_limit (user_id, name, value) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, name) DO UPDATE SET value = excluded.value
        """,
        user_id,
        limit,
        value,
    )
