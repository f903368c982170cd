"""How long Chatwren takes to be ready, how soon it is back after a kill -9, and how much memory all of it has.

    python bench/restart.py [--check]

`chatwren serve --sandbox`: the seconds until it is ready in an empty folder and with data; its memory with one account
linked, by process, as PSS (pages that several have are divided among them). Then, with 50 accounts, the seconds until
it is ready again and until all of them are connected again, after a kill -9 of all its processes, PostgreSQL included,
and after one of `serve` alone, whose children notice. Linking accounts is not counted. Medians of 5 rounds, of 3 kills.
"""

import asyncio
import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import httpx

from chatwren.machine.postgres import reach_database
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import command, system
from parts.served import PATIENCE, Served, link_accounts, serve

ROUNDS = 5
KILLS = 3
ACCOUNTS = 50
SETTLED_SECONDS = 40
"""After which memory is looked at: the connections that only the start needed are closed by then."""
COLD_SECONDS, WARM_SECONDS, BACK_SECONDS, MEGABYTES = 2.5, 1.3, 2.5, 225


async def start(folder: Path) -> float:
    """Seconds from the start until it is ready. It is ended again."""
    began = time.monotonic()
    async with serve(folder):
        return time.monotonic() - began


async def start_empty() -> float:
    """The same in a folder that is empty."""
    with system.folder() as made:
        return await start(made)


async def connected(served: Served) -> None:
    """Wait until all accounts are connected to the simulated WhatsApp."""
    deadline = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(base_url=served.phones, trust_env=False) as client:
        while (await client.get("/stats")).json()["connected"] < ACCOUNTS:
            assert time.monotonic() < deadline, "not all accounts are connected"
            await asyncio.sleep(0.05)


def descendants(pid: int) -> set[int]:
    """A process and all below it."""
    children = defaultdict(set)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, parent = int(status.parent.name), int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it ended
            continue
        children[parent].add(child)
    found, new = set(), {pid}
    while new:
        found |= new
        new = {child for parent in new for child in children[parent]} - found
    return found


def kill(pids: Iterable[int]) -> None:
    """Kill them at one moment: none has time for a last word."""
    for how in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, how)


def memory(pid: int) -> dict[str, float]:
    """Megabytes (PSS) of what a `serve` runs, by kind of process, with how many there are."""
    found = defaultdict(list)
    for one in descendants(pid):
        folder = Path(f"/proc/{one}")
        line = (folder / "cmdline").read_text().replace("\0", " ").strip()
        rollup = (folder / "smaps_rollup").read_text()
        found[_kind(line)].append(int(rollup.partition("\nPss:")[2].split()[0]) / 1024)
    return {f"{name} ({len(each)})" if len(each) > 1 else name: sum(each) for name, each in sorted(found.items())}


def _kind(line: str) -> str:
    for name in ("guardian.py", "chatwren-engine", "chatwren-sandbox", "chatwren web", "chatwren worker", "decoder"):
        if name in line:
            return name.removeprefix("chatwren").strip(" -").removesuffix(".py")
    return "postgres" if "postgres" in line else "serve" if "chatwren serve" in line else line


async def after_kill(folder: Path, *, everything: bool) -> tuple[float, float]:
    """Medians of the seconds until it is ready, and until all accounts are connected, after a kill."""
    ready, back = [], []
    async with serve(folder) as served:
        await connected(served)
        kill(descendants(served.pid) if everything else {served.pid})
    for left in reversed(range(KILLS)):
        began = time.monotonic()
        async with serve(folder) as served:
            ready.append(time.monotonic() - began)
            await connected(served)
            back.append(time.monotonic() - began)
            if left:
                kill(descendants(served.pid) if everything else {served.pid})
    return statistics.median(ready), statistics.median(back)


async def measure(folder: Path) -> list[str]:
    """Print it all; what is over its bound."""
    cold = statistics.median([await start_empty() for _ in range(ROUNDS)])
    print(f"ready in an empty folder: {cold:.2f} s", flush=True)
    one, many = folder / "one", folder / "many"
    for each in (one, many):
        each.mkdir(mode=0o711)
    await start(one)
    warm = statistics.median([await start(one) for _ in range(ROUNDS)])
    print(f"ready with data: {warm:.2f} s", flush=True)
    async with (
        serve(one) as served,
        reach_database(Settings(_env_file=None, data_dir=one)) as url,
        Database.connect(url, size=1) as db,
    ):
        await link_accounts(db, served, 1)
    async with serve(one) as served:
        await asyncio.sleep(SETTLED_SECONDS)
        parts = memory(served.pid)
    megabytes = sum(parts.values())
    print(
        f"memory with one account: {megabytes:.0f} MB:", ", ".join(f"{a} {b:.1f}" for a, b in parts.items()), flush=True
    )
    async with (
        serve(many) as served,
        reach_database(Settings(_env_file=None, data_dir=many)) as url,
        Database.connect(url) as db,
    ):
        await link_accounts(db, served, ACCOUNTS)
    problems = []
    for what, everything in (("all", True), ("serve alone", False)):
        ready, back = await after_kill(many, everything=everything)
        print(
            f"after kill -9 of {what}: ready in {ready:.2f} s, all {ACCOUNTS} accounts connected in {back:.2f} s",
            flush=True,
        )
        if everything and back > BACK_SECONDS:
            problems.append(f"accounts are back after {back:.2f} s > {BACK_SECONDS}")
    for name, found, most in (
        ("cold", cold, COLD_SECONDS),
        ("warm", warm, WARM_SECONDS),
        ("MB with one account", megabytes, MEGABYTES),
    ):
        if found > most:
            problems.append(f"{name}: {found:.2f} > {most}")
    return problems


if __name__ == "__main__":
    command.run(measure, __doc__)
