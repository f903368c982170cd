"""Whose turn it is at what takes a core for a while: few at once, few more wait, and a crowd keeps nobody out."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from chatwren.domain.errors import Transient

_PATIENCE_SECONDS = 10.0
"""How long one waits: who is overtaken for ever learns it."""

_MOST_OVERTAKEN = 3
"""Turns that others may have, one after the other, before somebody of a kind that waits has one."""

Order = tuple[int, int, int, int]


@dataclass(eq=False, slots=True)
class _Waiting:
    """Somebody who waits.

    Attributes:
        party: with whom they share what one may have.
        network: with whom they share a round among those of their kind.
        number: their place in the line.
        refusal: what they are told when they have to give way.
        of_network: the place in the line of all who wait of their network: behind the others after each turn.
        of_party: the place of their party among these.
    """

    party: str
    network: str
    failures: int
    number: int
    slow: bool
    refusal: Transient
    of_network: int
    of_party: int
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def order(self) -> Order:
        """Who has the least goes first."""
        return self.failures, self.of_network, self.of_party, self.number

    @property
    def kind(self) -> int:
        """Less than 0 of the known, 0 of strangers."""
        return min(self.failures, 0)

    @property
    def is_known(self) -> bool:
        """No stranger: they have been here before."""
        return self.kind < 0

    @property
    def crowd(self) -> tuple[int, str]:
        """With whom they take the turns of one network."""
        return self.kind, self.network


class Turns:
    """The turns of one process.

    Who has fewer failures behind them goes first; among equals networks take turns, and in each of them its parties,
    however many each sends. No kind keeps another out: each has one of a few turns. When all places to wait are taken,
    somebody gives way of the kind that has most of them: with most failures, then of the network that has most, then
    of its party that has most, the last.
    """

    def __init__(self, *, at_once: int, strangers: int, waiting: int, share: int, pace: float) -> None:
        """Nobody waits.

        Args:
            at_once: most that have their turn at the same moment.
            strangers: most of them that are not known: the rest of the machine is for others.
            waiting: most that wait.
            share: most of them that are of one party.
            pace: seconds between two turns of those of one party who are slow.
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
        self._overtaken: Counter[int] = Counter()

    @contextlib.asynccontextmanager
    async def turn(
        self, party: str, *, network: str, failures: int, refusal: Transient, slow: bool = False
    ) -> AsyncIterator[None]:
        """Wait for a turn. It lasts as long as the context.

        Args:
            party: who counts as one, however many requests or names they come with: a network of strangers, a user.
            network: where they are. Whoever is there is one crowd.
            failures: that speak against them; less than 0 of somebody who is known, the less the better.
            refusal: raised when they have to give way to others, or waited for 10 s.
            slow: at the party's pace.
        """
        self._count += 1
        one = _Waiting(party, network, failures, self._count, slow, refusal, self._count, self._count)
        for other in self._beside(one):
            one.of_network = other.of_network
            if other.party == party:
                one.of_party = other.of_party
        self._waiting.append(one)
        self._next()
        self._make_room(one)
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
            one = self._first()
            if one is None:
                return
            self._waiting.remove(one)
            self._running += 1
            self._strangers += not one.is_known
            self._had(one)
            if one.slow:
                self._resting.add(one.party)
                asyncio.get_running_loop().call_later(self._pace, self._rested, one.party)
            one.turn.set_result(None)

    def _had(self, one: _Waiting) -> None:
        """Their turn has come: the others of their network are behind all networks now, of these their party last."""
        self._count += 1
        for other in self._beside(one):
            other.of_network = self._count
            if other.party == one.party:
                other.of_party = self._count

    def _beside(self, one: _Waiting) -> list[_Waiting]:
        return [other for other in self._waiting if other.crowd == one.crowd]

    def _first(self) -> _Waiting | None:
        """The first of all who may go, or of a kind that was overtaken too often."""
        firsts: dict[int, _Waiting] = {}
        for one in sorted(filter(self._may_go, self._waiting), key=_order):
            firsts.setdefault(one.kind, one)
        if not firsts:
            return None
        kind = max(firsts, key=lambda kind: (max(self._overtaken[kind], _MOST_OVERTAKEN - 1), -kind))
        self._overtaken.update(firsts.keys())
        self._overtaken[kind] = 0
        return firsts[kind]

    def _may_go(self, one: _Waiting) -> bool:
        if one.turn.done():  # cancelled, and has not left yet
            return False
        return one.is_known or (
            self._strangers < self._most_strangers and not (one.slow and one.party in self._resting)
        )

    def _end(self, one: _Waiting) -> None:
        self._running -= 1
        self._strangers -= not one.is_known
        self._next()

    def _rested(self, party: str) -> None:
        self._resting.discard(party)
        self._next()

    def _make_room(self, came: _Waiting) -> None:
        """If there are too many, the last of those who are too many gives way, or whoever came."""
        networks = Counter(one.crowd for one in self._waiting)
        parties = Counter((one.crowd, one.party) for one in self._waiting)
        crowd = [one for one in self._waiting if one.party == came.party]
        if len(crowd) <= self._share:
            if len(self._waiting) <= self._most:
                return
            kinds = Counter(one.kind for one in self._waiting)
            most = max(kinds, key=lambda kind: (kinds[kind], kind))
            crowd = [one for one in self._waiting if one.kind == most]
        last = max(crowd, key=lambda one: (one.failures, networks[one.crowd], parties[one.crowd, one.party], one.order))
        self._waiting.remove(last)
        if not last.turn.done():
            last.turn.set_exception(last.refusal)


def _order(one: _Waiting) -> Order:
    return one.order
