"""A tenant who does nothing unusual, and how long everything takes for them meanwhile."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

import httpx

from tests.e2e.house import House, Person
from tests.waiting import until

_LEAST_REQUESTS = 100
_PAUSE_SECONDS = 0.02
_PATHS = ("/api/messages/queue", "/api/whatsapp/status", "/api/users/me")


@dataclass
class Experience:
    """What a bystander measured. What was not answered took for ever.

    Attributes:
        requests: seconds until each request was answered.
        sends: seconds from each send, as the client makes it, until the message is on the phone.
    """

    requests: list[float] = field(default_factory=list)
    sends: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """Seconds within which 99 of 100 requests were answered."""
        return sorted(self.requests)[(len(self.requests) * 99 - 1) // 100]

    def __str__(self) -> str:
        return (
            f"{len(self.requests)} requests, p99 {self.p99:.2f} s, slowest {max(self.requests):.2f} s, "
            f"{len(self.sends)} sends, slowest {max(self.sends):.2f} s"
        )


@contextlib.asynccontextmanager
async def bystander(home: House, bob: Person, friend: str) -> AsyncIterator[Experience]:
    """Bob asks and sends as long as the context, and until it is enough to say something.

    Args:
        home: the system.
        bob: who is linked.
        friend: the number that he writes to.
    """
    seen = Experience()
    over = asyncio.Event()

    async def ask() -> None:
        while math.inf not in seen.requests and not (over.is_set() and len(seen.requests) >= _LEAST_REQUESTS):
            seen.requests.append(await _seconds(bob.get(_PATHS[len(seen.requests) % len(_PATHS)])))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def send() -> None:
        while math.inf not in seen.sends and not (over.is_set() and seen.sends):
            seen.sends.append(await _seconds(_send_until_shown(home, bob, friend)))
            await asyncio.sleep(_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask())
        tasks.create_task(send())
        try:
            yield seen
        finally:
            over.set()


async def _seconds(work: Awaitable[object]) -> float:
    began = time.monotonic()
    try:
        await work
    except (httpx.HTTPError, AssertionError):
        return math.inf
    return time.monotonic() - began


async def _send_until_shown(home: House, bob: Person, friend: str) -> None:
    text = f"{time.monotonic()}"
    await bob.send(friend, text)

    async def shown() -> bool:
        return text in [one["text"] for one in await home.phones.messages(friend, sender=bob.number)]

    await until(shown, seconds=30, what="Bob's message")
