"""Work that takes computing: a few things at a time, so that requests keep their pace, and users in turn.

A thread cannot be stopped. So whatever is handed over here is bounded before, by what it works on, and long work comes
in pieces: between them others have their turn, and work ends when nobody waits for it any more.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from uuid import UUID

from chatwren.domain.limits import Limit
from chatwren.service.fairness import FairPlaces
from chatwren.service.limits import Limits

T = TypeVar("T")

_AT_ONCE = 2
"""Python computes in one thread at a time. Of two, the short work of a user need not wait for another's long work."""
_MOST_WAITING = 500


class Computing:
    """The threads of a process that compute. A user has at most one of them at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(_AT_ONCE, "computing")
        self._places = FairPlaces(_AT_ONCE, most_waiting=_MOST_WAITING)

    def much(self, user_id: UUID) -> AbstractAsyncContextManager[None]:
        """A place for a request that takes much computing, of which a user has few at once.

        Raises:
            TooMany: all of them are taken (`limit_reached`).
        """
        return self._limits.slot(user_id, Limit.COMPUTING)

    async def run(self, user_id: UUID, work: Callable[[], T]) -> T:
        """What `work` returns, or raises, when it was the user's turn to have it done in a thread.

        Args:
            user_id: for whom.
            work: to be done within a fraction of a second, whatever it works on.

        Raises:
            Unavailable: too much waits, and most of it this user's.
        """
        async with self._places.turn(user_id):
            doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:
                await asyncio.wait([doing])  # others have its thread when it is free
                raise
