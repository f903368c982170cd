"""What a user may have, asked by every place that computes, stores or connects. The limits: domain/limits.py.

What is stored is known a few seconds late, so that no request has to count: beside what it has added itself, a process
notices what others did within `_KNOWN_SECONDS`. A bound can be passed by what is accepted in that time, no more.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.limits import BOUNDS, Limit, reached
from chatwren.store import limits
from chatwren.store.database import Database
from chatwren.store.limits import Standing

_KNOWN_SECONDS = 5.0
_MOST_KNOWN = 10_000


@dataclass(slots=True)
class _Known:
    """A user's standing as it was read, and what this process has added since."""

    standing: Standing
    until: float
    added: int = 0


class Limits:
    """The limits of all users, as one process knows them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[UUID, _Known] = {}
        self._reading: dict[UUID, asyncio.Task[_Known]] = {}
        self._under_way: Counter[tuple[UUID, Limit]] = Counter()

    async def of(self, user_id: UUID, limit: Limit) -> int:
        """How much the user is allowed. What the operator changes counts within seconds."""
        return _allowed((await self._of(user_id)).standing, limit)

    @contextlib.asynccontextmanager
    async def slot(self, user_id: UUID, limit: Limit) -> AsyncIterator[None]:
        """A place among the things that the user has under way in this process, for as long as the context is open.

        Raises:
            TooMany: all that the user is allowed at once are taken.
        """
        allowed = await self.of(user_id, limit)
        key = (user_id, limit)
        if self._under_way[key] >= allowed:
            raise reached(limit, allowed)
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    async def take_messages(self, user_id: UUID, count: int = 1) -> None:
        """Note that so many messages are about to be stored.

        Raises:
            TooMany: they would be more than may wait, or than may be stored.
        """
        known = await self._of(user_id)
        for limit, there in (
            (Limit.WAITING_MESSAGES, known.standing.waiting),
            (Limit.STORED_MESSAGES, known.standing.stored),
        ):
            allowed = _allowed(known.standing, limit)
            if there + known.added + count > allowed:
                raise reached(limit, allowed)
        known.added += count

    async def _of(self, user_id: UUID) -> _Known:
        known = self._known.get(user_id)
        if known is not None and time.monotonic() < known.until:
            return known
        reading = self._reading.get(user_id)
        if reading is None:  # one for all that ask meanwhile
            reading = self._reading[user_id] = asyncio.create_task(self._read(user_id))
            reading.add_done_callback(lambda _: self._reading.pop(user_id, None))
        return await asyncio.shield(reading)

    async def _read(self, user_id: UUID) -> _Known:
        async with self._db.connection() as connection:
            standing = await limits.standing(connection, user_id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        known = self._known[user_id] = _Known(standing, time.monotonic() + _KNOWN_SECONDS)
        return known


def _allowed(standing: Standing, limit: Limit) -> int:
    return standing.overrides.get(limit, BOUNDS[limit].default)
