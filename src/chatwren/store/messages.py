"""Messages as the API sees them: accepted, read, changed. Lists: listing.py. How they go out: fenced/messages.py."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from chatwren.domain.clock import LATEST
from chatwren.store.contacts import KNOWN
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Columns, Given, named
from chatwren.store.sessions import LIVING, STANDING_OF_USER


@dataclass(frozen=True, slots=True)
class _Message:
    """What is known of a message from its acceptance on."""

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


@dataclass(frozen=True, slots=True)
class NewRow(_Message):
    """What is stored of a message at acceptance.

    Attributes:
        lane: urgent, normal or bulk; whether it is cold is found when it is stored.
        sid_hash: of the session that must not have ended, if any must.
        standing: what must be known of the user and their account (`sessions.STANDING_OF_USER`), if anything must.
    """

    media_id: UUID | None
    lane: str
    accepted_at: datetime
    due: datetime
    expires_at: datetime | None
    wa_id: str
    sid_hash: bytes | None = None
    standing: int | None = None


@dataclass(frozen=True, slots=True)
class MessageRow(_Message):
    """A message with what is needed to say why it waits."""

    lane: str
    accepted_at: datetime
    due: datetime
    expires_at: datetime | None
    status: str
    attempts: int
    unconfirmed: int
    claimed_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    error_code: str | None
    error_params: dict[str, Any] | None
    error_message: str | None  # of what an earlier release stored
    media_id: UUID | None
    media_kind: str | None
    media_mimetype: str | None
    media_file_name: str | None
    media_size: int | None
    recipient_retry_at: datetime | None  # nothing goes to its recipient before
    recipient_retry_code: str | None
    now: datetime


# PostgreSQL's times go on when Python's end: one such value must not cost its reader all the others.
_READABLE = f"CASE WHEN {{0}} > '{LATEST.isoformat()}' THEN timestamptz '{LATEST.isoformat()}' ELSE {{0}} END"
COLUMNS = Columns(
    MessageRow,
    "m",
    lane="m.lane::text",
    due=_READABLE.format("m.due"),
    expires_at=_READABLE.format("m.expires_at"),
    status="m.status::text",
    media_kind="f.kind",
    media_mimetype="f.mimetype",
    media_file_name="f.file_name",
    media_size="f.size",
    recipient_retry_at="c.retry_at",
    recipient_retry_code="c.retry_code",
    now="now()",
)
FROM = """
  FROM message m LEFT JOIN media f ON f.id = m.media_id
  LEFT JOIN contact c ON c.account_id = m.account_id AND c.address = m.recipient
"""


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


_GIVEN = Given[NewRow](
    "g",
    id="uuid",
    user_id="uuid",
    account_id="uuid",
    prefix="text",
    recipient_kind="text",
    recipient="text",
    text="text",
    original="text",
    modifications=("text", lambda row: _json(row.modifications)),
    changes=("text", lambda row: _json(row.changes)),
    media_id="uuid",
    lane="message_lane",
    accepted_at="timestamptz",
    due="timestamptz",
    expires_at="timestamptz",
    wa_id="text",
    sid_hash="bytea",
    standing="bigint",
)
_INSERT = f"""
    WITH given AS MATERIALIZED (
      SELECT g.* FROM {_GIVEN}
      LEFT JOIN LATERAL ({LIVING.format(sid_hash="g.sid_hash")}) AS session ON true
      LEFT JOIN LATERAL ({STANDING_OF_USER.format(user="g.user_id")}) AS known ON g.standing IS NOT NULL
      WHERE (g.sid_hash IS NULL OR session.user_id = g.user_id)
        AND (g.standing IS NULL OR known.standing = g.standing)
    ), stranger AS (
      INSERT INTO contact (account_id, address)
      SELECT DISTINCT g.account_id, g.recipient FROM given g
      WHERE g.recipient_kind <> 'group' AND NOT EXISTS (
        SELECT FROM contact c WHERE c.account_id = g.account_id AND c.address = g.recipient
          AND {KNOWN}
      )
      ORDER BY g.account_id, g.recipient
      ON CONFLICT (account_id, address) DO UPDATE SET address = excluded.address
      RETURNING account_id, address, wrote_at IS NULL AND reached_at IS NULL AS is_cold
    ), stored AS (
      INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original,
                           modifications, changes, media_id, lane, accepted_at, due, expires_at, wa_id)
      SELECT g.id, g.user_id, g.account_id, g.prefix, g.recipient_kind, g.recipient, g.text, g.original,
             g.modifications::jsonb, g.changes::jsonb, g.media_id,
             CASE WHEN s.is_cold AND g.lane <> 'urgent' AND g.recipient_kind <> 'group' THEN 'cold' ELSE g.lane END,
             g.accepted_at, g.due, g.expires_at, g.wa_id
      FROM given g LEFT JOIN stranger s ON s.account_id = g.account_id AND s.address = g.recipient
      ORDER BY g.id ON CONFLICT (id) DO NOTHING RETURNING id, lane
    )
    SELECT id, lane::text FROM stored
"""
_STORED = "SELECT id, lane::text FROM message WHERE id = ANY($1)"


async def insert(connection: Connection, rows: Sequence[NewRow]) -> dict[UUID, str]:
    """Store accepted messages, and leave those that are stored already.

    One to a contact that has neither written nor been written to goes into the cold lane. Such a contact is locked
    until the commit: were it reached meanwhile, the message would stay behind in that lane.

    Returns:
        The lane of each that is stored, by id: of all but those whose session has ended, or whose user's standing is
        another.
    """
    stored = await connection.fetch(*_GIVEN.asking(_INSERT, rows))
    lanes: dict[UUID, str] = dict(map(tuple, stored))
    missing = [row.id for row in rows if row.id not in lanes]
    if missing:  # something is not as it must be, or they are stored already
        lanes |= map(tuple, await connection.fetch(_STORED, missing))
    accepted = [row for row in rows if row.id in lanes]
    connection.tell(Topic.WORK, (row.account_id for row in accepted))
    connection.tell(Topic.MESSAGES, (row.user_id for row in accepted))
    return lanes


async def get(connection: Connection, user_id: UUID, message_id: UUID) -> MessageRow | None:
    """One message of the user."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} {FROM} WHERE m.user_id = $1 AND m.id = $2", user_id, message_id)
    return COLUMNS.of(row) if row else None


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to a message besides what its row says.

    Attributes:
        detail: of an attempt its number, else the code of why; of a failure without `params`, its sentence.
        params: of a failure, what is known beside its code.
    """

    at: datetime
    step: str
    detail: str | None = None
    params: dict[str, Any] | None = None


_STEP = Columns(Step, "s")


async def steps(connection: Connection, message_id: UUID) -> list[Step]:
    """What happened to a message, oldest first."""
    rows = await connection.fetch(f"SELECT {_STEP} FROM message_step s WHERE message_id = $1 ORDER BY at", message_id)
    return [_STEP.of(row) for row in rows]


async def lock(connection: Connection, user_id: UUID, message_id: UUID) -> None:
    """Let nobody else change a message of the user's until the transaction ends."""
    await connection.execute(
        "SELECT FROM message WHERE user_id = $1 AND id = $2 FOR NO KEY UPDATE", user_id, message_id
    )


async def changes_made(connection: Connection, message_id: UUID) -> int:
    """How often a message was changed or retried."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM message_step WHERE message_id = $1 AND step IN ('rescheduled', 'rewritten', 'retried')",
        message_id,
    )
    return found


EXPIRES_TOO_EARLY = asyncpg.CheckViolationError
"""Raised by `change` for a message that would expire before it is due."""

_MAY_CHANGE = "status = 'waiting' AND unconfirmed = 0"
"""A message that certainly is not out. One that is retried after an unknown outcome waits, but may be."""


async def cancel(connection: Connection, user_id: UUID, message_id: UUID) -> bool:
    """Cancel a message that waits. False: it does not exist, is another user's, or may be out."""
    return await cancel_all(connection, user_id, [message_id]) == 1


async def cancel_all(connection: Connection, user_id: UUID, ids: Sequence[UUID]) -> int:
    """Cancel those of these messages of the user's that wait. Returns how many."""
    result = await connection.execute(
        f"""
        WITH chosen AS MATERIALIZED (
          SELECT id FROM message WHERE user_id = $1 AND id = ANY($2) AND {_MAY_CHANGE} ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE message m SET status = 'cancelled', ended_at = now() FROM chosen WHERE m.id = chosen.id
        """,
        user_id,
        ids,
    )
    cancelled = int(result.removeprefix("UPDATE "))
    if cancelled:
        connection.tell(Topic.MESSAGES, (user_id,))
    return cancelled


_CHANGE = f"""
    WITH changed AS (
      UPDATE message SET
        due = coalesce(:due, due),
        expires_at = CASE WHEN NOT :forget_expiry THEN coalesce(:expires_at, expires_at) END,
        text = coalesce(:text, text),
        original = CASE WHEN :text::text IS NULL THEN original ELSE :original END,
        changes = CASE WHEN :text::text IS NULL THEN changes ELSE :changes END
      WHERE user_id = :user_id AND id = :message_id AND {_MAY_CHANGE} RETURNING id, account_id
    ), noted AS (
      INSERT INTO message_step (message_id, step)
      SELECT id, step FROM changed
      CROSS JOIN LATERAL (VALUES
        ('rescheduled', :due::timestamptz IS NOT NULL OR :expires_at::timestamptz IS NOT NULL OR :forget_expiry),
        ('rewritten', :text::text IS NOT NULL)
      ) AS given (step, so)
      WHERE so
    )
    SELECT account_id FROM changed
"""


async def change(
    connection: Connection,
    user_id: UUID,
    message_id: UUID,
    *,
    due: datetime | None = None,
    expires_at: datetime | None = None,
    forget_expiry: bool = False,
    text: str | None = None,
    original: str | None = None,
    changes: list[dict[str, Any]] | None = None,
) -> bool:
    """Change when a waiting message goes out, until when (with `forget_expiry`: no more), or (with `text`) its words.

    False: as for `cancel`.

    Raises:
        EXPIRES_TOO_EARLY: it would expire before it is due.
    """
    return _changed(
        connection,
        user_id,
        await connection.fetchval(
            *named(
                _CHANGE,
                user_id=user_id,
                message_id=message_id,
                due=due,
                expires_at=expires_at,
                forget_expiry=forget_expiry,
                text=text,
                original=original,
                changes=changes,
            )
        ),
    )


async def retry(connection: Connection, user_id: UUID, message_id: UUID) -> bool:
    """Let a failed message go out again under its WhatsApp id. False: it does not exist, is another's, or did not fail.

    One of which an attempt has an unknown outcome keeps that: it may be neither cancelled nor changed.
    """
    return _changed(
        connection,
        user_id,
        await connection.fetchval(
            f"""
            WITH failed AS (
              SELECT id, claimed_at, attempts, ended_at, coalesce(error_message, error_code) AS error,
                     CASE WHEN error_message IS NULL THEN error_params END AS params FROM message
              WHERE user_id = $1 AND id = $2 AND status = 'failed' FOR NO KEY UPDATE
            ), retried AS (
              UPDATE message m SET
                status = 'waiting', ended_at = NULL, error_code = NULL, error_params = NULL, error_message = NULL,
                -- It is asked for anew: what is late counts from here.
                due = now(), expires_at = {_READABLE.format("(now() + (m.expires_at - m.due))")},
                unconfirmed = least(m.unconfirmed, 1),
                lane = CASE WHEN m.lane = 'cold' AND EXISTS (
                  SELECT FROM contact c WHERE c.account_id = m.account_id AND c.address = m.recipient AND {KNOWN}
                ) THEN 'normal' ELSE m.lane END
              FROM failed WHERE m.id = failed.id RETURNING m.account_id
            ), noted AS (
              INSERT INTO message_step (message_id, at, step, detail, params)
              SELECT f.id, v.at, v.step, v.detail, v.params FROM failed f CROSS JOIN LATERAL (VALUES
                (f.claimed_at, 'attempt', f.attempts::text, NULL), (f.ended_at, 'failed', f.error, f.params),
                (now(), 'retried', NULL, NULL)
              ) AS v (at, step, detail, params)
              WHERE v.at IS NOT NULL
            )
            SELECT account_id FROM retried
            """,
            user_id,
            message_id,
        ),
    )


def _changed(connection: Connection, user_id: UUID, account: UUID | None) -> bool:
    """Whether a statement has changed a message, that is, named its account; then it is told."""
    if account is None:
        return False
    connection.tell(Topic.WORK, (account,))
    connection.tell(Topic.MESSAGES, (user_id,))
    return True
