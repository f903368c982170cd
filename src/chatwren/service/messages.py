"""Accepting, listing, cancelling and changing messages. 200 means that it is on disk, not that it is sent."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chatwren.domain.clock import now
from chatwren.domain.errors import Conflict, NotAuthenticated, NotFound, Unavailable
from chatwren.domain.health import account_reason
from chatwren.domain.ids import message_public_id, uuid7
from chatwren.domain.messages import OUTCOME_UNKNOWN, Status
from chatwren.domain.pacing import Pacing
from chatwren.service import drafts
from chatwren.service.drafts import NewMessage
from chatwren.service.media_files import PreparedFile
from chatwren.service.message_view import QueuedMessage, TimelineStep, shown, timeline
from chatwren.service.queue_times import queue_times
from chatwren.service.whatsapp import never_linked
from chatwren.store import accounts, bulks, files, idempotency, listing, messages
from chatwren.store.accounts import Account
from chatwren.store.batches import Batches
from chatwren.store.database import CHANGED, CLASHES, UNREACHABLE, WORK, Connection, Database
from chatwren.store.listing import Filter
from chatwren.store.media import MediaStore
from chatwren.store.messages import MessageRow
from chatwren.store.sessions import Session
from chatwren.variation import Modifications, Variation, explain

_CANCELLED_AT_ONCE = 1000
_UNSURE_SECONDS = 5.0
"""How long the database is asked again whether rows are stored, while it does not answer."""
_UNSURE_PAUSE_SECONDS = 0.1
_STOPPED = json.dumps([{"field": "", "message": "The bulk was cancelled before this row was accepted."}])
_PREVIEW_TRIES = 5
"""Seeds tried for each wording that is wanted: two seeds may give the same."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is on disk. `preview` (the text that will go) and `changes`: where the wording may vary."""

    id: str
    scheduled_for: datetime
    warnings: tuple[str, ...]
    preview: str | None
    changes: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the queue. `total` counts all that match; more than that when `total_is_at_least`."""

    messages: list[QueuedMessage]
    total: int
    total_is_at_least: bool


class Intake:
    """Accepts messages, those of many requests at once.

    Args:
        db: where to.
        media_store: where files go, before their rows.
    """

    def __init__(self, db: Database, media_store: MediaStore) -> None:
        self._db = db
        self._media_store = media_store
        self._batches = Batches(self._insert)

    async def accept(
        self,
        session: Session,
        new: NewMessage,
        *,
        idempotency_key: str | None = None,
        request_hash: bytes | None = None,
    ) -> Accepted:
        """Store a message, durably, to be sent when it is due.

        Args:
            session: whose message it is.
            new: what is to be sent.
            idempotency_key: the same key with the same `request_hash` within 24 hours gives the same answer.
            request_hash: of the request's fields and file.

        Raises:
            NotAuthenticated: the session has ended meanwhile.
            Conflict: nothing was ever linked (`never_linked`), or the key was used for another request
                (`idempotency_mismatch`).
            Invalid: a placeholder has no value, the text to go out is too long, or it would expire before it is due.
        """
        user = session.user
        if idempotency_key is not None:
            async with self._db.connection() as connection:
                earlier = await _earlier(connection, user.id, idempotency_key, request_hash)
            if earlier is not None:
                return earlier
        message_id, accepted_at = uuid7(), now()
        drafts.check_expiry(new, accepted_at)
        variation = await drafts.word(new.text, new.modifications, seed=new.seed or message_id.hex, fields=new.fields)
        account = session.account
        if account is None or account.status == "new":
            raise never_linked()
        file = await _store_file(self._media_store, user.id, new.media) if new.media else None
        accepted = Accepted(
            id=message_public_id(new.prefix, message_id),
            scheduled_for=new.due or accepted_at,
            warnings=_warnings(account, new, variation),
            preview=variation.text if new.modifications else None,
            changes=drafts.changes_of(variation) if new.modifications else None,
        )
        row = drafts.row_of(
            new,
            variation,
            message_id=message_id,
            user_id=user.id,
            account_id=account.id,
            media_id=file.id if file else None,
            accepted_at=accepted_at,
            sid_hash=session.sid_hash,
        )
        if idempotency_key is None and file is None:
            if not await self._batches.do(row):
                raise _ended()
        else:
            earlier = await self._store(row, file, accepted, key=idempotency_key, request_hash=request_hash)
            if earlier is not None:
                return earlier
        self._db.hint(WORK, {account.id})
        self._db.hint(CHANGED, {user.id})
        return accepted

    async def _store(
        self,
        row: messages.NewRow,
        file: files.File | None,
        accepted: Accepted,
        *,
        key: str | None,
        request_hash: bytes | None,
    ) -> Accepted | None:
        """Store a row with its file and its key in one transaction. What another request with the key was answered."""
        try:
            async with self._db.transaction() as connection:
                if key is not None:
                    await _take_key(connection, row.user_id, key, request_hash or b"", accepted)
                if file is not None:
                    await files.insert(connection, file)
                if not await messages.insert(connection, [row]):
                    raise _ended()
        except _KeyTakenError:
            async with self._db.connection() as connection:
                earlier = await _earlier(connection, row.user_id, key or "", request_hash)
            if earlier is None:
                raise Unavailable("The same request is being answered elsewhere. Ask again.", retry_after=1) from None
            return earlier
        return None

    async def _insert(self, rows: Sequence[messages.NewRow]) -> list[bool]:
        """Whether each is stored."""
        asked_at = None
        while True:
            try:
                async with self._db.connection() as connection:
                    asked_at = asked_at or time.monotonic()
                    stored = await messages.insert(connection, rows)
            except UNREACHABLE:
                # Once asked, the database may have stored them, and a caller who is told otherwise sends them twice.
                if asked_at is None or time.monotonic() > asked_at + _UNSURE_SECONDS:
                    raise
                await asyncio.sleep(_UNSURE_PAUSE_SECONDS)
            else:
                return [row.id in stored for row in rows]


async def page(
    db: Database, where: Filter, *, pacing: Pacing, page: int, limit: int, cursor: UUID | None = None
) -> Page:
    """A page of a user's messages, newest first.

    Args:
        db: where from.
        where: whose, and which.
        pacing: of accounts, to tell when messages go out.
        page: from 1.
        limit: messages a page.
        cursor: only those accepted before this message; then `page` counts from there.
    """
    async with db.connection() as connection:
        count = await listing.count(connection, where)
        rows = await listing.page(
            connection, where, limit=limit, offset=(page - 1) * limit, before=cursor, rare=count.rare
        )
        account = await accounts.first_of_user(connection, where.user_id) if rows else None
        times = await queue_times(connection, account, rows, pacing)
    return Page([shown(row, times) for row in rows], count.total, count.at_least)


async def get(
    db: Database, user_id: UUID, message_id: UUID, *, pacing: Pacing
) -> tuple[QueuedMessage, list[TimelineStep]]:
    """One message, and what has happened to it so far.

    Raises:
        NotFound: the user has no such message.
    """
    async with db.connection() as connection:
        row = await _row(connection, user_id, message_id)
        steps = await messages.steps(connection, message_id)
        return await _shown(connection, row, pacing), timeline(row, steps)


async def cancel(db: Database, user_id: UUID, message_id: UUID, *, pacing: Pacing) -> QueuedMessage:
    """Cancel a message that waits. Cancelling twice is fine.

    Raises:
        NotFound: the user has no such message.
        Conflict: it may be out (`outcome_unknown`), or has ended (`not_waiting`).
    """
    async with db.connection() as connection:
        done = await messages.cancel(connection, user_id, message_id)
        row = await _row(connection, user_id, message_id)
        if not done and row.status != Status.CANCELLED:
            raise _not_waiting(row)
        view = await _shown(connection, row, pacing)
    if done:
        db.hint(CHANGED, {user_id})
    return view


async def cancel_all(db: Database, where: Filter) -> int:
    """Cancel every message of the filter that waits. Returns how many. What may be out is passed over."""
    cancelled, after = 0, None
    if where.bulk is not None:
        async with db.transaction() as connection:
            await bulks.stop(connection, where.user_id, where.bulk, _STOPPED)
    while True:
        async with db.connection() as connection:
            ids = await listing.next_ids(connection, where, limit=_CANCELLED_AT_ONCE, after=after)
            if not ids:
                break
            try:
                cancelled += await messages.cancel_all(connection, ids)
            except CLASHES:
                continue
        after = ids[-1]
    if cancelled:
        db.hint(CHANGED, {where.user_id})
    return cancelled


async def change(
    db: Database,
    user_id: UUID,
    message_id: UUID,
    *,
    pacing: Pacing,
    due: datetime | None = None,
    expires_at: datetime | None = None,
    text: str | None = None,
) -> QueuedMessage:
    """Change when a waiting message goes out or expires, and its words. New words vary as the old ones did.

    Raises:
        NotFound: the user has no such message.
        Conflict: it may be out (`outcome_unknown`), or has ended (`not_waiting`).
        Invalid: a placeholder has no value, the text to go out is too long, or it would expire before it is due.
    """
    async with db.connection() as connection:
        row = await _row(connection, user_id, message_id)
    variation = None
    if text is not None:
        asked = dict(row.modifications or {})
        seed, fields = asked.pop("seed", message_id.hex), asked.pop("fields", None)
        variation = await drafts.word(
            text, Modifications(**asked) if row.modifications else None, seed=seed, fields=fields
        )
    async with db.connection() as connection:
        try:
            done = await messages.change(
                connection,
                user_id,
                message_id,
                due=due,
                expires_at=expires_at,
                text=variation.text if variation else None,
                original=text,
                changes=drafts.changes_of(variation) if variation and row.modifications else None,
            )
        except messages.EXPIRES_TOO_EARLY:
            raise drafts.expires_too_early() from None
        row = await _row(connection, user_id, message_id)
        if not done:
            raise _not_waiting(row)
        view = await _shown(connection, row, pacing)
    db.hint(WORK, {row.account_id})
    db.hint(CHANGED, {user_id})
    return view


async def retry(db: Database, user_id: UUID, message_id: UUID, *, pacing: Pacing) -> QueuedMessage:
    """Let a failed message go out again, under the same WhatsApp id, so that a recipient who has it sees it once.

    Raises:
        NotFound: the user has no such message.
        Conflict: it has not failed (`not_failed`).
    """
    async with db.connection() as connection:
        done = await messages.retry(connection, user_id, message_id)
        row = await _row(connection, user_id, message_id)
        if not done:
            raise Conflict(f"The message is {row.status}; only one that failed can be retried.", code="not_failed")
        view = await _shown(connection, row, pacing)
    db.hint(WORK, {row.account_id})
    db.hint(CHANGED, {user_id})
    return view


async def preview(
    text: str, modifications: Modifications, *, variants: int, fields: Mapping[str, str] | None
) -> list[Variation]:
    """Up to `variants` different wordings of a text, each under the seed that gives it again. At least one.

    Raises:
        Invalid: a placeholder has no value, or a wording is too long.
    """
    found: dict[str, Variation] = {}
    for seed in range(1, variants * _PREVIEW_TRIES + 1):
        variation = await drafts.word(text, modifications, seed=str(seed), fields=fields)
        found.setdefault(variation.text, variation)
        if len(found) >= min(variants, variation.variants_possible):
            break
    return list(found.values())


def _ended() -> NotAuthenticated:
    return NotAuthenticated("The session has ended. POST /api/auth/login again; nothing was accepted.")


class _KeyTakenError(Exception):
    """Another request with the same idempotency key was quicker; this one's transaction is undone."""


async def _take_key(connection: Connection, user_id: UUID, key: str, request_hash: bytes, accepted: Accepted) -> None:
    answer = {**asdict(accepted), "scheduled_for": accepted.scheduled_for.isoformat()}
    if not await idempotency.remember_answer(connection, user_id, key, request_hash, answer):
        raise _KeyTakenError


async def _earlier(connection: Connection, user_id: UUID, key: str, request_hash: bytes | None) -> Accepted | None:
    answer = await answer_earlier(connection, user_id, key, request_hash or b"")
    if answer is None:
        return None
    return Accepted(
        id=answer["id"],
        scheduled_for=datetime.fromisoformat(answer["scheduled_for"]),
        warnings=tuple(answer["warnings"]),
        preview=answer["preview"],
        changes=answer["changes"],
    )


async def answer_earlier(connection: Connection, user_id: UUID, key: str, request_hash: bytes) -> dict[str, Any] | None:
    """What the same request was answered under this Idempotency-Key; None if the key is new.

    Raises:
        Conflict: the key was used for another request (`idempotency_mismatch`).
    """
    found = await idempotency.answered(connection, user_id, key)
    if found is None:
        return None
    stored_hash, answer = found
    if stored_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used for another request in the last 24 hours. Use a new key.",
            code="idempotency_mismatch",
        )
    return answer


async def _store_file(media_store: MediaStore, user_id: UUID, prepared: PreparedFile) -> files.File:
    file = files.File(
        id=uuid7(),
        user_id=user_id,
        kind=str(prepared.kind),
        mimetype=prepared.mimetype,
        file_name=prepared.file_name,
        size=prepared.size,
        sha256=prepared.sha256,
        width=prepared.width,
        height=prepared.height,
        seconds=prepared.seconds,
        thumbnail=prepared.thumbnail,
    )
    await media_store.put(file.key, prepared.path)
    return file


def _warnings(account: Account, new: NewMessage, variation: Variation) -> tuple[str, ...]:
    warnings = list(new.media.warnings) if new.media else []
    reason = account_reason(account, account.now)
    if reason is not None:
        warnings.append(f"Accepted, but it waits: {reason.message}")
    if new.modifications is not None and new.modifications != Modifications() and variation.unchanged_because:
        warnings.append(f"The wording was not changed: {explain(variation.unchanged_because)}")
    return tuple(warnings)


async def _row(connection: Connection, user_id: UUID, message_id: UUID) -> MessageRow:
    row = await messages.get(connection, user_id, message_id)
    if row is None:
        raise NotFound("There is no such message.")
    return row


async def _shown(connection: Connection, row: MessageRow, pacing: Pacing) -> QueuedMessage:
    account = await accounts.first_of_user(connection, row.user_id)
    return shown(row, await queue_times(connection, account, [row], pacing))


def _not_waiting(row: MessageRow) -> Conflict:
    if row.status == Status.SENDING or (row.status == Status.WAITING and row.unconfirmed):
        return Conflict(
            "The message may be out already, so it can no longer be changed or cancelled.", code=OUTCOME_UNKNOWN
        )
    return Conflict(f"The message is {row.status}; only one that waits can be changed.", code="not_waiting")
