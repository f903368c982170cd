"""Whose turn it is to have something computed."""

import asyncio
import random
import threading
from collections.abc import Callable

import pytest
from tests.waiting import until

from chatwren.domain.errors import TooMany
from chatwren.domain.ids import uuid7
from chatwren.domain.limits import BOUNDS, Limit
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio

ALICE, BOB, CHARLIE = uuid7(), uuid7(), uuid7()


@pytest.fixture
def computing(db: Database) -> Computing:
    return Computing(Limits(db))


class Jobs:
    """Jobs that say when they begin, and end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._may_end = threading.Semaphore(0)

    def named(self, name: str) -> Callable[[], str]:
        def work() -> str:
            self.begun.append(name)
            assert self._may_end.acquire(timeout=20)
            return name

        return work

    async def begin(self, count: int) -> None:
        await until(lambda: len(self.begun) >= count)

    def end(self, count: int = 1) -> None:
        self._may_end.release(count)


async def test_users_have_their_turns_whoever_asks_for_more(computing: Computing) -> None:
    jobs = Jobs()
    alices = [asyncio.create_task(computing.run(ALICE, jobs.named(f"alice {number}"))) for number in range(6)]
    await jobs.begin(1)
    others = [asyncio.create_task(computing.run(user, jobs.named(name))) for user, name in ((BOB, "b"), (CHARLIE, "c"))]
    await asyncio.sleep(0)
    jobs.end(8)
    assert await asyncio.gather(*alices) == [f"alice {number}" for number in range(6)]
    assert await asyncio.gather(*others) == ["b", "c"]
    assert jobs.begun[:4] == ["alice 0", "alice 1", "b", "c"]  # Alice waited first, and then behind each once


async def test_what_is_usual_does_not_wait_for_what_takes_much(computing: Computing) -> None:
    jobs = Jobs()
    much = [asyncio.create_task(computing.run(user, jobs.named("much"), much=True)) for user in (ALICE, BOB)]
    await jobs.begin(1)
    for user in (ALICE, BOB, CHARLIE):
        assert await computing.run(user, lambda: "usual") == "usual"
    assert jobs.begun == ["much"]
    jobs.end(2)
    await asyncio.gather(*much)


async def test_who_has_a_session_waits_for_no_picture_and_pictures_are_drawn_in_turn(computing: Computing) -> None:
    jobs = Jobs()
    alices = [asyncio.create_task(computing.draw(ALICE, jobs.named(f"alice {number}"))) for number in range(3)]
    await jobs.begin(1)
    bobs = asyncio.create_task(computing.draw(BOB, jobs.named("b")))
    for much in (False, True):
        assert await computing.run(ALICE, lambda: "no picture", much=much) == "no picture"
    jobs.end(4)
    assert [*await asyncio.gather(*alices), await bobs] == ["alice 0", "alice 1", "alice 2", "b"]
    assert jobs.begun == ["alice 0", "alice 1", "b", "alice 2"]


async def test_who_no_longer_waits_is_passed_over_and_a_thread_is_given_back_when_it_is_free(
    computing: Computing,
) -> None:
    jobs = Jobs()
    running = asyncio.create_task(computing.run(ALICE, jobs.named("a")))
    await jobs.begin(1)
    waiting = [asyncio.create_task(computing.run(CHARLIE, jobs.named(f"c{number}"))) for number in range(2)]
    await asyncio.sleep(0)
    running.cancel()
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert jobs.begun == ["a"]  # its thread cannot be stopped: nobody takes its place yet
    jobs.end(2)
    assert await waiting[1] == "c1"
    assert jobs.begun == ["a", "c1"]
    await asyncio.wait([running])
    assert running.cancelled()
    assert await computing.run(ALICE, lambda: "again") == "again"


async def test_whenever_requests_end_every_place_is_given_back(computing: Computing) -> None:
    dice = random.Random(1)  # noqa: S311
    users = [uuid7() for _ in range(5)]
    for _ in range(300):
        tasks = [asyncio.create_task(computing.run(dice.choice(users), lambda: "done")) for _ in range(6)]
        while not all(task.done() for task in tasks):
            dice.choice(tasks).cancel()
            await asyncio.sleep(0)
    assert [await computing.run(user, lambda: "done") for user in (ALICE, BOB)] == ["done"] * 2


async def test_what_fails_gives_its_place_back(computing: Computing) -> None:
    def fail() -> None:
        raise ValueError("as it was told")

    for _ in range(5):
        with pytest.raises(ValueError, match="as it was told"):
            await computing.run(ALICE, fail)


async def test_a_user_has_few_long_requests_under_way(computing: Computing) -> None:
    async with computing.much(ALICE), computing.much(ALICE):
        with pytest.raises(TooMany) as caught:
            async with computing.much(ALICE):
                pass
        assert caught.value.code == "limit_reached"
        assert caught.value.extra == {"limit": "computing", "allowed": BOUNDS[Limit.COMPUTING].default}
        async with computing.much(BOB):
            pass
    async with computing.much(ALICE):
        pass
