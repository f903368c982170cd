"""The tables `throttle`: how often something was tried in a window of time, and `login_network`: who is no stranger.

Shared by all web processes.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chatwren.store.database import Connection

_NETWORKS_KEPT = 50
"""Networks that are remembered of one user."""


async def counts(connection: Connection, keys: Sequence[str], window_start: datetime) -> dict[str, int]:
    """How often each of these was tried in the window; 0 is left out."""
    rows = await connection.fetch(
        "SELECT key, count FROM throttle WHERE key = ANY($1) AND window_start = $2", keys, window_start
    )
    return {row[0]: row[1] for row in rows}


async def take(
    connection: Connection, key: str, window_start: datetime, *, at_most: int, also: str | None = None
) -> bool:
    """Count one more try of `key` in the window, and of `also`, which has no limit.

    False when there were `at_most` already; then nothing is counted. No more are let through of many at one moment.
    """
    row = await connection.fetchrow(
        """
        WITH taken AS (
          INSERT INTO throttle (key, window_start, count) VALUES ($1, $3, 1)
          ON CONFLICT (key, window_start) DO UPDATE SET count = throttle.count + 1 WHERE throttle.count < $4
          RETURNING count
        ), others AS (
          INSERT INTO throttle (key, window_start, count) SELECT $2::text, $3, 1 FROM taken WHERE $2::text IS NOT NULL
          ON CONFLICT (key, window_start) DO UPDATE SET count = throttle.count + 1
        )
        SELECT FROM taken
        """,
        key,
        also,
        window_start,
        at_most,
    )
    return row is not None


async def give_back(connection: Connection, key: str, window_start: datetime, *, also: str | None = None) -> None:
    """Undo a `take`. In the order in which that counted, so that the two cannot wait for each other."""
    await connection.execute(
        """
        WITH given AS (
          UPDATE throttle SET count = count - 1 WHERE key = $1 AND window_start = $3 AND count > 0 RETURNING key
        )
        UPDATE throttle SET count = count - 1 FROM given
        WHERE throttle.key = $2 AND window_start = $3 AND count > 0
        """,
        key,
        also,
        window_start,
    )


async def standing(
    connection: Connection, keys: Sequence[str], window_start: datetime, *, user_id: UUID | None, network: bytes
) -> tuple[dict[str, int], bool]:
    """What `counts` gives, and whether the user has logged in from that network lately. In one statement: many ask."""
    rows = await connection.fetch(
        """
        SELECT key, count FROM throttle WHERE key = ANY($1) AND window_start = $2
        UNION ALL
        SELECT NULL, 0 FROM login_network
        WHERE user_id = $3 AND network = $4 AND seen_at > now() - interval '90 days'
        """,
        keys,
        window_start,
        user_id,
        network,
    )
    found = {row[0]: row[1] for row in rows}
    return found, found.pop(None, None) is not None


async def remember(connection: Connection, user_id: UUID, network: bytes) -> None:
    """Note that the user has logged in from that network; of those before, the latest are kept."""
    await connection.execute(
        """
        INSERT INTO login_network (user_id, network) VALUES ($1, $2)
        ON CONFLICT (user_id, network) DO UPDATE SET seen_at = now()
        """,
        user_id,
        network,
    )
    await connection.execute(
        """
        DELETE FROM login_network WHERE (user_id, network) IN (
          SELECT user_id, network FROM login_network WHERE user_id = $1 ORDER BY seen_at DESC OFFSET $2
        )
        """,
        user_id,
        _NETWORKS_KEPT,
    )
