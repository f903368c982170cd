"""Whose turn it is when a crowd comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from chatwren.domain.errors import Unavailable
from chatwren.service.turns import Turns

REFUSAL = Unavailable("busy", retry_after=1)


class Line:
    """People who wait, and the order in which they had their turns."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.had: list[str] = []
        self.refused: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def comes(
        self, name: str, party: str, *, network: str | None = None, failures: int = 0, slow: bool = False
    ) -> None:
        async def have() -> None:
            try:
                async with self.turns.turn(
                    party, network=network or party, failures=failures, refusal=REFUSAL, slow=slow
                ):
                    self.had.append(name)
            except Unavailable:
                self.refused.append(name)

        self.tasks[name] = asyncio.create_task(have())
        await asyncio.sleep(0)

    async def all_done(self) -> None:
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@contextlib.asynccontextmanager
async def _busy(turns: Turns) -> AsyncIterator[None]:
    async with turns.turn("elsewhere", network="elsewhere", failures=-1, refusal=REFUSAL):
        yield


@pytest.fixture
def line() -> Line:
    return Line(Turns(at_once=1, strangers=1, waiting=6, share=4, pace=0.05))


async def test_who_finds_nobody_goes_at_once(line: Line) -> None:
    await line.comes("alice", "a")
    await asyncio.wait_for(line.all_done(), 1)
    assert line.had == ["alice"]


async def test_networks_take_turns_however_many_each_sends(line: Line) -> None:
    async with _busy(line.turns):
        for number in range(4):
            await line.comes(f"crowd {number}", "c")
        await line.comes("alice", "a")
    await line.all_done()
    assert line.had == ["crowd 0", "alice", "crowd 1", "crowd 2", "crowd 3"]


async def test_in_a_network_its_users_take_turns_and_push_nobody_of_another_behind_them(line: Line) -> None:
    async with _busy(line.turns):
        for name in ("first 0", "first 1", "second", "third"):
            await line.comes(name, name[:5], network="c", failures=-1)
        await line.comes("alice", "alice", network="a", failures=-1)
    await line.all_done()
    assert line.had == ["first 0", "alice", "second", "third", "first 1"]


async def test_a_crowd_that_keeps_coming_overtakes_nobody(line: Line) -> None:
    async with _busy(line.turns):
        for number in range(4):
            await line.comes(f"crowd {number}", "c")
    await asyncio.sleep(0)
    async with _busy(line.turns):
        await line.comes("alice", "a")
        for number in range(4, 8):
            await line.comes(f"crowd {number}", "c")
    await line.all_done()
    assert line.had.index("alice") < line.had.index("crowd 4")


async def test_the_known_go_before_strangers_and_few_failures_before_many(line: Line) -> None:
    async with _busy(line.turns):
        await line.comes("many", "a", failures=50)
        await line.comes("few", "b", failures=1)
        await line.comes("known", "c", failures=-1)
    await line.all_done()
    assert line.had == ["known", "few", "many"]


async def test_no_kind_keeps_another_out(line: Line) -> None:
    async with _busy(line.turns):
        await line.comes("stranger", "a")
        await line.comes("known", "b", failures=-1)
        for number in range(4):
            await line.comes(f"signed in {number}", "c", failures=-2)
    await line.all_done()
    assert line.had == ["signed in 0", "signed in 1", "signed in 2", "known", "stranger", "signed in 3"]


async def test_a_user_has_a_share_of_the_places_and_a_kind_that_has_most_gives_way(line: Line) -> None:
    async with _busy(line.turns):
        await line.comes("stranger", "a")
        await line.comes("known", "b", failures=-1)
        for number in range(5):
            await line.comes(f"first {number}", "c", failures=-2)
        await line.comes("second", "d", failures=-2)
        await asyncio.sleep(0)
        assert line.refused == ["first 4", "first 3"]
    await line.all_done()
    assert line.had == ["first 0", "second", "first 1", "known", "stranger", "first 2"]


async def test_when_all_places_are_taken_somebody_of_the_largest_network_gives_way(line: Line) -> None:
    async with _busy(line.turns):
        for number in range(5):
            await line.comes(f"user {number}", f"user {number}", network="c", failures=-1)
        for name in ("alice", "bob"):
            await line.comes(name, name, network=name, failures=-1)
        await line.comes("user 0 again", "user 0", network="c", failures=-1)
        await asyncio.sleep(0)
        assert line.refused == ["user 4", "user 0 again"]
    await line.all_done()
    assert line.had == ["user 0", "alice", "bob", "user 1", "user 2", "user 3"]


async def test_a_network_has_a_share_of_the_places(line: Line) -> None:
    async with _busy(line.turns):
        for number in range(6):
            await line.comes(f"crowd {number}", "c")
        assert line.refused == ["crowd 4", "crowd 5"]
        await line.comes("known in the crowd", "c", failures=-1)
        await asyncio.sleep(0)
        assert line.refused == ["crowd 4", "crowd 5", "crowd 3"]
    await line.all_done()
    assert line.had == ["known in the crowd", "crowd 0", "crowd 1", "crowd 2"]


@pytest.mark.parametrize(("failures", "refused"), [(-1, "f"), (0, "f"), (5, "late")])
async def test_when_all_places_are_taken_the_last_in_order_gives_way(line: Line, failures: int, refused: str) -> None:
    async with _busy(line.turns):
        for number, name in enumerate("abcdef"):
            await line.comes(name, name, failures=number // 5)
        await line.comes("late", "late", failures=failures)
        await asyncio.sleep(0)
        assert line.refused == [refused]
    await line.all_done()
    assert len(line.had) == 6


async def test_who_is_slow_has_the_pace_of_their_network_and_holds_up_nobody(line: Line) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(3):
        await line.comes(f"slow {number}", "s", failures=100, slow=True)
    await line.comes("alice", "a")
    await line.all_done()
    assert line.had == ["slow 0", "alice", "slow 1", "slow 2"]
    assert loop.time() - began >= 0.1


async def test_strangers_leave_a_place_to_the_known() -> None:
    line = Line(Turns(at_once=2, strangers=1, waiting=6, share=4, pace=0))
    async with line.turns.turn("s", network="s", failures=0, refusal=REFUSAL):
        await line.comes("stranger", "s")
        await line.comes("alice", "a", failures=-1)
        await line.tasks["alice"]
        assert line.had == ["alice"]
    await asyncio.wait_for(line.all_done(), 1)
    assert line.had == ["alice", "stranger"]


async def test_who_leaves_gives_up_the_place(line: Line) -> None:
    async with _busy(line.turns):
        await line.comes("gone", "a")
        await line.comes("alice", "b")
        line.tasks["gone"].cancel()
    await line.all_done()
    assert line.had == ["alice"]
    await line.comes("bob", "c")
    await asyncio.wait_for(line.all_done(), 1)


async def test_a_turn_that_comes_to_somebody_who_has_left_goes_on(line: Line) -> None:
    async with _busy(line.turns):
        await line.comes("gone", "a")
    line.tasks["gone"].cancel()  # it is their turn, but they have not run since
    await line.all_done()
    await line.comes("alice", "b")
    await asyncio.wait_for(line.all_done(), 1)
    assert line.had == ["alice"]


async def test_nobody_waits_for_ever(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwren.service.turns._PATIENCE_SECONDS", 0.01)
    async with _busy(line.turns):
        await line.comes("alice", "a")
        await line.all_done()
    assert line.refused == ["alice"]
    await line.comes("bob", "b")
    await asyncio.wait_for(line.all_done(), 1)
    assert line.had == ["bob"]


async def test_a_turn_ends_with_its_context_whatever_happens(line: Line) -> None:
    with pytest.raises(RuntimeError):
        async with line.turns.turn("a", network="a", failures=0, refusal=REFUSAL):
            raise RuntimeError
    await line.comes("alice", "a")
    await asyncio.wait_for(line.all_done(), 1)
