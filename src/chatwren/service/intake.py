"""Accepting messages. 200 means that a message is on disk, not that it is sent."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chatwren.domain.accounts import Account
from chatwren.domain.caller import Caller
from chatwren.domain.clock import now
from chatwren.domain.health import account_reason
from chatwren.domain.ids import message_public_id, uuid7
from chatwren.domain.limits import Limit
from chatwren.domain.reasons import sentence
from chatwren.domain.recipients import doubt
from chatwren.domain.times import no_zone
from chatwren.media.objects import MediaStore
from chatwren.media.prepare import PreparedFile
from chatwren.service import files, sessions, wording
from chatwren.service.accounts import never_linked
from chatwren.service.compose import NewMessage, due_at, row_of
from chatwren.service.computing import Computing
from chatwren.service.idempotency import Key, KeyTakenError, answer_earlier, hash_of_message, take_key, winners_answer
from chatwren.service.limits import Limits
from chatwren.service.new_contacts import Connect, NewContacts
from chatwren.service.rewording import Rewording, Rewordings, why_not_reworded
from chatwren.store import messages
from chatwren.store.batches import Batches
from chatwren.store.database import UNREACHABLE, Database
from chatwren.variation import Modifications, Variation, explain


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is on disk. `preview` (the text that will go) and `changes`: where the wording may vary."""

    id: str
    scheduled_for: datetime
    warnings: tuple[str, ...]
    preview: str | None
    changes: list[dict[str, Any]] | None


class NotAsSupposed(Exception):
    """Nothing was accepted: the caller's session has ended, or something is known of them that was not."""


class Intake:
    """Accepts messages, those of many requests at once."""

    def __init__(
        self, db: Database, media_store: MediaStore, limits: Limits, computing: Computing, rewording: Rewording
    ) -> None:
        self._db = db
        self._media_store = media_store
        self._limits = limits
        self._computing = computing
        self._rewording = rewording
        self._new_contacts = NewContacts()
        self._batches = Batches(self._insert)

    async def accept(
        self,
        caller: Caller,
        account: Account | None,
        new: NewMessage,
        *,
        idempotency_key: str | None = None,
        zone: Callable[[], str | None] = no_zone,
    ) -> Accepted:
        """Store a message, durably, to be sent when it is due.

        Args:
            account: that sends it; None before the first linking.
            idempotency_key: the same key with the same message within 24 hours gives the same answer.
            zone: tells the name of the zone in which the user thinks: warnings give times in that too.

        Raises:
            NotAsSupposed: of a caller with a standing.
            NotAuthenticated: the session has ended meanwhile.
            Conflict: nothing was ever linked (`never_linked`), or the key was used for another request
                (`idempotency_mismatch`).
            Invalid: a placeholder has no value, the text to go out is too long, it cannot be due then, or would expire
                before it is due.
            TooMany, TooLarge: the user has as many messages, as large files, or as much under way, as they may have
                (`limit_reached`).
        """
        user = caller.user
        key = Key(user.id, idempotency_key, "message", hash_of_message(new)) if idempotency_key is not None else None
        if key is not None:
            async with self._db.connection() as connection:
                earlier = await answer_earlier(connection, key)
            if earlier is not None:
                return _restored(earlier)
        message_id, accepted_at = uuid7(), now()
        due = due_at(new, accepted_at)
        asked = None
        if new.approve is not None:
            asked = await self._rewording.ask(user.id, new.text, new.fields)
            new = replace(new, rewrites=asked.rewrites or None)
        variation = await wording.word(
            self._computing,
            user.id,
            new.text,
            new.modifications,
            seed=new.seed or message_id.hex,
            fields=new.fields,
            rewrites=new.rewrites,
        )
        if account is None or account.status == "new":
            raise never_linked()
        await self._limits.take_messages(user.id)
        accepted = Accepted(
            id=message_public_id(new.prefix, message_id),
            scheduled_for=due,
            warnings=(*_warnings(account, new, variation, zone), *_of_model(asked)),
            preview=variation.text if new.modifications else None,
            changes=wording.changes_of(variation) if new.modifications else None,
        )
        row = row_of(
            new,
            variation,
            message_id=message_id,
            user_id=user.id,
            account_id=account.id,
            accepted_at=accepted_at,
            due=due,
            sid_hash=caller.session,
            standing=caller.standing,
        )
        if key is None and new.media is None:
            lane = await self._batches.do(row)
            if lane is None and caller.standing is not None:
                raise NotAsSupposed
            with contextlib.suppress(*UNREACHABLE):  # it is stored, whatever else can be said of it
                accepted = await self._told(accepted, account, row, lane, self._db.connection, zone=zone)
        else:
            try:
                async with self._file(caller, new.media) as media_id:
                    accepted = await self._store(accepted, account, replace(row, media_id=media_id), key, zone=zone)
            except KeyTakenError as taken:
                return _restored(await winners_answer(self._db, taken.key))
        return accepted

    async def _told(
        self,
        accepted: Accepted,
        account: Account,
        row: messages.NewRow,
        lane: str | None,
        connect: Connect,
        *,
        zone: Callable[[], str | None],
    ) -> Accepted:
        """The answer to whose message is stored in that lane; None: it is not, since the session has ended."""
        if lane is None:
            raise sessions.ended()
        warning = await self._new_contacts.warning(account, row, connect, zone=zone) if lane == "cold" else None
        return replace(accepted, warnings=(*accepted.warnings, warning)) if warning else accepted

    @contextlib.asynccontextmanager
    async def _file(self, caller: Caller, prepared: PreparedFile | None) -> AsyncIterator[UUID | None]:
        """The id of the message's file, which is stored if the message is; None: it has none."""
        if prepared is None:
            yield None
            return
        at_most = await self._limits.of(caller.user.id, Limit.MEDIA_BYTES)
        async with files.kept(self._db, self._media_store, caller, prepared, at_most=at_most) as media_id:
            yield media_id

    async def _store(
        self,
        accepted: Accepted,
        account: Account,
        row: messages.NewRow,
        key: Key | None,
        *,
        zone: Callable[[], str | None],
    ) -> Accepted:
        """Store a row with its key in one transaction. Returns the answer.

        Raises:
            KeyTakenError: another request took the key.
        """
        async with self._db.transaction() as connection:
            stored = await messages.insert(connection, [row])
            lane = stored.get(row.id)
            accepted = await self._told(accepted, account, row, lane, lambda: nullcontext(connection), zone=zone)
            if key is not None:
                await take_key(connection, key, _stored_form(accepted))
        return accepted

    async def _insert(self, rows: Sequence[messages.NewRow]) -> list[str | None]:
        """The lane in which each is stored; None: it is not."""
        # A caller who is told that a message is not stored, when it is, sends it twice.
        stored = await self._db.until_answered(lambda connection: messages.insert(connection, rows))
        return [stored.get(row.id) for row in rows]


def _warnings(
    account: Account, new: NewMessage, variation: Variation, zone: Callable[[], str | None]
) -> tuple[str, ...]:
    warnings = list(new.media.warnings) if new.media else []
    if doubted := doubt(new.recipient):
        warnings.append(doubted)
    if r"\n" in variation.text and "\n" not in variation.text:
        warnings.append(
            r"message holds \n as two characters, a backslash and an n, and no line break. A form takes the line break "
            r"itself; JSON writes it as \n, escaped once."
        )
    reason = account_reason(account, account.now)
    if reason is not None:
        warnings.append(f"Accepted, but it waits: {sentence(reason, zone())}")
    if new.modifications is not None and new.modifications != Modifications() and variation.unchanged_because:
        warnings.append(f"The wording was not changed: {explain(variation.unchanged_because)}")
    warnings += [one.warning for one in (new.due, new.expires) if one and one.warning]
    return tuple(warnings)


def _of_model(asked: Rewordings | None) -> tuple[str, ...]:
    because = asked and asked.because
    return (f"No language model's words are used: {why_not_reworded(because)} ({because})",) if because else ()


def _stored_form(accepted: Accepted) -> dict[str, Any]:
    return {**asdict(accepted), "scheduled_for": accepted.scheduled_for.isoformat()}


def _restored(answer: dict[str, Any]) -> Accepted:
    return Accepted(
        id=answer["id"],
        scheduled_for=datetime.fromisoformat(answer["scheduled_for"]),
        warnings=tuple(answer["warnings"]),
        preview=answer["preview"],
        changes=answer["changes"],
    )
