"""Messages as the API sees them: accepted, listed, changed while they wait. How they go out: dispatch.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chatwren.domain.messages import Shown
from chatwren.store.database import Connection

COUNTED = 10_000
"""How far a list with further filters is counted exactly."""


@dataclass(frozen=True, slots=True)
class NewRow:
    """What is stored of a message at acceptance."""

    id: UUID
    user_id: UUID
    account_id: UUID
    prefix: str
    recipient_kind: str
    recipient: str
    text: str
    original: str
    modifications: dict[str, Any] | None
    changes: list[dict[str, Any]] | None
    media_id: UUID | None
    accepted_at: datetime
    due: datetime
    wa_id: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message with what is needed to say why it waits."""

    id: UUID
    account_id: UUID
    prefix: str
    recipient_kind: str
    recipient: str
    text: str
    original: str
    modifications: dict[str, Any] | None
    changes: list[dict[str, Any]] | None
    accepted_at: datetime
    due: datetime
    status: str
    attempts: int
    claimed_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    error_code: str | None
    error_message: str | None
    media_id: UUID | None
    media_kind: str | None
    media_mimetype: str | None
    media_file_name: str | None
    media_size: int | None
    head: bool  # the next of its account, when it waits and is due
    recipient_retry_at: datetime | None  # nothing goes to its recipient before
    now: datetime


_COLUMNS = """
  m.id, m.account_id, m.prefix, m.recipient_kind, m.recipient, m.text, m.original, m.modifications, m.changes,
  m.accepted_at, m.due, m.status::text, m.attempts, m.claimed_at, m.sent_at, m.ended_at, m.delivered_at, m.read_at,
  m.error_code, m.error_message, m.media_id, f.kind, f.mimetype, f.file_name, f.size,
  m.status = 'waiting' AND m.due <= now() AND a.in_flight IS NULL AND NOT EXISTS (
    SELECT FROM message e
    WHERE e.account_id = m.account_id AND e.status <= 'sending' AND e.lane <= m.lane AND e.due <= now()
      AND (e.lane, e.due, e.id) < (m.lane, m.due, m.id)
  ),
  c.retry_at,
  now()
"""
_FROM = """
  FROM message m JOIN account a ON a.id = m.account_id LEFT JOIN media f ON f.id = m.media_id
  LEFT JOIN contact c ON c.account_id = m.account_id AND c.address = m.recipient
"""

_SHOWN: dict[Shown, str] = {
    Shown.SCHEDULED: "m.status = 'waiting' AND m.due > now()",
    Shown.QUEUED: "m.status = 'waiting' AND m.due <= now()",
    Shown.SENDING: "m.status = 'sending'",
    Shown.SENT: "m.status = 'sent'",
    Shown.FAILED: "m.status = 'failed'",
    Shown.CANCELLED: "m.status = 'cancelled'",
    Shown.EXPIRED: "m.status = 'expired'",
}


async def insert(connection: Connection, row: NewRow) -> None:
    """Store an accepted message."""
    await connection.execute(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, modifications,
                             changes, media_id, accepted_at, due, wa_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        row.id,
        row.user_id,
        row.account_id,
        row.prefix,
        row.recipient_kind,
        row.recipient,
        row.text,
        row.original,
        row.modifications,
        row.changes,
        row.media_id,
        row.accepted_at,
        row.due,
        row.wa_id,
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages of a user are listed. None: no condition."""

    user_id: UUID
    status: Shown | None = None
    recipient: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the total is exact at any size."""
        return self.recipient is None and self.text is None and self.since is None and self.until is None

    def sql(self) -> tuple[str, list[Any]]:
        """The conditions, and their values for the parameters from $1 on."""
        conditions: list[str] = ["m.user_id = $1"]
        values: list[Any] = [self.user_id]
        if self.status is not None:
            conditions.append(_SHOWN[self.status])
        for condition, value in (
            ("m.recipient = ${}", self.recipient),
            ("strpos(lower(m.text), lower(${})) > 0", self.text),
            ("m.due >= ${}", self.since),
            ("m.due < ${}", self.until),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(len(values)))
        return " AND ".join(conditions), values


async def count(connection: Connection, where: Filter) -> tuple[int, bool]:
    """How many messages the filter matches, and whether there may be more than that."""
    conditions, values = where.sql()
    if where.is_plain:
        return await connection.fetchval(f"SELECT count(*) FROM message m WHERE {conditions}", *values), False
    found = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM message m WHERE {conditions} LIMIT {COUNTED + 1}) AS found", *values
    )
    return min(found, COUNTED), found > COUNTED


async def page(
    connection: Connection, where: Filter, *, limit: int, offset: int, before: UUID | None
) -> Sequence[MessageRow]:
    """Messages that match, newest first: `offset` on, or those accepted before the message `before`."""
    conditions, values = where.sql()
    if before is not None:
        values.append(before)
        conditions += f" AND m.id < ${len(values)}"
    rows = await connection.fetch(
        f"""
        WITH wanted AS MATERIALIZED (
          SELECT m.id FROM message m WHERE {conditions} ORDER BY m.id DESC LIMIT {limit:d} OFFSET {offset:d}
        )
        SELECT {_COLUMNS} {_FROM} WHERE m.id IN (SELECT id FROM wanted) ORDER BY m.id DESC
        """,
        *values,
    )
    return [MessageRow(*row) for row in rows]


async def get(connection: Connection, user_id: UUID, message_id: UUID) -> MessageRow | None:
    """One message of the user."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} {_FROM} WHERE m.user_id = $1 AND m.id = $2", user_id, message_id
    )
    return MessageRow(*row) if row else None


async def cancel(connection: Connection, user_id: UUID, message_id: UUID) -> bool:
    """Cancel a message that waits. False: it does not exist, is another user's, or no longer waits."""
    return bool(
        await connection.fetchval(
            """
            UPDATE message SET status = 'cancelled', ended_at = now()
            WHERE user_id = $1 AND id = $2 AND status = 'waiting' RETURNING true
            """,
            user_id,
            message_id,
        )
    )


async def change(
    connection: Connection,
    user_id: UUID,
    message_id: UUID,
    *,
    due: datetime | None,
    text: str | None,
    original: str | None,
    changes: list[dict[str, Any]] | None,
) -> bool:
    """Change when a waiting message goes out, or (with `text`) its words. False: as for `cancel`."""
    return bool(
        await connection.fetchval(
            """
            UPDATE message SET
              due = coalesce($3, due),
              text = coalesce($4, text),
              original = CASE WHEN $4::text IS NULL THEN original ELSE $5 END,
              changes = CASE WHEN $4::text IS NULL THEN changes ELSE $6 END
            WHERE user_id = $1 AND id = $2 AND status = 'waiting' RETURNING true
            """,
            user_id,
            message_id,
            due,
            text,
            original,
            changes,
        )
    )


async def answered(connection: Connection, user_id: UUID, key: str) -> tuple[bytes, dict[str, Any]] | None:
    """The request hash and the answer stored under an idempotency key in the last 24 hours."""
    row = await connection.fetchrow(
        """
        SELECT request_hash, answer FROM idempotency
        WHERE user_id = $1 AND key = $2 AND created_at > now() - interval '24 hours'
        """,
        user_id,
        key,
    )
    return (row[0], row[1]) if row else None


async def remember_answer(
    connection: Connection, user_id: UUID, key: str, request_hash: bytes, answer: dict[str, Any]
) -> bool:
    """Store the answer of a request under its key. False: another request took the key."""
    return bool(
        await connection.fetchval(
            """
            INSERT INTO idempotency (user_id, key, request_hash, answer) VALUES ($1, $2, $3, $4)
            ON CONFLICT (user_id, key) DO UPDATE
              SET request_hash = excluded.request_hash, answer = excluded.answer, created_at = now()
              WHERE idempotency.created_at <= now() - interval '24 hours'
            RETURNING true
            """,
            user_id,
            key,
            request_hash,
            answer,
        )
    )
