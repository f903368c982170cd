"""Whose rows of which bulk are accepted next: users in turn, each attempt noted before it is made.

A step takes the next rows of a bulk in a short transaction, words them outside of any, and puts their results down in
another. Whoever dies in between has noted which rows it was at. These are then tried one at a time, so that of them all
only the row that was tried twice without an end is given up.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.store.bulks import BULK, Bulk, Result
from chatwren.store.conditions import MESSAGE_OF_ROW
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Given, named

_ROWS = 200
_BYTES = 1024 * 1024
"""Rows of one step, and the bytes that they were given as: few enough that its transactions hold nothing up."""

_GONE = "interval '15 seconds'"
"""After this time whoever took rows is taken for dead. Far longer than a step takes."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows of a bulk that one worker is at.

    Attributes:
        at: when it took them; by this it is known that they are still its own.
        rows: line, and the row as JSON.
        hopeless: the only row was tried before, by itself, without an end.
        tried_to: up to which line some rows were tried without an end, when these are not at fault.
    """

    bulk: Bulk
    at: datetime
    rows: list[tuple[int, str]]
    hopeless: bool
    tried_to: int


async def take(connection: Connection) -> Taken | None:
    """Take the next rows of the oldest bulk of the user whose turn it is.

    To be called in a transaction; its commit notes the attempt.

    Returns:
        What was taken, without rows when the bulk has none left; None: there is nothing to do.
    """
    row = await connection.fetchrow(
        f"""
        SELECT {BULK}, b.read_to, b.tried_to, b.alone FROM bulk b JOIN (
          SELECT DISTINCT ON (o.user_id) o.id, t.at FROM bulk o LEFT JOIN bulk_turn t USING (user_id)
          WHERE o.ended_at IS NULL AND (o.taken_at IS NULL OR o.taken_at < now() - {_GONE})
          ORDER BY o.user_id, o.id
        ) AS next ON next.id = b.id
        WHERE b.ended_at IS NULL AND (b.taken_at IS NULL OR b.taken_at < now() - {_GONE})
        ORDER BY next.at NULLS FIRST, b.id LIMIT 1 FOR NO KEY UPDATE OF b SKIP LOCKED
        """
    )
    if row is None:
        return None
    bulk, read_to, tried_to, alone = BULK.of(row), row["read_to"], row["tried_to"], row["alone"]
    careful = tried_to > read_to
    rows = await _next_rows(connection, bulk.id, read_to, limit=1 if careful else _ROWS)
    lines = [line for line, _ in rows]
    at: datetime = await connection.fetchval(
        "UPDATE bulk SET taken_at = clock_timestamp(), tried_to = $2, alone = $3 WHERE id = $1 RETURNING taken_at",
        bulk.id,
        tried_to if careful else max(lines, default=read_to),
        lines[0] if careful and lines else alone,
    )
    await connection.execute(
        """
        INSERT INTO bulk_turn (user_id, at) VALUES ($1, clock_timestamp())
        ON CONFLICT (user_id) DO UPDATE SET at = excluded.at
        """,
        bulk.user_id,
    )
    return Taken(bulk, at, rows, careful and lines == [alone], tried_to)


async def _next_rows(connection: Connection, bulk: UUID, read_to: int, *, limit: int) -> list[tuple[int, str]]:
    """The next rows that are neither accepted nor refused, at least one if there are any."""
    rows = await connection.fetch(
        """
        SELECT line, given FROM (
          SELECT line, given, sum(octet_length(given)) OVER (ORDER BY line) - octet_length(given) AS before FROM (
            SELECT line, given FROM bulk_row WHERE bulk_id = $1 AND line > $2 AND given IS NOT NULL
            ORDER BY line LIMIT $3
          ) AS head
        ) AS counted WHERE before < $4 ORDER BY line
        """,
        bulk,
        read_to,
        limit,
        _BYTES,
    )
    return [(row[0], row[1]) for row in rows]


async def is_ours(connection: Connection, taken: Taken) -> bool:
    """Whether the rows are still ours to accept: nobody took the bulk over, and it was not cancelled meanwhile.

    It stays so until the transaction ends.
    """
    first = taken.rows[0][0] if taken.rows else None
    return bool(
        await connection.fetchval(
            """
            SELECT true FROM bulk
            WHERE id = $1 AND taken_at = $2 AND ended_at IS NULL AND ($3::integer IS NULL OR read_to < $3)
            FOR NO KEY UPDATE
            """,
            taken.bulk.id,
            taken.at,
            first,
        )
    )


async def reached(connection: Connection, bulk: Bulk, recipients: Collection[str]) -> set[str]:
    """To which of these a message of the bulk has been accepted. In the transaction of `is_ours`."""
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT m.recipient FROM bulk_row r CROSS JOIN {MESSAGE_OF_ROW}
        WHERE r.bulk_id = $1 AND m.account_id = $2 AND m.recipient = ANY($3)
        """,
        bulk.id,
        bulk.account_id,
        list(recipients),
    )
    return {row[0] for row in rows}


_RESULTS = Given[Result]("r", line="integer", message_id=("uuid", lambda one: one.message), errors="text")


async def finish(connection: Connection, taken: Taken, results: Sequence[Result]) -> None:
    """Record what became of the first of the rows, and give the rest back; of none: the bulk has ended.

    In the transaction of `is_ours`.
    """
    connection.tell(Topic.BULK, (taken.bulk.user_id,))
    if not results:
        await connection.execute("UPDATE bulk SET ended_at = now(), taken_at = NULL WHERE id = $1", taken.bulk.id)
        return
    await connection.execute(
        *named(
            f"""
            UPDATE bulk_row b SET given = NULL, message_id = r.message_id, errors = r.errors
            FROM {_RESULTS} WHERE b.bulk_id = :bulk AND b.line = r.line
            """,
            bulk=taken.bulk.id,
            **_RESULTS.values(results),
        )
    )
    await connection.execute(
        "UPDATE bulk SET read_to = $2, tried_to = $3, alone = NULL, taken_at = NULL WHERE id = $1",
        taken.bulk.id,
        max(one.line for one in results),
        taken.tried_to,
    )


async def give_back(connection: Connection, taken: Taken) -> None:
    """Undo the taking, as when the worker ends: nothing was wrong with the rows."""
    await connection.execute(
        "UPDATE bulk SET tried_to = $3, alone = NULL, taken_at = NULL WHERE id = $1 AND taken_at = $2",
        taken.bulk.id,
        taken.at,
        taken.tried_to,
    )
