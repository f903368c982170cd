"""Many callers, one batch at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from chatwren.store.batches import Batches

pytestmark = pytest.mark.anyio


class Work:
    """Doubles numbers, a batch at a time, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.most_at_once = 0
        self.began = asyncio.Event()
        self.let = asyncio.Event()
        self.broken: type[Exception] | None = None

    async def do(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.began.set()
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        await self.let.wait()
        self.under_way -= 1
        if self.broken is not None and 0 in numbers:
            raise self.broken
        return [2 * number for number in numbers]


async def test_what_comes_meanwhile_is_one_batch() -> None:
    work = Work()
    batches = Batches(work.do)
    first = asyncio.create_task(batches.do(1))
    await work.began.wait()
    others = [asyncio.create_task(batches.do(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    work.let.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]
    assert work.most_at_once == 1


async def test_only_the_one_at_fault_fails() -> None:
    work = Work()
    work.let.set()
    work.broken = ValueError
    batches = Batches(work.do)
    results = await asyncio.gather(*(batches.do(number) for number in (1, 0, 2)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 4]
    assert isinstance(results[1], ValueError)


async def test_while_the_database_is_away_nothing_is_tried_one_by_one() -> None:
    work = Work()
    work.let.set()
    work.broken = ConnectionRefusedError
    batches = Batches(work.do)
    results = await asyncio.gather(*(batches.do(number) for number in (1, 0, 2)), return_exceptions=True)
    assert all(isinstance(result, ConnectionRefusedError) for result in results)
    assert work.batches == [[1, 0, 2]]


async def test_a_caller_who_goes_away_costs_the_others_nothing() -> None:
    work = Work()
    batches = Batches(work.do)
    gone, there = asyncio.create_task(batches.do(1)), asyncio.create_task(batches.do(2))
    await work.began.wait()
    gone.cancel()
    work.let.set()
    assert await there == 4
    assert await batches.do(3) == 6
