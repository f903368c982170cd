"""Traffic both ways through the whole system, without faults and with them.

    python -m bench.traffic [--fault FAULT ...] [--seconds 60] [--accounts 20] [--kills 12]

FAULT: none, kills, frozen-worker, frozen-engine, frozen-both, database-away. By default none, then kills.

Each account and a friend write to each other for so many seconds; then all that was written is looked for at the other
end, by its text. kills: kill -9 of an engine, so many, spread over the time. A worker waits longer before each new
engine that dies early, so that there is a worker for every four kills, and they are struck in turn. frozen-…: SIGSTOP
for 20 s of one of two workers, of its engine, or of both; database-away: no connection to PostgreSQL for 30 s, for web,
worker and engine. Lease and heartbeat are those of the default.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.cable import Cable, cable
from tests.e2e.house import Program, house, postgres_on_disk
from tests.e2e.traffic import Traffic, flowing, linked

GAP_SECONDS = 0.4  # between two messages of one account or friend
KILLS_A_WORKER = 4
FROZEN_SECONDS = 20.0
AWAY_SECONDS = 30.0


@dataclass
class Scene:
    """A system under traffic. `way`: its only one to the database, where that goes away."""

    workers: list[Program]
    way: Cable
    traffic: Traffic
    seconds: float
    kills: int


async def none(scene: Scene) -> list[float]:
    await asyncio.sleep(scene.seconds)
    return []


async def kills(scene: Scene) -> list[float]:
    took = []
    began = time.monotonic()
    for number in range(scene.kills):
        await asyncio.sleep(began + (number + 0.5) * scene.seconds / scene.kills - time.monotonic())
        os.kill(await scene.workers[number % len(scene.workers)].engine(), signal.SIGKILL)
        took.append(await scene.traffic.flows())
    await asyncio.sleep(began + scene.seconds - time.monotonic())
    return took


def frozen(*, worker: bool, engine: bool) -> Callable[[Scene], Awaitable[list[float]]]:
    async def freeze(scene: Scene) -> list[float]:
        struck = scene.workers[0]
        pids = [*([await struck.engine()] if engine else []), *([struck.process.pid] if worker else [])]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        again = asyncio.create_task(scene.traffic.flows())
        await asyncio.sleep(FROZEN_SECONDS)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # of an engine that its worker has replaced meanwhile
                os.kill(pid, signal.SIGCONT)
        took = [await again]
        await asyncio.sleep(scene.seconds - FROZEN_SECONDS)
        return took

    return freeze


async def away(scene: Scene) -> list[float]:
    await scene.way.cut()
    again = asyncio.create_task(scene.traffic.flows())
    await asyncio.sleep(AWAY_SECONDS)
    await scene.way.mend()
    took = [await again]
    await asyncio.sleep(scene.seconds - AWAY_SECONDS)
    return took


FAULTS = {
    "none": none,
    "kills": kills,
    "frozen-worker": frozen(worker=True, engine=False),
    "frozen-engine": frozen(worker=False, engine=True),
    "frozen-both": frozen(worker=True, engine=True),
    "database-away": away,
}


async def measure(fault: str, *, seconds: float, accounts: int, kills: int) -> None:
    async with (
        postgres_on_disk() as (url, folder),
        cable(url) as way,
        house(way.url if fault == "database-away" else url, folder) as home,
    ):
        count = {"none": 1, "kills": -(-kills // KILLS_A_WORKER), "database-away": 1}.get(fault, 2)
        workers = [await home.worker() for _ in range(count)]
        for worker in workers:
            await worker.engine()
        async with linked(home, accounts) as people, flowing(home, people, gap=GAP_SECONDS) as traffic:
            await traffic.flows()
            began = time.monotonic()
            took = await FAULTS[fault](Scene(workers, way, traffic, seconds, kills))
            tally = await traffic.end()
            whole = time.monotonic() - began
        tries, resent = (await home.sql("SELECT sum(attempts - 1), sum(unconfirmed) FROM message"))[0]
        await home.close()
    print(f"{fault}: {accounts} accounts, {seconds:.0f} s, {len(workers)} workers")
    print(f"  accepted {tally.accepted}, shown at phones {tally.shown}; arrived again under the same id {tally.again}")
    print(f"  attempts beyond the first {tries}, of these with an unknown outcome before them {resent}")
    print(f"  written by phones {tally.written}, stored {tally.stored}")
    print(f"  undecryptable {tally.undecryptable}, wrong {len(tally.wrong)}")
    print(f"  {tally.shown / whole:.1f} out and {tally.stored / whole:.1f} in a second, until all had arrived")
    if took:
        print(f"  {len(took)} faults: all accounts worked again {min(took):.1f} to {max(took):.1f} s after each")
    for one in tally.wrong:
        print(f"  {one}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--fault", action="append", choices=FAULTS)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--accounts", type=int, default=20)
    arguments.add_argument("--kills", type=int, default=12)
    given = arguments.parse_args()
    for fault in given.fault or ["none", "kills"]:
        asyncio.run(measure(fault, seconds=given.seconds, accounts=given.accounts, kills=given.kills))


if __name__ == "__main__":
    main()
