"""Traffic both ways while something is killed, frozen or away: nothing is lost, shown twice or undecryptable."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from chatwren.store.throwaway import fresh_database
from tests.cable import cable
from tests.conftest import Postgres
from tests.e2e.conftest import LEASE
from tests.e2e.house import House, Person, Program, house, until
from tests.e2e.traffic import Tally, flowing, linked

pytestmark = pytest.mark.anyio

GAP = 0.25
LEASE_SECONDS = float(LEASE["CHATWREN_LEASE_SECONDS"])


def assert_whole(tally: Tally) -> None:
    """Each message once, in order, and each could be read at once."""
    assert (tally.wrong, tally.undecryptable) == ([], 0), tally
    assert (tally.shown, tally.stored) == (tally.accepted, tally.written)


async def owners(home: House, people: list[Person]) -> list[Any]:
    """The worker that owns each account."""
    rows = await home.sql(
        "SELECT l.worker_id FROM lease l JOIN account a ON a.id = l.account_id"
        " WHERE a.phone = ANY($1::text[]) ORDER BY array_position($1, a.phone)",
        [person.number for person in people],
    )
    return [row[0] for row in rows]


def lives(worker: Program) -> list[str]:
    """The ids under which a worker has lived."""
    return [one["worker"] for one in worker.said() if one["event"] == "worker.registered"]


async def test_the_engine_killed_again_and_again(own_house: House) -> None:
    worker = await own_house.worker()
    async with linked(own_house, 6) as people, flowing(own_house, people, gap=GAP) as traffic:
        await traffic.flows()
        for _ in range(3):
            os.kill(await worker.engine(), signal.SIGKILL)
            await traffic.flows()
        assert_whole(await traffic.end())
    assert worker.process.returncode is None


@pytest.mark.parametrize("with_engine", [False, True], ids=["worker", "worker and engine"])
async def test_frozen_until_another_has_taken_over(own_house: House, *, with_engine: bool) -> None:
    """Frozen for a few leases, until the other has brought everybody's messages; the default lease is twice as long."""
    workers = [await own_house.worker(), await own_house.worker()]
    for worker in workers:
        await worker.engine()
    async with linked(own_house, 4) as people, flowing(own_house, people, gap=GAP) as traffic:
        await traffic.flows()
        before = await owners(own_house, people)
        frozen = next(worker for worker in workers if lives(worker)[-1] == str(before[0]))
        engine = await frozen.engine()
        if with_engine:
            os.kill(engine, signal.SIGSTOP)
        frozen.signal(signal.SIGSTOP)

        async def taken_over() -> bool:
            return before[0] not in await owners(own_house, people)

        await until(taken_over, seconds=3 * LEASE_SECONDS, what="the takeover")
        await traffic.flows()
        if with_engine:
            os.kill(engine, signal.SIGCONT)
        frozen.signal(signal.SIGCONT)

        async def shares_again() -> bool:
            return len(lives(frozen)) > 1 and lives(frozen)[-1] in map(str, await owners(own_house, people))

        await until(shares_again, seconds=60, what="the share of the worker that was frozen")
        await traffic.flows()
        tally = await traffic.end()
        assert_whole(tally)
        assert tally.again <= len(people)  # of each account no more than what was under way when it froze


async def test_a_frozen_engine(own_house: House) -> None:
    """Frozen for two leases: it has to find out itself, when it thaws, that its time is over."""
    worker = await own_house.worker()
    async with linked(own_house, 4) as people, flowing(own_house, people, gap=GAP) as traffic:
        await traffic.flows()
        engine = await worker.engine()
        os.kill(engine, signal.SIGSTOP)
        await asyncio.sleep(2 * LEASE_SECONDS)
        os.kill(engine, signal.SIGCONT)
        await traffic.flows()
        assert_whole(await traffic.end())


async def test_the_database_away(postgres: Postgres, tmp_path: Path) -> None:
    """Away for two leases, for web, worker and engine: what is acknowledged is stored, and nobody dies of it."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        cable(url) as way,
        house(way.url, tmp_path, **LEASE) as home,
    ):
        worker = await home.worker()
        async with linked(home, 4) as people, flowing(home, people, gap=GAP) as traffic:
            await traffic.flows()
            await way.cut()
            await asyncio.sleep(2 * LEASE_SECONDS)
            await way.mend()
            await traffic.flows()
            assert_whole(await traffic.end())
        assert worker.process.returncode is None
        await home.close()  # before its way to the database ends
