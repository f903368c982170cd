"""Work that takes computing: a few things at a time, so that requests keep their pace, and users in turn.

A thread cannot be stopped. So whatever is handed over here is bounded before, by what it works on, and long work comes
in pieces: between them others have their turn, and work ends when nobody waits for it any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypeVar
from uuid import UUID

from chatwren.domain.limits import Limit
from chatwren.service.limits import Limits

T = TypeVar("T")

_AT_ONCE = 2
"""Python computes in one thread at a time. Of two, the short work of a user need not wait for another's long work."""


class Computing:
    """The threads of a process that compute. A user has at most one of them, and waits behind each other user once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(_AT_ONCE, "computing")
        self._waiting: dict[UUID, deque[asyncio.Future[None]]] = {}
        self._running: set[UUID] = set()

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
        """
        if user_id in self._running or len(self._running) == _AT_ONCE:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(user_id, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave(user_id)
                raise
        else:
            self._running.add(user_id)
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
        doing.add_done_callback(lambda done: self._ended(user_id, done))
        return await asyncio.shield(doing)  # who no longer waits gives the thread back only when it is free

    def _ended(self, user_id: UUID, done: "asyncio.Future[T]") -> None:
        if not done.cancelled():
            done.exception()  # somebody heard of it, or nobody waits any more
        self._leave(user_id)

    def _leave(self, user_id: UUID) -> None:
        """Give the place to the user who has waited longest, and let them wait behind the others for their next."""
        self._running.discard(user_id)
        for other in list(self._waiting):
            if len(self._running) == _AT_ONCE:
                return
            if other not in self._running:
                self._begin_next(other)

    def _begin_next(self, user_id: UUID) -> None:
        turns = self._waiting.pop(user_id)
        while turns:
            turn = turns.popleft()
            if not turn.done():
                self._running.add(user_id)
                turn.set_result(None)
                break
        if turns:
            self._waiting[user_id] = turns
