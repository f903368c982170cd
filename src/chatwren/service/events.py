"""Hints to a browser that something of its user has changed. The client fetches again; nothing is in the hint."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from chatwren.store.database import CHANGED, Database


class Changes:
    """What changes, as one process hears it over one database connection. `run` must be running."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[UUID, set[asyncio.Event]] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._db.listen(CHANGED, self._wake, on_gap=lambda: self._wake(set(self._waiting)))

    def _wake(self, users: set[UUID]) -> None:
        for user in users & self._waiting.keys():
            for event in self._waiting[user]:
                event.set()

    @contextlib.contextmanager
    def _subscribed(self, user_id: UUID) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._waiting.setdefault(user_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[user_id].discard(event)
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    async def of_user(self, user_id: UUID, *, heartbeat: float = 15) -> AsyncIterator[bool]:
        """True for each change, many at once counting as one; False when `heartbeat` seconds brought none."""
        with self._subscribed(user_id) as event:
            while True:
                try:
                    await asyncio.wait_for(event.wait(), heartbeat)
                except TimeoutError:
                    yield False
                else:
                    event.clear()
                    yield True
