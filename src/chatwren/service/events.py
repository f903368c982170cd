"""Hints to a browser that something of its user has changed, and what. The client fetches again; no data is in them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from uuid import UUID

from chatwren.store.database import OF_USERS, Database, Topic


class _Ear:
    """One listener of a user's: what has changed since it looked last."""

    def __init__(self) -> None:
        self._heard: set[Topic] = set()
        self._event = asyncio.Event()

    def hear(self, topics: Iterable[Topic]) -> None:
        self._heard.update(topics)
        self._event.set()

    async def take(self) -> frozenset[Topic]:
        await self._event.wait()
        self._event.clear()
        heard, self._heard = frozenset(self._heard), set()
        return heard


class Changes:
    """What changes, as one process hears it over one database connection. `run` must be running."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ears: dict[UUID, set[_Ear]] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._db.listen(OF_USERS, self._wake, on_gap=self._wake_all)

    def _wake(self, topic: Topic, users: set[UUID]) -> None:
        for user in users & self._ears.keys():
            for ear in self._ears[user]:
                ear.hear((topic,))

    def _wake_all(self) -> None:
        for ears in self._ears.values():
            for ear in ears:
                ear.hear(OF_USERS)

    @contextlib.contextmanager
    def _subscribed(self, user_id: UUID) -> Iterator[_Ear]:
        ear = _Ear()
        self._ears.setdefault(user_id, set()).add(ear)
        try:
            yield ear
        finally:
            self._ears[user_id].discard(ear)
            if not self._ears[user_id]:
                del self._ears[user_id]

    async def of_user(self, user_id: UUID, *, heartbeat: float = 15) -> AsyncGenerator[frozenset[Topic], None]:
        """What has changed, many changes at once counting as one; nothing when `heartbeat` seconds brought none."""
        with self._subscribed(user_id) as ear:
            while True:
                try:
                    changed = await asyncio.wait_for(ear.take(), heartbeat)
                except TimeoutError:
                    changed = frozenset()
                yield changed
