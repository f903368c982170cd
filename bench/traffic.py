"""Traffic both ways through the whole system, without faults and while engines are killed.

    python -m bench.traffic [--seconds 60] [--accounts 20] [--kills 12]

Each account and a friend write to each other for so many seconds; then all that was written is looked for at the other
end, by its text. With kills, so many kill -9 of engines are spread over the time. One worker waits longer before each
new engine that dies early, so that there is a worker for every four kills, and they are struck in turn.
"""

import argparse
import asyncio
import os
import signal
import time

from tests.e2e.house import Program, house_on_disk
from tests.e2e.traffic import Traffic, flowing, linked

GAP_SECONDS = 0.4  # between two messages of one account or friend
KILLS_A_WORKER = 4


async def kill(traffic: Traffic, workers: list[Program], *, kills: int, seconds: float) -> list[float]:
    """Kill engines, evenly spread over the time. How long it took after each until every account worked again."""
    took = []
    began = time.monotonic()
    for number in range(kills):
        await asyncio.sleep(began + (number + 0.5) * seconds / kills - time.monotonic())
        os.kill(await workers[number % len(workers)].engine(), signal.SIGKILL)
        took.append(await traffic.flows())
    await asyncio.sleep(began + seconds - time.monotonic())
    return took


async def measure(*, seconds: float, accounts: int, kills: int) -> None:
    async with house_on_disk() as home:
        workers = [await home.worker() for _ in range(max(1, -(-kills // KILLS_A_WORKER)))]
        async with linked(home, accounts) as people, flowing(home, people, gap=GAP_SECONDS) as traffic:
            await traffic.flows()
            began = time.monotonic()
            took = await kill(traffic, workers, kills=kills, seconds=seconds)
            tally = await traffic.end()
            whole = time.monotonic() - began
        resent, most = (await home.sql("SELECT coalesce(sum(attempts - 1), 0), max(attempts) FROM message"))[0]
    print(f"{accounts} accounts, {seconds:.0f} s, {len(workers)} workers, {kills} kill -9 of an engine")
    print(f"  accepted {tally.accepted}, shown at phones {tally.shown}, of these again under the same id {tally.again}")
    print(f"  attempts beyond the first {resent}, at most {most} of one message")
    print(f"  written by phones {tally.written}, stored {tally.stored}")
    print(f"  undecryptable {tally.undecryptable}, wrong {len(tally.wrong)}")
    print(f"  {tally.shown / whole:.1f} out and {tally.stored / whole:.1f} in a second, until all had arrived")
    if took:
        print(f"  all accounts worked again {min(took):.1f} to {max(took):.1f} s after a kill")
    for one in tally.wrong:
        print(f"  {one}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--accounts", type=int, default=20)
    arguments.add_argument("--kills", type=int, default=12)
    given = arguments.parse_args()
    for kills in sorted({0, given.kills}):
        asyncio.run(measure(seconds=given.seconds, accounts=given.accounts, kills=kills))


if __name__ == "__main__":
    main()
