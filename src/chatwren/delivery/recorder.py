"""What became of messages, written in batches: whatever waits when the one before is on disk."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.domain.pacing import Pacing
from chatwren.store import dispatch
from chatwren.store.database import CHANGED, CLASHES, UNREACHABLE, Database
from chatwren.store.dispatch import Outcome, Recorded

log = structlog.get_logger(__name__)

_BATCH = 500
_PAUSE_SECONDS = 0.5


class Recorder:
    """Writes outcomes. `run` must be running. While the database is away outcomes wait here, in memory."""

    def __init__(self, db: Database, worker: UUID, pacing: Pacing, on_recorded: Callable[[Recorded], None]) -> None:
        self._db = db
        self._worker = worker
        self._pacing = pacing
        self._on_recorded = on_recorded
        self._waiting: deque[tuple[Outcome, float, asyncio.Future[None]]] = deque()
        self._more = asyncio.Event()

    async def record(self, outcome: Outcome) -> None:
        """Return when the outcome is on disk, or could not be written for a reason of its own.

        At a time at most one outcome for each account may be under way.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, time.monotonic(), done))
        self._more.set()
        await done

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                try:
                    await self._write([(outcome, since) for outcome, since, _ in batch])
                finally:
                    for _, _, done in batch:
                        if not done.done():
                            done.set_result(None)

    async def _write(self, batch: list[tuple[Outcome, float]]) -> None:
        while True:
            now = time.monotonic()
            aged = [replace(outcome, age=timedelta(seconds=now - since)) for outcome, since in batch]
            try:
                async with self._db.connection() as connection:
                    recorded = await dispatch.record(connection, self._worker, aged, pacing=self._pacing)
            except UNREACHABLE as error:
                log.warning("recorder.database_unreachable", waiting=len(batch), error=repr(error))
                await asyncio.sleep(_PAUSE_SECONDS)
            except CLASHES:
                continue
            except Exception:
                if len(batch) > 1:  # one that cannot be written must not cost the others theirs
                    for one in batch:
                        await self._write([one])
                    return
                # It stays `sending`, and goes again under the same id when its guard is over.
                log.exception("recorder.failed", message=str(batch[0][0].message))
                return
            else:
                self._db.hint(CHANGED, recorded.users)
                self._on_recorded(recorded)
                return
