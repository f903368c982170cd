"""Places for which users wait in turn, so that nobody's many things keep another's one thing waiting."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

from chatwren.domain.errors import Unavailable

_RETRY_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Waiting:
    places: int
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairPlaces:
    """A number of places, given round robin by user. A user has one turn at a time, however many places are free."""

    def __init__(self, places: int, *, most_waiting: int) -> None:
        self._free = places
        self._most_waiting = most_waiting
        self._waiting: dict[UUID, deque[_Waiting]] = {}  # the user whose turn is next comes first
        self._busy: set[UUID] = set()

    @contextlib.asynccontextmanager
    async def turn(self, user: UUID, places: int = 1) -> AsyncIterator[None]:
        """A turn of the user, for as long as the context is open.

        Args:
            user: whose.
            places: how many it takes, up to all. While it waits for so many to be free, nobody overtakes.

        Raises:
            Unavailable: too many wait, and this user with more than any other.
        """
        self._make_room(user)
        mine = _Waiting(places)
        self._waiting.setdefault(user, deque()).append(mine)
        self._grant()
        try:
            await mine.granted
            yield
        finally:
            if mine.granted.done() and not mine.granted.cancelled() and mine.granted.exception() is None:
                self._free += places
                self._busy.discard(user)
            else:
                self._forget(user, mine)
            self._grant()

    def _make_room(self, user: UUID) -> None:
        """Of too many that wait, the newest of the user with the most has to come again."""
        if sum(map(len, self._waiting.values())) < self._most_waiting:
            return
        crowd = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[crowd]) <= len(self._waiting.get(user, ())) + 1:
            raise _too_many()
        last = self._waiting[crowd][-1]
        self._forget(crowd, last)
        if not last.granted.done():  # else its client has left, and it has not heard of that yet
            last.granted.set_exception(_too_many())

    def _forget(self, user: UUID, one: _Waiting) -> None:
        if one in self._waiting.get(user, ()):
            self._waiting[user].remove(one)
            if not self._waiting[user]:
                del self._waiting[user]

    def _grant(self) -> None:
        for user in list(self._waiting):
            if user in self._busy:
                continue
            first = next((one for one in self._waiting[user] if not one.granted.done()), None)
            if first is None:
                continue
            if first.places > self._free:
                return
            self._free -= first.places
            self._busy.add(user)
            rest = self._waiting.pop(user)
            rest.remove(first)
            if rest:
                self._waiting[user] = rest  # behind the others
            first.granted.set_result(None)


def _too_many() -> Unavailable:
    return Unavailable("Too many files wait to be read. Try again in a few seconds.", retry_after=_RETRY_SECONDS)
