"""Bulks: rows that were handed over together, each accepted or refused by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO, Self
from uuid import UUID

from chatwren.domain.messages import Shown
from chatwren.store.conditions import MESSAGE_OF_ROW, WAITS
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns, named


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
    """A bulk.

    Attributes:
        ended_at: when the last of its `total` rows was accepted or refused.
        warnings: what was told of its list when it came.
        skip_duplicates: of several rows to one recipient only the first that can be accepted is.
    """

    id: UUID
    user_id: UUID
    account_id: UUID
    created_at: datetime
    total: int
    ended_at: datetime | None
    warnings: list[str]
    skip_duplicates: bool


BULK = Columns(Bulk, "b")


@dataclass(frozen=True, slots=True)
class Held:
    """What a user has of bulks.

    Attributes:
        open: bulks with rows that are neither accepted nor refused.
        unaccepted: rows, of all bulks, that were refused or are not accepted yet.
    """

    open: int
    unaccepted: int

    def with_another(self, rows: int) -> Self:
        """What it would be with one more bulk of so many rows."""
        return replace(self, open=self.open + 1, unaccepted=self.unaccepted + rows)


async def held(connection: Connection, user_id: UUID) -> Held:
    """What the user has of bulks."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM bulk WHERE user_id = $1 AND ended_at IS NULL),
               (SELECT coalesce(sum(total - accepted), 0)::bigint FROM bulk WHERE user_id = $1 AND accepted < total)
        """,
        user_id,
    )
    return Held(*row)


def line_of(bulk: UUID, row: GivenRow) -> bytes:
    """A row as `insert` takes it: a line of COPY, of whose signs JSON as json.dumps writes it has only backslashes."""
    given, errors = ("\\N" if one is None else one.replace("\\", "\\\\") for one in (row.given, row.errors))
    return f"{bulk}\t{row.line}\t{given}\t{errors}\n".encode("ascii")


async def insert(
    connection: Connection,
    bulk: UUID,
    user_id: UUID,
    account_id: UUID,
    *,
    total: int,
    to_do: int,
    rows: IO[bytes],
    warnings: Sequence[str],
    skip_duplicates: bool,
) -> None:
    """Store a bulk. In a transaction.

    Args:
        account_id: from which its messages go.
        total: how many rows there are.
        to_do: how many of them are neither accepted nor refused.
        rows: the rows, each as `line_of` gives it.
        warnings, skip_duplicates: see Bulk.
    """
    await connection.execute(
        *named(
            """
            INSERT INTO bulk (id, user_id, account_id, total, ended_at, warnings, skip_duplicates)
            VALUES (:bulk, :user, :account, :total, CASE WHEN :to_do = 0 THEN now() END, :warnings, :skip)
            """,
            bulk=bulk,
            user=user_id,
            account=account_id,
            total=total,
            to_do=to_do,
            warnings=warnings,
            skip=skip_duplicates,
        )
    )
    await connection.copy_to_table("bulk_row", source=rows, columns=["bulk_id", "line", "given", "errors"])


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
    stopped = int(result.removeprefix("UPDATE "))
    if stopped:
        connection.tell(Topic.BULK, (user_id,))
    return stopped


async def get(connection: Connection, user_id: UUID, bulk: UUID) -> Bulk | None:
    """A bulk of the user."""
    row = await connection.fetchrow(f"SELECT {BULK} FROM bulk b WHERE b.id = $1 AND b.user_id = $2", bulk, user_id)
    return BULK.of(row) if row else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk is.

    Attributes:
        accepted, refused: rows.
        by_status: its messages, by what the API shows.
        last_due: when the last of those that wait is due.
        before_last: how many messages of the account that wait go before it: those that are due by then.
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
        f"""
        SELECT CASE WHEN m.status <> 'waiting' THEN m.status::text WHEN m.due > now() THEN 'scheduled'
               ELSE 'queued' END, count(*)
        FROM bulk_row r CROSS JOIN {MESSAGE_OF_ROW}
        WHERE r.bulk_id = $1 AND m.account_id = $2 GROUP BY 1
        """,
        bulk.id,
        bulk.account_id,
    )
    by_status = {Shown(row[0]): row[1] for row in rows}
    last_due, new_contacts = await connection.fetchrow(
        f"""
        SELECT max(m.due), count(DISTINCT m.recipient) FILTER (WHERE m.lane = 'cold')
        FROM bulk_row r CROSS JOIN {MESSAGE_OF_ROW}
        WHERE r.bulk_id = $1 AND m.account_id = $2 AND m.status = 'waiting'
        """,
        bulk.id,
        bulk.account_id,
    )
    before_last = await connection.fetchval(
        f"SELECT greatest(count(*) - 1, 0) FROM message m WHERE m.account_id = $1 AND {WAITS} AND m.due <= $2",
        bulk.account_id,
        last_due,
    )
    return Progress(accepted, refused, by_status, last_due, before_last, new_contacts)


async def results(
    connection: Connection, bulk: Bulk, *, refused: bool, limit: int, offset: int
) -> Sequence[tuple[int, UUID | None, str, str | None]]:
    """What became of its rows, in their order: line, message and its prefix, errors (JSON). `refused`: only those."""
    rows = await connection.fetch(
        f"""
        SELECT r.line, r.message_id, coalesce(m.prefix, 'msg'), r.errors FROM (
          SELECT line, message_id, errors FROM bulk_row
          WHERE bulk_id = $1 {"AND errors IS NOT NULL" if refused else ""}
          ORDER BY line LIMIT {limit:d} OFFSET {offset:d}
        ) AS r LEFT JOIN {MESSAGE_OF_ROW} ON m.account_id = $2
        ORDER BY r.line
        """,
        bulk.id,
        bulk.account_id,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
