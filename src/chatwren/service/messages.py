"""Messages that were accepted: listed, followed, cancelled, changed and retried. Accepting them: intake.py."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from chatwren.domain.clock import now
from chatwren.domain.errors import Conflict, NotFound
from chatwren.domain.limits import Limit, reached
from chatwren.domain.messages import OUTCOME_UNKNOWN, Filter, Status
from chatwren.domain.times import ParsedTime, no_zone
from chatwren.service import wording
from chatwren.service.compose import check_expiry, check_filled, expires_too_early
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.service.message_view import QueuedMessage, TimelineStep, shown, status_of, timeline
from chatwren.service.queue_times import queue_times
from chatwren.store import bulks, listing, messages
from chatwren.store.database import CLASHES, Connection, Database
from chatwren.store.messages import MessageRow
from chatwren.variation import Modifications, Reworded, Rewrite, Template, Variation, bounded, spintax

_CANCELLED_AT_ONCE = 1000
_STOPPED = json.dumps([{"field": "", "message": "The bulk was cancelled before this row was accepted."}])
_PREVIEW_TRIES = 5
"""Seeds tried for each wording that is wanted: two seeds may give the same."""
_PREVIEW_SECONDS = 1.0
"""How long more wordings are looked for."""
_PREVIEW_STEP_SECONDS = 0.01
"""Computing after which others have their turn."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the queue. `total` counts all that match; more than that when `total_is_at_least`."""

    messages: list[QueuedMessage]
    total: int
    total_is_at_least: bool


async def page(db: Database, where: Filter, *, page: int, limit: int, cursor: UUID | None = None) -> Page:
    """A page of a user's messages, newest first.

    Args:
        where: whose, and which.
        page: from 1.
        limit: messages a page.
        cursor: only those accepted before this message; then `page` counts from there.
    """
    async with db.connection() as connection:
        found = await listing.page(connection, where, limit=limit, offset=(page - 1) * limit, before=cursor)
        times = await queue_times(connection, where.user_id, found.rows)
    # An account that is not there any more is being deleted, with its user.
    return Page(
        [shown(row, times[row.account_id]) for row in found.rows if row.account_id in times],
        found.total,
        found.at_least,
    )


async def get(db: Database, user_id: UUID, message_id: UUID) -> tuple[QueuedMessage, list[TimelineStep]]:
    """One message, and what has happened to it so far.

    Raises:
        NotFound: the user has no such message.
    """
    async with db.connection() as connection:
        row = await _row(connection, user_id, message_id)
        steps = await messages.steps(connection, message_id)
        return await _shown(connection, row), timeline(row, steps)


async def cancel(db: Database, user_id: UUID, message_id: UUID) -> QueuedMessage:
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
        return await _shown(connection, row)


async def cancel_all(db: Database, where: Filter) -> int:
    """Cancel every message of the filter that waits. Returns how many. What may be out is passed over.

    Rows of bulks that are not accepted yet count where no more is asked than everything, or a whole bulk: they are
    refused. Any other filter is about messages, and looks at none of them.
    """
    cancelled, after = 0, None
    if where == Filter(where.user_id, bulk=where.bulk):
        async with db.transaction() as connection:
            cancelled += await bulks.stop(connection, where.user_id, where.bulk, _STOPPED)
    while True:
        async with db.connection() as connection:
            ids = await listing.next_ids(connection, where, limit=_CANCELLED_AT_ONCE, after=after)
            if not ids:
                break
            try:
                cancelled += await messages.cancel_all(connection, where.user_id, ids)
            except CLASHES:
                continue
        after = ids[-1]
    return cancelled


async def change(
    db: Database,
    user_id: UUID,
    message_id: UUID,
    *,
    limits: Limits,
    computing: Computing,
    due: datetime | None = None,
    expires: ParsedTime | None = None,
    forget_expiry: bool = False,
    text: str | None = None,
    zone: Callable[[], str | None] = no_zone,
) -> QueuedMessage:
    """Change when a waiting message goes out or expires, and its words. New words vary as the old ones did.

    Args:
        due: when it goes out.
        expires: after which no attempt to send it begins.
        forget_expiry: it has no such time any more.
        zone: tells the name of the zone in which the user thinks.

    Raises:
        NotFound: the user has no such message.
        Conflict: it may be out (`outcome_unknown`), or has ended (`not_waiting`).
        Invalid: a placeholder has no value, the text to go out is too long, or it would expire before it is due, or
            years ahead.
        TooMany: it was changed too often, or the user has as much under way as they may have (`limit_reached`).
    """
    if expires is not None:
        check_expiry(expires, due=now(), now=now())
    allowed = await limits.of(user_id, Limit.MESSAGE_CHANGES)
    async with db.connection() as connection:
        row = await _row(connection, user_id, message_id)
        await _check_changes(connection, row, allowed)
    variation = None
    if text is not None:
        asked = dict(row.modifications or {})
        seed, fields = asked.pop("seed", message_id.hex), asked.pop("fields", None)
        asked.pop("rewrites", None)  # they say what the text said before
        variation = await wording.word(
            computing,
            user_id,
            text,
            Modifications(**asked) if row.modifications else None,
            seed=seed,
            fields=fields,
        )
        if row.media_id is None:
            check_filled(variation.text)
    async with db.transaction() as connection:
        await messages.lock(connection, user_id, message_id)
        await _check_changes(connection, row, allowed)
        try:
            done = await messages.change(
                connection,
                user_id,
                message_id,
                due=due,
                expires_at=expires.at if expires else None,
                forget_expiry=forget_expiry,
                text=variation.text if variation else None,
                original=text,
                changes=wording.changes_of(variation) if variation and row.modifications else None,
            )
        except messages.EXPIRES_TOO_EARLY:
            at, was_due = (expires.at if expires else row.expires_at), row.due
            raise expires_too_early(at or was_due, due=due or was_due, zone=zone()) from None
        row = await _row(connection, user_id, message_id)
        if not done:
            raise _not_waiting(row)
        return await _shown(connection, row)


async def retry(
    db: Database, user_id: UUID, message_id: UUID, *, limits: Limits, computing: Computing
) -> QueuedMessage:
    """Let a failed message go out again, under the same WhatsApp id, so that a recipient who has it sees it once.

    Raises:
        NotFound: the user has no such message.
        Conflict: it has not failed (`not_failed`).
        Invalid: an older release took it with a placeholder that nothing fills.
        TooMany: it was retried too often, or the user has as much under way as they may have (`limit_reached`).
    """
    allowed = await limits.of(user_id, Limit.MESSAGE_CHANGES)
    async with db.connection() as connection:
        row = await _row(connection, user_id, message_id)
        await _check_changes(connection, row, allowed)
    if row.status == Status.FAILED:
        await wording.check_stored(computing, user_id, row.original, row.modifications)
    async with db.connection() as connection:
        done = await messages.retry(connection, user_id, message_id)
        row = await _row(connection, user_id, message_id)
        if not done:
            raise Conflict(f"The message is {status_of(row)}; only one that failed can be retried.", code="not_failed")
        return await _shown(connection, row)


@dataclass(frozen=True, slots=True)
class Wordings:
    """How the words of a text may vary.

    Attributes:
        shown: different wordings, each under the seed that gives it again. At least one.
        spintax: all of them and the text's own, or None: see `chatwren.variation.spintax`.
    """

    shown: list[Variation]
    spintax: str | None


async def preview(
    computing: Computing,
    user_id: UUID,
    text: str,
    modifications: Modifications,
    *,
    variants: int,
    fields: Mapping[str, str] | None,
    rewrites: tuple[Rewrite, ...] | None = None,
) -> Wordings:
    """Up to `variants` different wordings of a text; fewer when looking for them takes long.

    Raises:
        Invalid: a placeholder has no value, a wording is too long, or the text is not one that can be worded, or the
            guard refuses one of the rewrites.
        TooMany: the user has as much of this under way as they may have (`limit_reached`).
    """
    seeds = map(str, range(1, variants * _PREVIEW_TRIES + 1))
    found: dict[str, Variation] = {}
    template: Template | None = None
    usable: tuple[Reworded, ...] = ()

    def look() -> bool:
        """Look for more, for a while. Whether there may be others still."""
        nonlocal template, usable
        end = time.thread_time() + _PREVIEW_STEP_SECONDS
        template = template or bounded(text)
        usable = usable or wording.checked(text, rewrites)
        for seed in seeds:
            variation = wording.word_template(template, modifications, seed=seed, fields=fields, rewrites=usable)
            found.setdefault(variation.text, variation)
            if len(found) >= min(variants, variation.variants_possible):
                return False
            if time.thread_time() > end:
                return True
        return False

    deadline = time.monotonic() + _PREVIEW_SECONDS
    much = wording.takes_much(text, fields, rewrites)
    async with computing.much(user_id) if much else nullcontext():
        while await computing.run(user_id, look, much=much) and time.monotonic() < deadline:
            pass
        written = await computing.run(
            user_id, partial(spintax, text, modifications, fields=fields, rewrites=usable), much=much
        )
    return Wordings(list(found.values()), written)


async def _row(connection: Connection, user_id: UUID, message_id: UUID) -> MessageRow:
    row = await messages.get(connection, user_id, message_id)
    if row is None:
        raise _no_such_message()
    return row


def _no_such_message() -> NotFound:
    return NotFound("There is no such message.")


async def _check_changes(connection: Connection, row: MessageRow, allowed: int) -> None:
    if await messages.changes_made(connection, row.id) >= allowed:
        raise reached(Limit.MESSAGE_CHANGES, allowed)


async def _shown(connection: Connection, row: MessageRow) -> QueuedMessage:
    times = await queue_times(connection, row.user_id, [row])
    if row.account_id not in times:  # it was deleted meanwhile, with its user
        raise _no_such_message()
    return shown(row, times[row.account_id])


def _not_waiting(row: MessageRow) -> Conflict:
    if row.status == Status.SENDING or (row.status == Status.WAITING and row.unconfirmed):
        return Conflict(
            "The message may be out already, so it can no longer be changed or cancelled.", code=OUTCOME_UNKNOWN
        )
    return Conflict(f"The message is {status_of(row)}; only one that waits can be changed.", code="not_waiting")
