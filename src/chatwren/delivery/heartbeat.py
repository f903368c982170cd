"""The worker's heartbeat: renews what it owns, and removes workers that died."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog

from chatwren.delivery.fence import Fence, uptime
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.fenced import workers

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 0.3
_CERTAINLY_OVER_SECONDS = 0.01


class TakenForDead(Exception):
    """Another worker has removed this one: whatever it owned may be another's."""


class Heartbeat:
    """Renews the worker for as long as it runs.

    Args:
        db: a pool of its own, so that no queue of work delays it.
        fence: opened by each renewal.
        settings: the lease, and how often it is renewed.
        on_renewed: called after each renewal.
    """

    def __init__(
        self, db: Database, worker: UUID, *, fence: Fence, settings: Settings, on_renewed: Callable[[], None]
    ) -> None:
        self._db = db
        self._worker = worker
        self._fence = fence
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._pause = settings.heartbeat_seconds
        self._on_renewed = on_renewed

    async def run(self) -> None:
        """Beat until cancelled.

        Raises:
            TakenForDead: this worker was removed.
        """
        while True:
            try:
                async with asyncio.timeout(self._fence.width):
                    pause = await self._beat()
            except TakenForDead:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the fence closes by itself
                log.warning("heartbeat.failed", error=repr(error), fence_open=self._fence.open)
                await asyncio.sleep(min(_AGAIN_SECONDS, self._pause))
            else:
                await asyncio.sleep(pause)

    async def _beat(self) -> float:
        """Renew, and remove who is dead. The seconds until the next beat: who falls silent is removed on time."""
        asked_at = uptime()
        async with self._db.connection() as connection:
            renewal = await workers.renew(
                connection, self._worker, lease=self._lease, gap=timedelta(seconds=self._fence.width)
            )
            if renewal is None:
                raise TakenForDead
            self._fence.renewed(asked_at)
            self._on_renewed()
            if not renewal.steady:
                return self._pause
            try:
                await workers.end_sessions_of_the_late(connection, lease=self._lease)
            except asyncpg.InsufficientPrivilegeError as error:
                log.warning("heartbeat.sessions_not_ended", error=str(error))
            reaped = await workers.reap(connection, self._worker, lease=self._lease)
        for dead in reaped.workers:
            log.warning("heartbeat.reaped", worker=str(dead))
        if renewal.next_end is None:
            return self._pause
        left = renewal.next_end.total_seconds() + _CERTAINLY_OVER_SECONDS
        # One whose lease was over may still be there: its row was locked.
        return min(self._pause, left if left > 0 else _AGAIN_SECONDS)
