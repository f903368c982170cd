"""The table `throttle`: how often something happened in a window of time. Shared by all web processes."""

from collections.abc import Sequence
from datetime import datetime

from chatwren.store.database import Connection


async def counts(connection: Connection, keys: Sequence[str], window_start: datetime) -> dict[str, int]:
    """How often each of these happened in the window; 0 is left out."""
    rows = await connection.fetch(
        "SELECT key, count FROM throttle WHERE key = ANY($1) AND window_start = $2", keys, window_start
    )
    return {row[0]: row[1] for row in rows}


async def add(connection: Connection, keys: Sequence[str], window_start: datetime) -> dict[str, int]:
    """Count one more of each in the window; the new counts."""
    rows = await connection.fetch(
        """
        INSERT INTO throttle (key, window_start, count)
        SELECT key, $2, 1 FROM unnest($1::text[]) AS key ORDER BY key
        ON CONFLICT (key, window_start) DO UPDATE SET count = throttle.count + 1
        RETURNING key, count
        """,
        keys,
        window_start,
    )
    return {row[0]: row[1] for row in rows}
