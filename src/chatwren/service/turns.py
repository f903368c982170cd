"""Whose turn it is at what takes a core for a while: few at once, few more wait, and a crowd keeps nobody out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from chatwren.domain.errors import Transient

_PATIENCE_SECONDS = 10.0
"""How long one waits: who is overtaken for ever learns it."""

Order = tuple[int, int, int]


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody who waits.

    Attributes:
        order: who has the least goes first: failures, the round of their network, the place in the line.
        refusal: what they are told when they have to give way.
    """

    network: str
    order: Order
    slow: bool
    refusal: Transient
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_known(self) -> bool:
        """No stranger: they have been here before."""
        return self.order[0] < 0


class Turns:
    """The turns of one process.

    Who has fewer failures behind them goes first; among equals networks take turns, however many each of them sends.
    When all places to wait are taken, the last in this order gives way.
    """

    def __init__(self, *, at_once: int, strangers: int, waiting: int, share: int, pace: float) -> None:
        """Nobody waits.

        Args:
            at_once: most that have their turn at the same moment.
            strangers: most of them that are not known: the rest of the machine is for others.
            waiting: most that wait.
            share: most of them that are of one network.
            pace: seconds between two turns of those of one network who are slow.
        """
        self._at_once = at_once
        self._most_strangers = strangers
        self._most = waiting
        self._share = share
        self._pace = pace
        self._running = 0
        self._strangers = 0
        self._waiting: list[_Waiting] = []
        self._resting: set[str] = set()
        self._count = 0
        self._round = 0

    @contextlib.asynccontextmanager
    async def turn(self, network: str, *, failures: int, refusal: Transient, slow: bool = False) -> AsyncIterator[None]:
        """Wait for a turn. It lasts as long as the context.

        Args:
            network: where somebody comes from.
            failures: that speak against them; less than 0 of somebody who is known, the less the better.
            refusal: raised when they have to give way to others, or waited for 10 s.
            slow: at the network's pace.
        """
        self._count += 1
        behind = max((one.order[1] for one in self._waiting if one.network == network), default=0)
        one = _Waiting(network, (failures, max(behind, self._round) + 1, self._count), slow, refusal)
        self._waiting.append(one)
        self._next()
        self._make_room(network)
        await self._wait(one)
        try:
            yield
        finally:
            self._end(one)

    async def _wait(self, one: _Waiting) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await one.turn
        except BaseException as error:
            if one in self._waiting:
                self._waiting.remove(one)
            elif not one.turn.cancelled() and one.turn.exception() is None:  # it came, and nobody was there any more
                self._end(one)
            if isinstance(error, TimeoutError):
                raise one.refusal from None
            raise

    def _next(self) -> None:
        while self._running < self._at_once:
            one = min(filter(self._may_go, self._waiting), key=lambda one: one.order, default=None)
            if one is None:
                return
            self._waiting.remove(one)
            self._running += 1
            self._strangers += not one.is_known
            self._round = max(self._round, one.order[1])
            if one.slow:
                self._resting.add(one.network)
                asyncio.get_running_loop().call_later(self._pace, self._rested, one.network)
            one.turn.set_result(None)

    def _may_go(self, one: _Waiting) -> bool:
        if one.turn.done():  # cancelled, and has not left yet
            return False
        return one.is_known or (
            self._strangers < self._most_strangers and not (one.slow and one.network in self._resting)
        )

    def _end(self, one: _Waiting) -> None:
        self._running -= 1
        self._strangers -= not one.is_known
        self._next()

    def _rested(self, network: str) -> None:
        self._resting.discard(network)
        self._next()

    def _make_room(self, network: str) -> None:
        """If there are too many, the last of those who are worse off gives way, or whoever came."""
        crowd = [one for one in self._waiting if one.network == network]
        if len(crowd) <= self._share:
            crowd = self._waiting if len(self._waiting) > self._most else []
        if crowd:
            last = max(crowd, key=lambda one: one.order)
            self._waiting.remove(last)
            if not last.turn.done():
                last.turn.set_exception(last.refusal)
