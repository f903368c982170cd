"""`chatwren serve --sandbox` as it is delivered, under traffic both ways: each of its processes is killed."""

import os
import signal
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.e2e.traffic import flowing, linked
from tests.e2e.whole import Whole, served
from tests.waiting import until

pytestmark = pytest.mark.anyio

BACK_SECONDS = 15
GAP = 0.25


@pytest.fixture(scope="module")
async def whole() -> AsyncIterator[Whole]:
    async with served() as made, linked(made.home, 3) as made.people:
        yield made


@pytest.mark.parametrize("name", ["web", "worker", "engine", "postgres", "sandbox", "serve"])
async def test_killed_under_traffic(whole: Whole, name: str) -> None:
    """What it did is done again within 15 s; after serve itself by the next one."""
    takes_the_sandbox_along = name in ("sandbox", "serve")
    async with flowing(whole.home, whole.people, gap=GAP) as traffic:
        await traffic.flows()
        if takes_the_sandbox_along:  # which keeps no messages on disk: what is under way to an account would be lost
            traffic.friends_write.clear()
            await traffic.all_stored()
        os.kill(whole.pid(name), signal.SIGKILL)
        if name == "serve":
            await whole.start()
        if takes_the_sandbox_along:

            async def answers() -> bool:
                try:
                    return bool(await whole.home.phones.stats())
                except httpx.TransportError:
                    return False

            await until(answers, what="the sandbox")
            traffic.friends_write.set()
        await traffic.flows(seconds=BACK_SECONDS)
        tally = await traffic.end()
    assert tally.wrong == []
    assert takes_the_sandbox_along or tally.undecryptable == 0  # its phones forget their Signal sessions, too
