"""What became of messages, written in batches: whatever waits when the one before is on disk."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.domain.outcomes import Recorded
from chatwren.store.batches import Batches
from chatwren.store.database import UNREACHABLE, Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Outcome

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.5


class Recorder:
    """Writes outcomes. While the database is away they wait here, in memory."""

    def __init__(self, db: Database, worker: UUID, on_recorded: Callable[[Recorded], None]) -> None:
        self._db = db
        self._worker = worker
        self._on_recorded = on_recorded
        self._batches = Batches(self._write)
        self._recording: dict[UUID, asyncio.Event] = {}  # by account

    async def record(self, outcome: Outcome) -> None:
        """Return when the outcome is on disk, or could not be written for a reason of its own.

        At a time at most one outcome for each account may be under way.
        """
        over = self._recording[outcome.account] = asyncio.Event()
        try:
            await self._batches.do((outcome, time.monotonic()))
        except Exception:
            # It stays `sending`, and goes again under the same id when its guard is over.
            log.exception("recorder.failed", message=str(outcome.message))
        finally:
            del self._recording[outcome.account]
            over.set()

    async def over(self, accounts: Iterable[UUID]) -> None:
        """Return when nothing is being recorded any more that was when this was called, of these accounts."""
        for one in [self._recording[account] for account in accounts if account in self._recording]:
            await one.wait()

    async def end(self) -> None:
        """Write no more. Nobody may be recording."""
        await self._batches.end()

    async def _write(self, batch: Sequence[tuple[Outcome, float]]) -> list[None]:
        while True:
            now = time.monotonic()
            aged = [replace(outcome, age=timedelta(seconds=now - since)) for outcome, since in batch]
            try:
                async with self._db.connection() as connection:
                    recorded = await fenced_messages.record(connection, self._worker, aged)
            except UNREACHABLE as error:
                log.warning("recorder.database_unreachable", waiting=len(batch), error=repr(error))
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                self._on_recorded(recorded)
                return [None] * len(batch)
