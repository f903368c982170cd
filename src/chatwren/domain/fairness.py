"""Places for which users wait, so that nobody's heavy things keep another's light one waiting."""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID

from chatwren.domain.errors import Unavailable

_RETRY_SECONDS = 5.0
_MEMORY_SECONDS = 60.0  # after this long, a third of what somebody took is still held against them
_MUCH_SECONDS = 5
_MOST_KNOWN = 10_000

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who waits for places, or has them.

    Attributes:
        places: how many.
        borrows: whether they also take one that somebody else may want back.
        lent: they have such a one.
        wanted: set when somebody else wants it.
        work: what is done in it.
    """

    places: int
    borrows: bool = False
    lent: bool = False
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[Any] | None = None
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def call_back(self) -> None:
        """Want the place that they were lent."""
        self.wanted.set()
        if self.work is not None:
            self.work.cancel()


@dataclass(slots=True)
class _Taken:
    """How much somebody has taken of late: seconds, times places. It fades."""

    seconds: float = 0.0
    at: float = 0.0

    def now(self) -> float:
        """What is left of it."""
        return self.seconds * math.exp((self.at - monotonic()) / _MEMORY_SECONDS)

    def add(self, seconds: float) -> None:
        """Take more."""
        self.seconds, self.at = self.now() + seconds, monotonic()


class FairPlaces:
    """A number of places. Who has taken less of late goes first, and a user has one turn at a time.

    All who have taken much have one turn at a time together: the other places are there for who comes with little.
    Until somebody does, they are lent for work that can be begun anew (`do`).
    """

    def __init__(self, places: int, *, most_waiting: int) -> None:
        self._free = places
        self._most_waiting = most_waiting
        self._waiting: dict[UUID, deque[_Waiting]] = {}  # of equals, who comes first here has waited longest
        self._running: dict[UUID, bool] = {}  # whether they had taken much
        self._lent: list[_Waiting] = []
        self._taken: dict[UUID, _Taken] = {}

    @contextlib.asynccontextmanager
    async def turn(self, user: UUID, places: int = 1) -> AsyncIterator[None]:
        """A turn of the user, for as long as the context is open.

        Args:
            places: how many it takes, up to all. While it is first, and so many are not free, nobody overtakes.

        Raises:
            Unavailable: too many wait, and this user with more than any other.
        """
        self._make_room(user)
        async with self._granted(user, _Waiting(places)):
            yield

    async def do(self, user: UUID, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` returns: done in a turn of the user, or before it in a place to which nobody else has a right.

        Args:
            work: when somebody comes who has, it is cancelled, and begun anew later.

        Raises:
            Unavailable: too many wait, and this user with more than any other.
        """
        self._make_room(user)
        again = False
        while True:
            mine = _Waiting(1, borrows=True)
            async with self._granted(user, mine, first=again):
                if not mine.lent:
                    return await work()
                if not mine.wanted.is_set():
                    mine.work = doing = asyncio.create_task(work())
                    await asyncio.wait([doing])
                    if not (mine.wanted.is_set() and doing.cancelled()):
                        return doing.result()
            again = True

    @contextlib.asynccontextmanager
    async def _granted(self, user: UUID, mine: _Waiting, *, first: bool = False) -> AsyncIterator[None]:
        """What somebody waits for, when and for as long as they have it."""
        line = self._waiting.setdefault(user, deque())
        line.insert(0 if first else len(line), mine)
        self._grant()
        began = None
        try:
            await mine.granted
            began = monotonic()
            yield
        finally:
            if mine.work is not None and not mine.work.done():
                mine.work.cancel()
                await asyncio.wait([mine.work])
            if mine.lent:
                self._lent.remove(mine)
                self._free += 1
            elif mine.granted.done() and not mine.granted.cancelled() and mine.granted.exception() is None:
                self._leave(user, mine.places, 0 if began is None else monotonic() - began)
            else:
                self._forget(user, mine)
            self._grant()

    def _leave(self, user: UUID, places: int, seconds: float) -> None:
        self._free += places
        del self._running[user]
        if len(self._taken) >= _MOST_KNOWN:
            self._taken.clear()
        self._taken.setdefault(user, _Taken()).add(seconds * places)

    def _make_room(self, user: UUID) -> None:
        """When too many wait, the newest of the user with the most has to come again."""
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
        """Give places to those whose turn it is, and lend what nobody else has a right to."""
        in_order = sorted(((self._of_late(one), one) for one in self._waiting), key=lambda pair: pair[0])
        for taken, user in in_order:
            much = taken >= _MUCH_SECONDS
            first = next((one for one in self._waiting[user] if not one.granted.done()), None)
            if first is None or user in self._running or (much and any(self._running.values())):
                continue
            if first.places > self._free:
                self._call_back(first.places - self._free)
                return
            self._running[user] = much
            self._let_in(user, first)
        for _, user in in_order:
            for one in [one for one in self._waiting.get(user, ()) if one.borrows and not one.granted.done()]:
                if self._free:
                    one.lent = True
                    self._lent.append(one)
                    self._let_in(user, one)

    def _let_in(self, user: UUID, one: _Waiting) -> None:
        self._free -= one.places
        rest = self._waiting.pop(user)
        rest.remove(one)
        if rest:
            self._waiting[user] = rest  # behind the others
        one.granted.set_result(None)

    def _call_back(self, places: int) -> None:
        """Want so many of the lent places, those lent last; of some that may have been said before."""
        for one in self._lent[-places:]:
            one.call_back()

    def _of_late(self, user: UUID) -> int:
        return round(self._taken[user].now()) if user in self._taken else 0


@dataclass(slots=True)
class _Line:
    """One user's places, and how many have one or wait."""

    places: asyncio.Semaphore
    count: int = 0


class FewEach:
    """So many places of each user, and a line for them: whatever one asks for, others do not wait."""

    def __init__(self, places: int, *, most_waiting: int) -> None:
        """Nobody has one.

        Args:
            places: of each user.
            most_waiting: of each user.
        """
        self._places = places
        self._most_waiting = most_waiting
        self._lines: dict[UUID, _Line] = {}

    async def enter(self, user: UUID) -> None:
        """Take a place, until `leave`. Who has waited longest goes first.

        Raises:
            Unavailable: too many of this user's wait.
        """
        line = self._lines.setdefault(user, _Line(asyncio.Semaphore(self._places)))
        if line.count >= self._places + self._most_waiting:
            raise _too_many()
        line.count += 1
        try:
            await line.places.acquire()
        except asyncio.CancelledError:
            self._forget(user)
            raise

    def leave(self, user: UUID) -> None:
        """Give a place of the user back."""
        self._lines[user].places.release()
        self._forget(user)

    def _forget(self, user: UUID) -> None:
        self._lines[user].count -= 1
        if not self._lines[user].count:
            del self._lines[user]


def _too_many() -> Unavailable:
    return Unavailable("Too much waits to be worked on. Try again in a few seconds.", retry_after=_RETRY_SECONDS)
