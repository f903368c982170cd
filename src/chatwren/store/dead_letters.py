"""The table `dead_letter`: what an engine reported and could not be stored, with its bytes and the reason."""

from collections.abc import AsyncIterator
from uuid import UUID

from chatwren.domain.dead_letters import Count, DeadLetter
from chatwren.domain.storable import text
from chatwren.store.database import Connection
from chatwren.store.rows import Columns

MAX_EVENT_BYTES = 1 << 20
"""Only the beginning of a larger event is kept, which cannot be tried again."""
MAX_LETTERS = 1000
MAX_BYTES = 16 << 20
"""Most of one account. The oldest are kept: they tell how it began, and a flood of more costs no disk."""
_MAX_REASON = 2000


_LETTER = Columns(DeadLetter, "d", account="d.account_id", username="u.username")
_LETTERS = f"""
    SELECT {_LETTER} FROM dead_letter d JOIN account a ON a.id = d.account_id JOIN app_user u ON u.id = a.user_id
"""


async def put_aside(connection: Connection, account: UUID, kind: str, reason: str, event: bytes) -> int | None:
    """Keep an event. None: the account has no room for more, which is counted, or is gone, and all of it with it."""
    number: int | None = await connection.fetchval(
        f"""
        WITH held AS (
          SELECT count(*) AS letters, coalesce(sum(least(size, {MAX_EVENT_BYTES})), 0) AS bytes, max(id) AS newest
          FROM dead_letter WHERE account_id = $1
        ), kept AS (
          INSERT INTO dead_letter (account_id, kind, reason, event, size)
          SELECT a.id, $2, $3, $4, $5 FROM account a, held
          WHERE a.id = $1 AND held.letters < {MAX_LETTERS} AND held.bytes + length($4::bytea) <= {MAX_BYTES}
          RETURNING id
        ), counted AS (
          UPDATE dead_letter d SET not_kept = d.not_kept + 1 FROM held
          WHERE d.id = held.newest AND NOT EXISTS (SELECT FROM kept)
        )
        SELECT id FROM kept
        """,
        account,
        kind,
        text(reason, _MAX_REASON),
        event[:MAX_EVENT_BYTES],
        len(event),
    )
    return number


async def every(connection: Connection) -> AsyncIterator[DeadLetter]:
    """All dead letters, the oldest first. In a transaction."""
    async for row in connection.cursor(f"{_LETTERS} ORDER BY d.id"):
        yield _LETTER.of(row)


async def get(connection: Connection, letter: int) -> tuple[DeadLetter, bytes] | None:
    """One dead letter, with what is kept of its event."""
    row = await connection.fetchrow(f"{_LETTERS} WHERE d.id = $1", letter)
    event = await connection.fetchval("SELECT event FROM dead_letter WHERE id = $1", letter)
    return (_LETTER.of(row), event) if row and event is not None else None


async def remove(connection: Connection, letter: int) -> bool:
    """Forget a dead letter. False: it is gone already."""
    return bool(await connection.execute("DELETE FROM dead_letter WHERE id = $1", letter) == "DELETE 1")


async def tried_again(connection: Connection, letter: int, reason: str) -> None:
    """It still cannot be stored, for this reason."""
    await connection.execute(
        "UPDATE dead_letter SET retries = retries + 1, reason = $2 WHERE id = $1", letter, text(reason, _MAX_REASON)
    )


async def count(connection: Connection) -> list[Count]:
    """How many there are of each kind."""
    rows = await connection.fetch("SELECT kind, count(*), sum(not_kept)::bigint FROM dead_letter GROUP BY kind")
    return [Count(*row) for row in rows]
