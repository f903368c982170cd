import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import pytest

from chatwren.domain import fairness
from chatwren.domain.errors import Unavailable
from chatwren.domain.fairness import FairPlaces, FewEach
from chatwren.domain.ids import uuid7

ALICE, BOB, CHARLIE, DORA = uuid7(), uuid7(), uuid7(), uuid7()


class Queue:
    """People who take turns; `order` says who had theirs."""

    def __init__(self, places: int, *, most_waiting: int = 100) -> None:
        self.places = FairPlaces(places, most_waiting=most_waiting)
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def taken(self, user: UUID, places: int = 1) -> AsyncIterator[None]:
        async with self.places.turn(user, places):
            yield

    def come(self, user: UUID, name: str, places: int = 1) -> asyncio.Task[None]:
        async def have() -> None:
            async with self.places.turn(user, places):
                self.order.append(name)
                await asyncio.sleep(0)

        self.tasks.append(asyncio.create_task(have()))
        return self.tasks[-1]

    async def end(self) -> None:
        await asyncio.gather(*self.tasks)


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.anyio
async def test_many_of_one_do_not_go_before_one_of_another() -> None:
    queue = Queue(1)
    async with queue.taken(CHARLIE):
        for number in range(3):
            queue.come(ALICE, f"alice {number}")
        await _settled()
        queue.come(BOB, "bob")
        await _settled()
        assert queue.order == []
    await queue.end()
    assert queue.order == ["alice 0", "bob", "alice 1", "alice 2"]


@pytest.mark.anyio
async def test_a_user_has_one_turn_at_a_time_though_places_are_free() -> None:
    queue = Queue(2)
    async with queue.taken(ALICE):
        queue.come(ALICE, "alice")
        queue.come(BOB, "bob")
        await _settled()
        assert queue.order == ["bob"]
    await queue.end()
    assert queue.order == ["bob", "alice"]


@pytest.mark.anyio
async def test_who_waits_for_all_places_is_not_overtaken() -> None:
    queue = Queue(2)
    async with queue.taken(CHARLIE):
        queue.come(ALICE, "alice, alone", places=2)
        queue.come(BOB, "bob")
        await _settled()
        assert queue.order == []
    await queue.end()
    assert queue.order == ["alice, alone", "bob"]


@pytest.mark.anyio
async def test_who_leaves_is_forgotten() -> None:
    queue = Queue(1)
    async with queue.taken(CHARLIE):
        leaves = queue.come(ALICE, "alice")
        queue.come(BOB, "bob")
        await _settled()
        leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    await queue.tasks[1]
    assert queue.order == ["bob"]
    async with queue.taken(ALICE):
        pass


@pytest.mark.anyio
async def test_a_turn_that_fails_is_given_on() -> None:
    queue = Queue(1)
    with pytest.raises(ZeroDivisionError):
        async with queue.taken(ALICE):
            raise ZeroDivisionError
    async with queue.taken(ALICE):
        pass


@pytest.mark.anyio
async def test_when_too_many_wait_the_one_with_most_comes_again() -> None:
    queue = Queue(1, most_waiting=3)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(queue.taken(CHARLIE))
        alices = [queue.come(ALICE, f"alice {number}") for number in range(3)]
        await _settled()
        queue.come(BOB, "bob")
        await _settled()
        with pytest.raises(Unavailable) as refused:
            await alices[2]
        assert refused.value.retry_after > 0
        with pytest.raises(Unavailable):
            await queue.come(ALICE, "alice again")
    await asyncio.gather(*queue.tasks, return_exceptions=True)
    assert queue.order == ["alice 0", "bob", "alice 1"]


@pytest.mark.anyio
async def test_who_has_taken_less_of_late_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(fairness, "monotonic", lambda: now)
    queue = Queue(1)
    for user, seconds in ((ALICE, 2.0), (BOB, 1.0)):
        async with queue.taken(user):
            now += seconds
    for expected, later in ((["charlie", "bob", "alice"], 0.0), (["alice", "bob", "charlie"], 3600.0)):
        queue.order.clear()
        now += later
        async with queue.taken(DORA):
            for user, name in ((ALICE, "alice"), (BOB, "bob"), (CHARLIE, "charlie")):
                queue.come(user, name)
            await _settled()
        await queue.end()
        assert queue.order == expected


@pytest.mark.anyio
async def test_those_who_have_taken_much_leave_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(fairness, "monotonic", lambda: now)
    queue = Queue(2)
    for user in (ALICE, BOB):
        async with queue.taken(user):
            now += 5.0
    async with queue.taken(ALICE):
        queue.come(BOB, "bob")
        queue.come(CHARLIE, "charlie")
        await _settled()
        assert queue.order == ["charlie"]
    await queue.end()
    assert queue.order == ["charlie", "bob"]


class Work:
    """Work that can be begun anew, and ends when it may."""

    def __init__(self, places: FairPlaces, user: UUID) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.task = asyncio.create_task(places.do(user, self._do))

    async def _do(self) -> int:
        self.begun += 1
        await self.may_end.wait()
        return self.begun

    async def end(self) -> int:
        self.may_end.set()
        return await self.task


@pytest.mark.anyio
async def test_work_has_a_free_place_beside_the_turn_of_its_user_until_somebody_comes() -> None:
    queue = Queue(2)
    first, second, third = (Work(queue.places, ALICE) for _ in range(3))
    await _settled()
    assert (first.begun, second.begun, third.begun) == (1, 1, 0)
    async with queue.taken(BOB):
        await _settled()
        assert await first.end() == 1
        await _settled()
        assert (second.begun, third.begun) == (2, 0)
    await _settled()
    assert third.begun == 1
    assert await second.end() == 2
    assert await third.end() == 1


@pytest.mark.anyio
async def test_work_of_those_who_have_taken_much_has_the_place_they_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(fairness, "monotonic", lambda: now)
    queue = Queue(2)
    for user in (ALICE, BOB):
        async with queue.taken(user):
            now += 5.0
    async with queue.taken(ALICE):
        bobs = Work(queue.places, BOB)
        await _settled()
        assert bobs.begun == 1
        async with queue.taken(CHARLIE):
            pass
        await _settled()
        assert bobs.begun == 2
    assert await bobs.end() == 2


@pytest.mark.anyio
async def test_work_gives_its_place_to_whoever_wants_all_of_them() -> None:
    queue = Queue(2)
    first, second = Work(queue.places, ALICE), Work(queue.places, ALICE)
    await _settled()
    all_of_them = queue.come(BOB, "bob", places=2)
    await _settled()
    assert second.begun == 1
    assert not second.task.done()
    await first.end()
    await all_of_them
    await _settled()
    assert second.begun == 2
    await second.end()


@pytest.mark.anyio
@pytest.mark.parametrize("lent", [False, True])
async def test_work_that_nobody_waits_for_ends_and_gives_its_place_on(*, lent: bool) -> None:
    queue = Queue(2)
    works = [Work(queue.places, ALICE) for _ in range(3)]
    await _settled()
    gone, stays = (works[1], works[0]) if lent else (works[0], works[1])
    gone.task.cancel()
    await asyncio.gather(gone.task, return_exceptions=True)
    await _settled()
    assert works[2].begun == 1
    assert await stays.end() == 1
    assert await works[2].end() == 1
    for user in (BOB, CHARLIE):
        async with queue.taken(user, 2):
            pass


@pytest.mark.anyio
async def test_work_that_fails_says_so_though_its_place_was_lent() -> None:
    queue = Queue(2)

    async def fail() -> None:
        raise ZeroDivisionError

    async with queue.taken(ALICE):
        with pytest.raises(ZeroDivisionError):
            await queue.places.do(ALICE, fail)
    async with queue.taken(ALICE, 2):
        pass


async def test_of_few_places_each_user_has_their_own_and_a_line() -> None:
    few = FewEach(1, most_waiting=2)
    await few.enter(ALICE)
    await few.enter(BOB)
    first, second = [asyncio.create_task(few.enter(ALICE)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await few.enter(ALICE)
    few.leave(ALICE)
    await first
    assert not second.done()
    few.leave(ALICE)
    await second


@pytest.mark.parametrize("granted", [False, True])
async def test_who_no_longer_waits_for_one_of_few_places_gives_it_on(*, granted: bool) -> None:
    few = FewEach(1, most_waiting=2)
    await few.enter(ALICE)
    gone, patient = [asyncio.create_task(few.enter(ALICE)) for _ in range(2)]
    await asyncio.sleep(0)
    if granted:
        few.leave(ALICE)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    if not granted:
        few.leave(ALICE)
    await asyncio.wait_for(patient, 5)
    few.leave(ALICE)
    await asyncio.wait_for(few.enter(ALICE), 5)
