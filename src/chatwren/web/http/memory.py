"""How much of requests and answers one process holds in memory: one bound, and whoever holds most makes room."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from litestar.types import HTTPScope, Message, Receive, Send

from chatwren.web.http.asgi import HttpApp

HELD: Final = "held"
"""In the scope's state: `Held`."""
OWNER: Final = "owner"
"""In the scope's state of a request that came with proof of who asks: the user's id."""
PLACE: Final = "place"
"""In the scope's state of a request that others of its user's wait for: what is called when its answer begins."""

_MOST: Final = 64 * 1024 * 1024
"""Bytes. What is read out of a body may be a few times as large while its request is answered."""
_OF_ONE: Final = 0.75
"""The share that one user may hold, or the strangers of one network: what came whole is worked off, and cannot end."""
_AT_ONCE = 16
"""The share that is made free when there is no room: to look at all who hold something costs milliseconds."""
LITTLE: Final = 16 * 1024
"""Bytes. Whoever holds no more stays, a health check above all: 4,096 of them hold as much as is allowed in all."""


@dataclass(slots=True, eq=False)
class Held:
    """How many bytes one request holds.

    Attributes:
        kept: of its head and body, and of its answer what waits until the client has read what came before.
        head: those of `kept` that its head takes.
        whole: its body has come.
        loose: what else its connection has, of this request or the next, and of answers that the client does not read.
        counted: those that `Memory` knows of.
        party: whose share they are of, where they are more than little.
        task: what works on it.
        ended: nobody waits for that.
    """

    kept: int = 0
    head: int = 0
    whole: bool = False
    loose: int = 0
    counted: int = 0
    party: Hashable = None
    task: asyncio.Task[None] | None = None
    ended: bool = False

    def end(self) -> None:
        """Let nothing more be done for it."""
        self.ended = True
        if self.task is not None:
            self.task.cancel()


class Holder(Protocol):
    """A connection."""

    def owners(self) -> tuple[Hashable, ...]:
        """For whom: the client's network, and in it the user who asks, or strangers."""

    def may_end(self) -> bool:
        """Whether its request has not come whole or only reads, so that nothing was done for it."""

    def end(self) -> None:
        """Hold nothing more, and say why unless an answer has begun."""


class Memory:
    """What all requests of one process hold, each until nothing more is done for it and its answer is written.

    Where it would be too much, requests end that have not come whole, or only read: those of the network or user that
    holds most, in a network those of the user that does, and of these the one first that began first, since with as
    many bytes it is the slowest. That may be the one that asks. Nobody gets so much that others have no room at all.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._by: dict[Held, Holder | None] = {}  # the oldest first
        self._total = 0
        self._shares: Counter[Hashable] = Counter()
        self._stuck = False
        """What is held came whole, and nobody else can make room."""

    def count(self, held: Held, by: Holder) -> None:
        """Note what a request holds now, and whose it is."""
        size = held.kept + held.loose
        grown = size - held.counted
        if not grown:
            return
        self._note(held, size, by.owners()[-1] if size > LITTLE else None)
        if size:
            self._by[held] = by
        else:
            self._by.pop(held, None)
        if self._total <= self._most:
            self._stuck = False
        elif grown > 0:
            if not self._stuck:
                self._make_room()
            elif size > LITTLE and by.may_end():
                by.end()
        if grown > 0 and self._shares[held.party] > self._most * _OF_ONE and by.may_end():
            self._make_room_of(held.party)

    def grow(self, held: Held, size: int) -> None:
        """Note that so many bytes more are kept; less where that is negative."""
        held.kept += size
        by = self._by.get(held)
        if by is not None:
            self.count(held, by)

    def leave(self, held: Held) -> None:
        """Its connection has gone: it is held until nothing more is done for it."""
        if held in self._by:
            self._by[held] = None

    def drop(self, held: Held) -> None:
        """It is held no more."""
        self._by.pop(held, None)
        self._note(held, 0, None)

    def _note(self, held: Held, size: int, party: Hashable) -> None:
        """Count so many bytes of it, in the share of a party; None: in nobody's."""
        if held.party is not None:
            self._shares[held.party] -= held.counted
            if not self._shares[held.party]:
                del self._shares[held.party]
        self._total += size - held.counted
        held.counted, held.party = size, party
        if party is not None:
            self._shares[party] += size

    def _make_room_of(self, party: Hashable) -> None:
        """End requests of a party, the oldest first, until it may have some more."""
        for one in [by for held, by in self._by.items() if held.party == party and by is not None and by.may_end()]:
            one.end()
            if self._shares[party] <= self._most * (_OF_ONE - 1 / _AT_ONCE):
                return

    def _make_room(self) -> None:
        for held in self._by:  # some was written to files meanwhile
            self._note(held, held.kept + held.loose, held.party)
        shares: Counter[Hashable] = Counter()
        waiting = []
        for held, by in self._by.items():
            if by is not None:
                shares.update(dict.fromkeys(by.owners(), held.counted))
                if held.counted > LITTLE and by.may_end():
                    waiting.append(by)

        def share(one: Holder) -> list[int]:
            return sorted((shares[owner] for owner in one.owners()), reverse=True)

        if self._total > self._most:
            for one in sorted(waiting, key=share, reverse=True):
                one.end()
                if self._total <= self._most - self._most // _AT_ONCE:
                    return
        self._stuck = self._total > self._most


class Working:
    """Tells what works on a request, and when that is done, whether or not its client is still there."""

    def __init__(self, app: HttpApp, memory: Memory) -> None:
        self._app = app
        self._memory = memory

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Hand the request on, unless it has ended."""
        held: Held = scope["state"][HELD]
        if held.ended:
            return
        held.task = asyncio.current_task()

        def counting_send(message: Message) -> Awaitable[None]:
            """Count what waits to be written. Once the answer begins nobody reads the body: it counts no more."""
            if message["type"] == "http.response.start":
                self._memory.grow(held, held.head - held.kept)
                _leave(scope)
            elif message["type"] == "http.response.body" and len(message["body"]) > LITTLE:
                return self._send_much(held, send, message, len(message["body"]))
            return send(message)

        try:
            await self._app(scope, receive, counting_send)
        except asyncio.CancelledError:
            if not held.ended:
                raise
        finally:
            self._memory.drop(held)
            _leave(scope)

    async def _send_much(self, held: Held, send: Send, message: Message, size: int) -> None:
        self._memory.grow(held, size)
        try:
            await send(message)
        finally:
            self._memory.grow(held, -size)


def _leave(scope: HTTPScope) -> None:
    leave = scope["state"].pop(PLACE, None)
    if leave is not None:
        leave()
