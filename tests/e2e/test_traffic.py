"""Traffic both ways while something is killed, frozen or away: nothing is lost, shown twice or undecryptable."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatwren.machine.throwaway import fresh_database
from tests.cable import cable
from tests.conftest import Postgres
from tests.e2e.conftest import LEASE
from tests.e2e.house import House, house
from tests.e2e.traffic import Tally, flowing, linked
from tests.waiting import until

pytestmark = pytest.mark.anyio

GAP = 0.15
LEASE_SECONDS = float(LEASE["CHATWREN_LEASE_SECONDS"])


@pytest.fixture
async def fresh_house(postgres: Postgres, tmp_path: Path) -> AsyncIterator[House]:
    """A system with a short lease, without workers, and without accounts but those of the test."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path, **LEASE) as home,
    ):
        yield home


def assert_whole(tally: Tally) -> None:
    """Each message once, in order, and each could be read at once."""
    assert (tally.wrong, tally.undecryptable) == ([], 0), tally
    assert (tally.shown, tally.stored) == (tally.accepted, tally.written)


async def test_the_engine_killed_again_and_again(fresh_house: House) -> None:
    worker = await fresh_house.worker()
    async with linked(fresh_house, 6) as people, flowing(fresh_house, people, gap=GAP) as traffic:
        await traffic.flows()
        for _ in range(3):
            os.kill(await worker.engine(), signal.SIGKILL)
            await traffic.flows()
        assert_whole(await traffic.end())
    assert worker.process.returncode is None


@pytest.mark.parametrize("with_engine", [False, True], ids=["worker", "worker and engine"])
async def test_frozen_until_another_has_taken_over(fresh_house: House, *, with_engine: bool) -> None:
    """Frozen for a few leases, until the other has brought everybody's messages; the default lease is twice as long."""
    workers = [await fresh_house.worker(), await fresh_house.worker()]
    for worker in workers:
        await worker.engine()
    async with linked(fresh_house, 4) as people, flowing(fresh_house, people, gap=GAP) as traffic:
        await traffic.flows()
        owner = (await fresh_house.owners(people))[0]
        frozen = next(worker for worker in workers if worker.lives()[-1] == owner)
        engine = await frozen.engine()
        if with_engine:
            os.kill(engine, signal.SIGSTOP)
        frozen.signal(signal.SIGSTOP)

        async def taken_over() -> bool:
            return owner not in await fresh_house.owners(people)

        await until(taken_over, seconds=3 * LEASE_SECONDS, what="the takeover")
        await traffic.flows()
        if with_engine:
            os.kill(engine, signal.SIGCONT)
        frozen.signal(signal.SIGCONT)

        async def shares_again() -> bool:
            return frozen.lives()[-1] != owner and frozen.lives()[-1] in await fresh_house.owners(people)

        await until(shares_again, seconds=60, what="the share of the worker that was frozen")
        await traffic.flows()
        tally = await traffic.end()
        assert_whole(tally)
        assert tally.again <= len(people)  # of each account no more than what was under way when it froze


async def test_a_frozen_engine(fresh_house: House) -> None:
    """Frozen for two leases: it has to find out itself, when it thaws, that its time is over."""
    worker = await fresh_house.worker()
    async with linked(fresh_house, 4) as people, flowing(fresh_house, people, gap=GAP) as traffic:
        await traffic.flows()
        engine = await worker.engine()
        os.kill(engine, signal.SIGSTOP)
        await asyncio.sleep(2 * LEASE_SECONDS)
        os.kill(engine, signal.SIGCONT)
        await traffic.flows()
        assert_whole(await traffic.end())


async def test_the_database_away_and_then_a_worker_killed(postgres: Postgres, tmp_path: Path) -> None:
    """Away for two leases, for all: what a worker held in memory then, it has not acknowledged; nobody dies of it."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        cable(url) as way,
        house(way.url, tmp_path, **LEASE) as home,
    ):
        workers = [await home.worker(), await home.worker()]
        for worker in workers:
            await worker.engine()
        async with linked(home, 4) as people, flowing(home, people, gap=GAP) as traffic:
            await traffic.flows()
            owner = (await home.owners(people))[0]
            workers.sort(key=lambda worker: worker.lives()[-1] != owner)
            await way.cut()
            await asyncio.sleep(2 * LEASE_SECONDS)
            workers[0].signal(signal.SIGKILL)
            await way.mend()
            await traffic.flows()
            assert_whole(await traffic.end())
        assert workers[1].process.returncode is None
        await home.close()  # before its way to the database ends
