"""What became of messages, written in batches: whatever waits when the one before is on disk.

With the usual outcome, and by the same statement, the account's next message is claimed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from chatwren.domain.outcomes import Recorded
from chatwren.store.batches import Batches
from chatwren.store.database import UNREACHABLE, Connection, Database
from chatwren.store.fenced import going_on
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome, Terms

log = structlog.get_logger(__name__)

T = TypeVar("T")
_Known = tuple[Outcome, float]
"""An outcome, and since when it is known."""

_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Next:
    """How an account goes on after an outcome.

    Attributes:
        message: which is claimed already, and to be sent now.
        idle: nothing may go now, until somebody tells of something, or the pause is over that `on_recorded` heard of.
    """

    message: Claimed | None = None
    idle: bool = False


class Recorder:
    """Writes outcomes. While the database is away they wait here, in memory.

    Args:
        terms: of claims.
        on_recorded: called with what is on disk.
        may_claim: those of the accounts of a batch whose next message may be claimed, asked for each batch.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        terms: Terms,
        on_recorded: Callable[[Recorded], None],
        may_claim: Callable[[Collection[UUID]], Collection[UUID]],
    ) -> None:
        self._db = db
        self._worker = worker
        self._terms = terms
        self._on_recorded = on_recorded
        self._may_claim = may_claim
        self._usual = Batches(self._go_on)
        self._others = Batches(self._write)
        self._recording: dict[UUID, asyncio.Event] = {}  # by account

    async def record(self, outcome: Outcome) -> Next:
        """Return when the outcome is on disk, or could not be written for a reason of its own.

        At a time at most one outcome for each account may be under way.
        """
        over = self._recording[outcome.account] = asyncio.Event()
        known = (outcome, time.monotonic())
        try:
            return (await self._gone_on(known) if going_on.is_usual(outcome) else None) or await self._others.do(known)
        except Exception:
            # It stays `sending`, and goes again under the same id when its guard is over.
            log.exception("recorder.failed", message=str(outcome.message))
            return Next()
        finally:
            del self._recording[outcome.account]
            over.set()

    async def over(self, accounts: Iterable[UUID]) -> None:
        """Return when nothing is being recorded any more that was when this was called, of these accounts."""
        for one in [self._recording[account] for account in accounts if account in self._recording]:
            await one.wait()

    async def end(self) -> None:
        """Write no more. Nobody may be recording."""
        await self._usual.end()
        await self._others.end()

    async def _gone_on(self, known: _Known) -> Next | None:
        """None: it is to be written as any other, since it is none of what is in flight, or what follows it fails."""
        try:
            return await self._usual.do(known)
        except Exception:
            log.exception("recorder.not_gone_on", account=str(known[0].account))
            return None

    async def _go_on(self, batch: Sequence[_Known]) -> list[Next | None]:
        accounts = {outcome.account for outcome, _ in batch}

        async def ask(connection: Connection, outcomes: Sequence[Outcome]) -> going_on.GoneOn:
            may_claim = self._may_claim(accounts)
            return await going_on.go_on(connection, self._worker, outcomes, may_claim, self._terms)

        gone = await self._until_answered(batch, ask)
        self._on_recorded(gone.recorded)
        following: dict[UUID, Next | None] = {account: Next(idle=account in gone.idle) for account in accounts}
        following |= {one.account: Next(one) for one in gone.taken}
        following |= {one.account: None for one in gone.left}
        return [following[outcome.account] for outcome, _ in batch]

    async def _write(self, batch: Sequence[_Known]) -> list[Next]:
        async def ask(connection: Connection, outcomes: Sequence[Outcome]) -> Recorded:
            return await fenced_messages.record(connection, self._worker, outcomes)

        self._on_recorded(await self._until_answered(batch, ask))
        return [Next()] * len(batch)

    async def _until_answered(
        self, batch: Sequence[_Known], ask: Callable[[Connection, Sequence[Outcome]], Awaitable[T]]
    ) -> T:
        while True:
            now = time.monotonic()
            aged = [replace(outcome, age=timedelta(seconds=now - since)) for outcome, since in batch]
            try:
                async with self._db.connection() as connection:
                    return await ask(connection, aged)
            except UNREACHABLE as error:
                log.warning("recorder.database_unreachable", waiting=len(batch), error=repr(error))
                await asyncio.sleep(_PAUSE_SECONDS)
