"""How long Chatwren takes to be ready, and to be back after a kill -9.

    python bench/restart.py

`chatwren serve --sandbox`: the seconds until it is ready in an empty folder, with data, and after a kill -9 of it while
50 accounts are connected; there also until all of them are connected again. The linking of the accounts is not counted.
"""

import asyncio
import os
import signal
import statistics
import time
from pathlib import Path

import httpx

from chatwren.machine.postgres import reach_database
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import system
from parts.served import PATIENCE, Served, link_accounts, serve

ROUNDS = 3
ACCOUNTS = 50


async def start(folder: Path) -> float:
    """Seconds from the start until it is ready. It is ended again."""
    began = time.monotonic()
    async with serve(folder):
        return time.monotonic() - began


async def connected(served: Served) -> None:
    """Wait until all accounts are connected to the simulated WhatsApp."""
    deadline = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(base_url=served.phones, trust_env=False) as client:
        while (await client.get("/stats")).json()["connected"] < ACCOUNTS:
            assert time.monotonic() < deadline, "not all accounts are connected"
            await asyncio.sleep(0.05)


async def measure(folder: Path) -> None:
    print(f"ready in an empty folder: {await start(folder):.1f} s", flush=True)
    with_data = [await start(folder) for _ in range(ROUNDS)]
    print(f"ready with data: {statistics.median(with_data):.1f} s", flush=True)
    async with (
        serve(folder) as served,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        await link_accounts(db, served, ACCOUNTS)
        os.kill(served.pid, signal.SIGKILL)
    ready, back = [], []
    for left in reversed(range(ROUNDS)):
        began = time.monotonic()
        async with serve(folder) as served:
            ready.append(time.monotonic() - began)
            await connected(served)
            back.append(time.monotonic() - began)
            if left:
                os.kill(served.pid, signal.SIGKILL)
    print(
        f"after kill -9: ready in {statistics.median(ready):.1f} s, "
        f"all {ACCOUNTS} accounts connected in {statistics.median(back):.1f} s"
    )


if __name__ == "__main__":
    with system.folder() as made:
        asyncio.run(measure(made))
