"""Bulks: rows that were handed over together, each accepted or refused by itself."""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.messages import Shown
from chatwren.store.database import Connection


@dataclass(frozen=True, slots=True)
class GivenRow:
    """A row as it was sent. Either `given`, a JSON object as text, or `errors`, why it could not be read (JSON)."""

    line: int
    given: str | None
    errors: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row: the message, or why it was refused (JSON)."""

    line: int
    message: UUID | None
    errors: str | None


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk. `ended_at`: when the last of its `total` rows was accepted or refused."""

    id: UUID
    user_id: UUID
    account_id: UUID
    created_at: datetime
    total: int
    ended_at: datetime | None


_COLUMNS = "id, user_id, account_id, created_at, total, ended_at"


async def insert(
    connection: Connection, bulk: UUID, user_id: UUID, account_id: UUID, rows: AsyncIterable[GivenRow]
) -> int:
    """Store a bulk. In a transaction. Returns how many rows it has."""
    await connection.execute(
        "INSERT INTO bulk (id, user_id, account_id, total) VALUES ($1, $2, $3, 0)", bulk, user_id, account_id
    )
    await connection.copy_records_to_table(
        "bulk_row",
        columns=["bulk_id", "line", "given", "errors"],
        records=((bulk, row.line, row.given, row.errors) async for row in rows),
    )
    total: int = await connection.fetchval(
        """
        UPDATE bulk SET total = c.total, ended_at = CASE WHEN c.given = 0 THEN now() END
        FROM (SELECT count(*) AS total, count(given) AS given FROM bulk_row WHERE bulk_id = $1) AS c
        WHERE id = $1 RETURNING bulk.total
        """,
        bulk,
    )
    return total


async def next_open(connection: Connection) -> Bulk | None:
    """The oldest bulk that has rows left and that nobody else is at, locked until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM bulk WHERE ended_at IS NULL ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
    )
    return Bulk(*row) if row else None


async def next_rows(connection: Connection, bulk: UUID, *, limit: int) -> list[tuple[int, str]]:
    """The next rows that are neither accepted nor refused: line, and the row as JSON."""
    rows = await connection.fetch(
        """
        SELECT line, given FROM bulk_row
        WHERE bulk_id = $1 AND line > (SELECT read_to FROM bulk WHERE id = $1) AND given IS NOT NULL
        ORDER BY line LIMIT $2
        """,
        bulk,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


async def finish(connection: Connection, bulk: UUID, results: Sequence[Result]) -> None:
    """Record what became of the rows that `next_rows` gave; of none: the bulk has ended. In the same transaction."""
    if not results:
        await connection.execute("UPDATE bulk SET ended_at = now() WHERE id = $1", bulk)
        return
    await connection.execute(
        """
        UPDATE bulk_row b SET given = NULL, message_id = r.message_id, errors = r.errors
        FROM unnest($2::integer[], $3::uuid[], $4::text[]) AS r (line, message_id, errors)
        WHERE b.bulk_id = $1 AND b.line = r.line
        """,
        bulk,
        [one.line for one in results],
        [one.message for one in results],
        [one.errors for one in results],
    )
    await connection.execute("UPDATE bulk SET read_to = $2 WHERE id = $1", bulk, max(one.line for one in results))


async def stop(connection: Connection, user_id: UUID, bulk: UUID | None, errors: str) -> int:
    """Refuse, for this reason, what of a bulk is neither accepted nor refused; None: of all of the user's bulks.

    To be called in a transaction. Returns how many rows.
    """
    rows = await connection.fetch(
        """
        SELECT id FROM bulk WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ended_at IS NULL
        ORDER BY id FOR NO KEY UPDATE
        """,
        user_id,
        bulk,
    )
    open_ones = [row[0] for row in rows]
    result = await connection.execute(
        "UPDATE bulk_row SET given = NULL, errors = $2 WHERE bulk_id = ANY($1) AND given IS NOT NULL", open_ones, errors
    )
    await connection.execute("UPDATE bulk SET ended_at = now() WHERE id = ANY($1)", open_ones)
    return int(result.removeprefix("UPDATE "))


async def get(connection: Connection, user_id: UUID, bulk: UUID) -> Bulk | None:
    """A bulk of the user."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM bulk WHERE id = $1 AND user_id = $2", bulk, user_id)
    return Bulk(*row) if row else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk is.

    Attributes:
        accepted, refused: rows.
        by_status: its messages, by what the API shows.
        last_due: when the last of those that wait is due.
        before_last: how many messages of the account wait that are due by then, its own included.
        new_contacts: to how many contacts its messages in the cold lane go.
    """

    accepted: int
    refused: int
    by_status: dict[Shown, int]
    last_due: datetime | None
    before_last: int
    new_contacts: int


async def progress(connection: Connection, bulk: Bulk) -> Progress:
    """How far a bulk is."""
    accepted, refused = await connection.fetchrow(
        "SELECT count(message_id), count(errors) FROM bulk_row WHERE bulk_id = $1", bulk.id
    )
    rows = await connection.fetch(
        """
        SELECT CASE WHEN m.status <> 'waiting' THEN m.status::text WHEN m.due > now() THEN 'scheduled'
               ELSE 'queued' END, count(*)
        FROM bulk_row r JOIN message m ON m.id = r.message_id WHERE r.bulk_id = $1 GROUP BY 1
        """,
        bulk.id,
    )
    by_status = {Shown(row[0]): row[1] for row in rows}
    last_due, new_contacts = await connection.fetchrow(
        """
        SELECT max(m.due), count(DISTINCT m.recipient) FILTER (WHERE m.lane = 'cold')
        FROM bulk_row r JOIN message m ON m.id = r.message_id WHERE r.bulk_id = $1 AND m.status = 'waiting'
        """,
        bulk.id,
    )
    before_last = await connection.fetchval(
        """
        SELECT count(*) FROM message
        WHERE account_id = $1 AND status <= 'sending' AND status = 'waiting' AND due <= $2
        """,
        bulk.account_id,
        last_due,
    )
    return Progress(accepted, refused, by_status, last_due, before_last, new_contacts)


async def results(
    connection: Connection, bulk: UUID, *, refused: bool, limit: int, offset: int
) -> Sequence[tuple[int, UUID | None, str, str | None]]:
    """What became of its rows, in their order: line, message and its prefix, errors (JSON). `refused`: only those."""
    rows = await connection.fetch(
        f"""
        SELECT r.line, r.message_id, coalesce(m.prefix, 'msg'), r.errors
        FROM bulk_row r LEFT JOIN message m ON m.id = r.message_id
        WHERE r.bulk_id = $1 {"AND r.errors IS NOT NULL" if refused else ""}
        ORDER BY r.line LIMIT {limit:d} OFFSET {offset:d}
        """,
        bulk,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
