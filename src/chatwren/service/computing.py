"""Work that takes computing: few things at a time, so that requests keep their pace, and users in turn.

Python computes in one thread at a time. One of two is for what takes much, so that what is usual never waits for it.
A third is for pictures that anybody may ask for: whoever has a session waits for none of them.

A thread cannot be stopped. So whatever is handed over here is bounded before, by what it works on, and long work comes
in pieces: between them others have their turn, and work ends when nobody waits for it any more.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from uuid import UUID

from chatwren.domain.fairness import FairPlaces
from chatwren.domain.limits import Limit
from chatwren.service.limits import Limits

T = TypeVar("T")

_MOST_WAITING = 500
_SWITCH_SECONDS = 0.0005
"""How long a thread computes before another may. By Python's own 5 ms each turn of the event loop waits so long."""


def share_python() -> None:
    """Let the event loop of this process have its turn soon while threads compute."""
    sys.setswitchinterval(_SWITCH_SECONDS)


class Computing:
    """The threads of a process that compute."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(2, "computing")
        self._drawing = ThreadPoolExecutor(1, "drawing")
        self._usual = FairPlaces(1, most_waiting=_MOST_WAITING)
        self._much = FairPlaces(1, most_waiting=_MOST_WAITING)
        self._pictures = FairPlaces(1, most_waiting=_MOST_WAITING)

    def much(self, user_id: UUID) -> AbstractAsyncContextManager[None]:
        """A place for a request that takes much computing, of which a user has few at once.

        Raises:
            TooMany: all of them are taken (`limit_reached`).
        """
        return self._limits.slot(user_id, Limit.COMPUTING)

    async def run(self, user_id: UUID, work: Callable[[], T], *, much: bool = False) -> T:
        """What `work` returns, or raises, when it was the user's turn to have it done in a thread.

        Args:
            work: to be done within a fraction of a second, whatever it works on.
            much: it may take more than a few milliseconds.

        Raises:
            Unavailable: too much waits, and most of it this user's.
        """
        async with (self._much if much else self._usual).turn(user_id):
            return await _done(self._threads, work)

    async def draw(self, user_id: UUID, work: Callable[[], T]) -> T:
        """What `work` returns when it was its turn: a picture of something of this user's, whoever asks for it.

        Raises:
            Unavailable: too much waits, and most of it of this user.
        """
        async with self._pictures.turn(user_id):
            return await _done(self._drawing, work)


async def _done(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    doing = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])  # others have its thread when it is free
        raise
