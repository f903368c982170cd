"""Bulk: many messages handed over together.

All rows are on disk before the request is answered. Then, a step at a time, each is accepted or refused by whichever
worker has a moment, and whatever dies meanwhile.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import asyncpg
import structlog

from chatwren.domain.accounts import Account
from chatwren.domain.caller import Caller
from chatwren.domain.clock import now
from chatwren.domain.errors import FieldError, Invalid, NotFound, TooLarge
from chatwren.domain.ids import bulk_public_id, message_public_id, uuid7
from chatwren.domain.limits import Limit, reached
from chatwren.domain.messages import Shown
from chatwren.domain.recipients import spellings
from chatwren.domain.sizes import size
from chatwren.domain.times import told
from chatwren.domain.whereabouts import Whereabouts
from chatwren.service import bulk_rows, sessions, wording
from chatwren.service.accounts import never_linked
from chatwren.service.bulk_list import ListOptions, Recipients
from chatwren.service.bulk_outlook import outlook
from chatwren.service.bulk_rows import FileKind
from chatwren.service.bulk_texts import Texts
from chatwren.service.compose import due_at, row_of
from chatwren.service.computing import Computing
from chatwren.service.idempotency import KeyTakenError, answer_earlier, key_of_bulk, take_key, winners_answer
from chatwren.service.limits import Limits
from chatwren.store import accounts, bulk_steps, bulks, cold, messages, users
from chatwren.store.bulk_steps import Taken
from chatwren.store.bulks import Bulk, GivenRow, Held, Result
from chatwren.store.database import UNREACHABLE, Connection, Database
from chatwren.store.messages import NewRow

log = structlog.get_logger(__name__)

MAX_BYTES = 32 * 1024 * 1024
"""The file of a bulk has at most so many, and so have all its rows as they are stored until they are accepted."""
_READ_SECONDS = 0.02
"""Computing after which others have their turn."""
_STEP_SECONDS = 0.05
"""Computing of one step, after which other users' bulks have their turn."""
_NOT_WORDED = bulk_rows.errors_text([FieldError("", "The row could not be worded.")])
_GIVEN_UP = bulk_rows.errors_text(
    [FieldError("", "The row was given up: two workers, one after the other, ended while they were at it.")]
)
_SKIPPED = bulk_rows.errors_text([FieldError("phoneId", "Skipped: a row before goes to the same recipient.")])


@dataclass(frozen=True, slots=True)
class Submitted:
    """A bulk that is stored: its id, how many rows it has, and what is told of its list."""

    id: str
    rows: int
    warnings: list[str]


async def submit(
    db: Database,
    caller: Caller,
    account: Account | None,
    path: Path,
    kind: FileKind,
    *,
    limits: Limits,
    computing: Computing,
    options: ListOptions,
    idempotency_key: str | None = None,
) -> Submitted:
    """Store the rows of a file, durably.

    Args:
        idempotency_key: the same key with the same file and options within 24 hours gives the same answer.

    Raises:
        Invalid: the file as a whole cannot be read, has no rows, or too many.
        TooLarge: its rows are larger together than those of a bulk may be.
        Conflict: nothing was ever linked (`never_linked`), or the key was used for another request.
        TooMany: the user has as many bulks, refused rows of them, or messages, as they may have (`limit_reached`).
        NotAuthenticated: the session has ended meanwhile.
    """
    user = caller.user
    key = None
    if idempotency_key is not None:
        key = await computing.run(
            user.id, partial(key_of_bulk, user.id, idempotency_key, kind, options, path), much=True
        )
    async with db.connection() as connection:
        earlier = await answer_earlier(connection, key) if key else None
        has = await bulks.held(connection, user.id)
    if earlier is not None:
        return _submitted(earlier)
    if account is None or account.status == "new":
        raise never_linked()
    allowed = {limit: await limits.of(user.id, limit) for limit in (Limit.OPEN_BULKS, Limit.REFUSED_ROWS)}
    _check(has.with_another(rows=1), allowed)
    bulk = uuid7()
    with tempfile.TemporaryFile(prefix="chatwren-bulk-") as rows:
        # Read to its end before the database hears of it: what takes its time must not keep a transaction open.
        here = Whereabouts(user, account, None)
        recipients, texts = Recipients(options, here.country), Texts()
        with contextlib.closing(bulk_rows.read(path, kind, recipients.look, texts.look)) as given:
            total, to_do = await _read(computing, user.id, bulk, given, rows)
        # Before they are stored: also rows that are taken back have been written to the disk.
        _check(has.with_another(total), allowed)
        await limits.take_messages(user.id, total)
        message_of = partial(bulk_rows.message_of, now=now(), here=here)
        warnings = [
            *recipients.warnings(),
            *await computing.run(user.id, partial(texts.warnings, message_of), much=True),
        ]
        answer: dict[str, Any] = {"id": bulk_public_id(bulk), "rows": total, "warnings": warnings}
        try:
            async with db.transaction() as connection:
                await bulks.insert(
                    connection,
                    bulk,
                    user.id,
                    account.id,
                    total=total,
                    to_do=to_do,
                    rows=rows,
                    warnings=warnings,
                    skip_duplicates=options.skip_duplicates,
                )
                if key is not None:
                    await take_key(connection, key, answer)
                # Last, so that nobody waits for the user's row while another's rows are on their way.
                await sessions.confirm(connection, caller)
                _check(await bulks.held(connection, user.id), allowed)
        except KeyTakenError as taken:
            answer = await winners_answer(db, taken.key)
    return _submitted(answer)


def _submitted(answer: dict[str, Any]) -> Submitted:
    return Submitted(answer["id"], answer["rows"], answer.get("warnings", []))


def _check(has: Held, allowed: Mapping[Limit, int]) -> None:
    for limit, count in ((Limit.OPEN_BULKS, has.open), (Limit.REFUSED_ROWS, has.unaccepted)):
        if count > allowed[limit]:
            raise reached(limit, allowed[limit])


def too_large() -> TooLarge:
    """The refusal of a bulk that is larger than MAX_BYTES."""
    return TooLarge(f"A bulk has at most {size(MAX_BYTES)}. Send the rows as several.")


async def _read(
    computing: Computing, user_id: UUID, bulk: UUID, given: Iterator[GivenRow], into: IO[bytes]
) -> tuple[int, int]:
    """Read rows, a piece at a time, into a file from which they can be stored. How many, and how many can be worded."""
    total = to_do = 0

    def read_some() -> bool:
        nonlocal total, to_do
        end = time.thread_time() + _READ_SECONDS
        for row in given:
            into.write(bulks.line_of(bulk, row))
            total += 1
            to_do += row.given is not None
            if into.tell() > MAX_BYTES:
                raise too_large()
            if time.thread_time() > end:
                return True
        into.seek(0)
        return False

    while await computing.run(user_id, read_some, much=True):
        pass
    return total, to_do


async def accept_some(db: Database, *, default_zone: str | None) -> bool:
    """Accept or refuse the next rows of one bulk. Returns whether there were any.

    Safe to run anywhere, by many at once, and to be killed at any moment.

    Args:
        default_zone: time zone of users who have not set theirs.
    """
    taken: Taken | None = None
    try:
        async with db.transaction() as connection:
            taken = await bulk_steps.take(connection)
            if taken is None:
                return False
            user = await users.get(connection, taken.bulk.user_id)
            account = await accounts.get(connection, user.id, taken.bulk.account_id)
            assert account is not None  # noqa: S101 - it cannot go before its bulks, of which one is locked here
        drafted = await _draft_taken(taken, Whereabouts(user, account, default_zone))
        async with db.transaction() as connection:
            if await bulk_steps.is_ours(connection, taken):
                if taken.bulk.skip_duplicates:
                    drafted = await _skip_duplicates(connection, taken.bulk, drafted)
                await bulk_steps.finish(connection, taken, await _store(connection, drafted))
    except BaseException:
        if taken is not None:
            with contextlib.suppress(*UNREACHABLE):
                async with db.connection() as connection:
                    await bulk_steps.give_back(connection, taken)
        raise
    return True


_Drafted = list[tuple[int, NewRow | None, str | None]]
"""Rows of a bulk by their line: what is to be stored, or why they are refused."""


async def _draft_taken(taken: Taken, here: Whereabouts) -> _Drafted:
    if taken.hopeless:
        ((line, _),) = taken.rows
        log.error("bulk.row_given_up", bulk=str(taken.bulk.id), line=line)
        return [(line, None, _GIVEN_UP)]
    return await asyncio.to_thread(_draft_some, taken.bulk, taken.rows, here)


def _draft_some(bulk: Bulk, given: list[tuple[int, str]], here: Whereabouts) -> _Drafted:
    """Word rows for the time of a step; the first at least. Whatever is wrong with one costs that one alone."""
    drafted: _Drafted = []
    end = time.thread_time() + _STEP_SECONDS
    for line, text in given:
        try:
            drafted.append((line, _draft(bulk, text, here), None))
        except Invalid as error:
            fields = list(error.fields) or [FieldError("", error.message)]
            drafted.append((line, None, bulk_rows.errors_text(fields)))
        except Exception:
            log.exception("bulk.row_failed", bulk=str(bulk.id), line=line)
            drafted.append((line, None, _NOT_WORDED))
        if time.thread_time() > end:
            break
    return drafted


def _draft(bulk: Bulk, given: str, here: Whereabouts) -> NewRow:
    new = bulk_rows.message_of(given, now=bulk.created_at, here=here)
    message_id = uuid7()
    due = due_at(new, bulk.created_at)
    if new.expires is not None and new.expires.at <= now():
        meant = told(new.expires.at, new.expires.zone())
        raise Invalid(f"expiresAt had passed when it was the row's turn: it means {meant}.", field="expiresAt")
    variation = wording.word_now(
        new.text, new.modifications, seed=new.seed or message_id.hex, fields=new.fields, rewrites=new.rewrites
    )
    return row_of(
        new,
        variation,
        message_id=message_id,
        user_id=bulk.user_id,
        account_id=bulk.account_id,
        accepted_at=bulk.created_at,
        due=due,
    )


async def _skip_duplicates(connection: Connection, bulk: Bulk, drafted: _Drafted) -> _Drafted:
    """Refuse what goes to a recipient to whom a row before does that was accepted."""
    asked = {one for _, row, _ in drafted if row is not None for one in spellings(row.recipient)}
    reached = await bulk_steps.reached(connection, bulk, asked)
    left: _Drafted = []
    for line, row, errors in drafted:
        again = row is not None and not reached.isdisjoint(spellings(row.recipient))
        left.append((line, None, _SKIPPED) if again else (line, row, errors))
        if row is not None:
            reached.add(row.recipient)
    return left


async def _store(connection: Connection, drafted: _Drafted) -> list[Result]:
    """Store what was drafted. A row that cannot be stored, whatever is wrong with it, costs its neighbours nothing."""
    rows = [row for _, row, _ in drafted if row is not None]
    try:
        async with connection.transaction():
            await messages.insert(connection, rows)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        if len(drafted) > 1:
            return [result for one in drafted for result in await _store(connection, [one])]
        log.warning("bulk.row_refused", line=drafted[0][0], error=repr(error))
        return [Result(drafted[0][0], None, bulk_rows.errors_text([FieldError("", "The row cannot be stored.")]))]
    return [Result(line, row.id if row else None, errors) for line, row, errors in drafted]


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of a row. Neither `message_id` nor `errors`: it is not its turn yet."""

    line: int
    message_id: str | None
    errors: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class BulkState:
    """How far a bulk is.

    Attributes:
        by_status: its messages, by what the API shows.
        estimated_last_at: when the last of those that wait goes out, by the usual pace; None when none waits.
        warnings: what was told of the list, and what stretches that.
        rows: a page of its rows.
        matching: how many rows there are to page through.
    """

    id: str
    created_at: datetime
    ended_at: datetime | None
    total: int
    accepted: int
    refused: int
    by_status: dict[Shown, int]
    estimated_last_at: datetime | None
    warnings: tuple[str, ...]
    rows: list[RowResult]
    matching: int


async def state(
    db: Database,
    user_id: UUID,
    bulk_id: UUID,
    *,
    refused: bool,
    page: int,
    limit: int,
    zone: str | None,
) -> BulkState:
    """How far a bulk is, with a page of its rows.

    Args:
        refused: only the rows that were refused.
        page: from 1.
        limit: rows a page.
        zone: in which the user thinks: warnings give times in that too.

    Raises:
        NotFound: the user has no such bulk.
    """
    async with db.transaction() as connection:
        bulk = await bulks.get(connection, user_id, bulk_id)
        account = await accounts.get(connection, user_id, bulk.account_id) if bulk else None
        if bulk is None or account is None:
            raise NotFound("There is no such bulk.")
        found = await bulks.progress(connection, bulk)
        new_contacts = await cold.state(connection, account.id)
        rows = await bulks.results(connection, bulk, refused=refused, limit=limit, offset=(page - 1) * limit)
    last_at, warnings = outlook(account, found, new_contacts, zone)
    return BulkState(
        id=bulk_public_id(bulk.id),
        created_at=bulk.created_at,
        ended_at=bulk.ended_at,
        total=bulk.total,
        accepted=found.accepted,
        refused=found.refused,
        by_status=found.by_status,
        estimated_last_at=last_at,
        warnings=(*bulk.warnings, *warnings),
        rows=[
            RowResult(line, message_public_id(prefix, message) if message else None, json.loads(errors or "[]"))
            for line, message, prefix, errors in rows
        ],
        matching=found.refused if refused else bulk.total,
    )
