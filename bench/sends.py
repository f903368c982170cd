"""How many messages a second go out through worker, engine and sandbox, and how late they are at a rush.

    python bench/sends.py [--check]

`chatwren serve --sandbox` without pacing, with 100 accounts that have 30 messages each that are due, against a loop in
Go that calls the engine's send for as many accounts (BenchmarkSends of engine/cmd/engine): three rounds, which take
turns. Then 1,000 messages become due within one second over 10 accounts. --check: exit 1 when the ratio is under its
floor, or the lateness over its bound.
"""

import argparse
import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.embedded import reach_database
from chatwren.store.throwaway import VARIABLE
from parts import system
from parts.system import Person

ROOT = Path(__file__).parent.parent
ROUNDS = 3
ACCOUNTS, EACH = 100, 30
RUSH_ACCOUNTS, RUSH = 10, 1000
RUSH_STARTS_IN = timedelta(seconds=3)
LINKED_AT_ONCE = 8
PATIENCE = 300.0
FLOOR = 0.4
"""Least speed as a share of the loop's."""
LATEST_P99 = 5.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running `serve` is reached."""

    web: str
    phones: str


@contextlib.asynccontextmanager
async def serve(data_dir: Path) -> AsyncIterator[Addresses]:
    """`chatwren serve --sandbox` without pacing, for as long as the context."""
    settings = {
        "CHATWREN_COOKIE_SECRETS": system.SECRET,
        "CHATWREN_PACING_GAP_SECONDS": "0",
        "CHATWREN_PACING_JITTER_SECONDS": "0",
        "CHATWREN_LOG_LEVEL": "warning",
    }
    with (data_dir / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chatwren", "serve", "--sandbox", "--port", "0", "--sandbox-port", "0"),
            *("--data-dir", str(data_dir)),
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        web, phones = (re.search(r"http://\S+", line) for line in lines)
        assert web is not None, (data_dir / "serve.log").read_text()
        assert phones is not None
        yield Addresses(web[0], phones[0])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def link(client: httpx.AsyncClient, addresses: Addresses, person: Person, number: str) -> None:
    """Link a simulated phone with that number to the person's account."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = await client.get(f"{addresses.web}/api/whatsapp/createqr", headers={"cookie": person.cookie})
        if answer.is_success:
            break
        assert time.monotonic() < deadline, answer.text
    scan = await client.post(f"{addresses.phones}/phones/{number}/scan", json={"qr": answer.json()["qrCode"]})
    assert scan.is_success, scan.text


async def link_all(db: Database, addresses: Addresses) -> None:
    """Link each account, and wait until all are connected."""
    people = await system.sign_up(db, ACCOUNTS, linked=False)
    at_once = asyncio.Semaphore(LINKED_AT_ONCE)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

        async def one(person: Person, number: str) -> None:
            async with at_once:
                await link(client, addresses, person, number)

        await asyncio.gather(*(one(person, f"9198{number:08d}") for number, person in enumerate(people)))
    await until(db, f"SELECT count(*) = {ACCOUNTS} FROM account WHERE connected")


async def until(db: Database, query: str) -> None:
    """Wait until the query's one value is true."""
    deadline = time.monotonic() + PATIENCE
    async with db.connection() as connection:
        while not await connection.fetchval(query):
            assert time.monotonic() < deadline, f"not in time: {query}"
            await asyncio.sleep(0.2)


async def put(db: Database, accounts: int, each: int, *, due: str, since: datetime) -> None:
    """So many messages for each of so many accounts, each to one recipient of the account's own."""
    async with db.connection() as connection:
        await connection.execute(
            f"""
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
            SELECT uuidv7(), a.user_id, a.id, 'msg', 'phone', '9197' || right(a.phone, 8), n::text, n::text, {due},
                   '3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18))
            FROM (SELECT * FROM account ORDER BY phone LIMIT $1) AS a, generate_series(1, $2::integer) AS n,
                 (SELECT $3::timestamptz AS since) AS given
            """,
            accounts,
            each,
            since,
        )


async def send(db: Database, accounts: int, each: int) -> float:
    """Send what is due at once; messages a second, from their insertion to the last acknowledgement."""
    since = await now(db)
    await put(db, accounts, each, due="since", since=since)
    await until(db, "SELECT NOT EXISTS (SELECT FROM message WHERE status <= 'sending')")
    async with db.connection() as connection:
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM max(sent_at) - $1)::float8 FROM message WHERE due >= $1", since
        )
    return accounts * each / seconds


async def rush(db: Database) -> list[float]:
    """How late messages are that become due within one second: p50 and p99 in seconds."""
    start = await now(db) + RUSH_STARTS_IN
    await put(db, RUSH_ACCOUNTS, RUSH // RUSH_ACCOUNTS, due="since + random() * interval '1 second'", since=start)
    await until(db, "SELECT NOT EXISTS (SELECT FROM message WHERE status <= 'sending')")
    async with db.connection() as connection:
        late: list[float] = await connection.fetchval(
            """
            SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY late)
            FROM (SELECT extract(epoch FROM sent_at - due) AS late FROM message WHERE due >= $1) AS sent
            """,
            start,
        )
    return late


async def now(db: Database) -> datetime:
    """The database's time."""
    async with db.connection() as connection:
        found: datetime = await connection.fetchval("SELECT now()")
    return found


async def loop_in_go(server: str) -> float:
    """Sends a second of a loop that calls the engine's send, as many for as many accounts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tools" / "go"), "test", "-run=^$", "-bench=^BenchmarkSends$", "-benchtime=1x"),
        "./cmd/engine",
        env=os.environ | {VARIABLE: server},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    found = re.search(r"([\d.]+) sends/s", said)
    assert found is not None, said
    return float(found[1])


def report(loop: Sequence[float], sent: Sequence[float], late: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Print it; the ratio, and the 99th percentile of the lateness."""
    ratio = statistics.median(mine / theirs for mine, theirs in zip(sent, loop, strict=True))
    p50, p99 = (statistics.median(one[side] for one in late) for side in (0, 1))
    print(
        f"{ACCOUNTS} accounts, messages a second: {statistics.median(sent):.0f} through the worker, "
        f"{statistics.median(loop):.0f} by a loop in Go; ratio {ratio:.2f}"
    )
    print(f"{RUSH:,} due in one second over {RUSH_ACCOUNTS} accounts: late by p50 {p50:.2f} s, p99 {p99:.2f} s")
    return ratio, p99


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is out of bounds."""
    async with (
        serve(folder) as addresses,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        await link_all(db, addresses)
        await send(db, ACCOUNTS, 2)  # the first to a recipient asks for its address and its keys
        sent, loop, late = [], [], []
        for _ in range(ROUNDS):
            sent.append(await send(db, ACCOUNTS, EACH))
            late.append(await rush(db))
            loop.append(await loop_in_go(url))
    ratio, p99 = report(loop, sent, late)
    problems = []
    if ratio < FLOOR:
        problems.append(f"the ratio is under {FLOOR}")
    if p99 > LATEST_P99:
        problems.append(f"the lateness is over {LATEST_P99} s")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is out of bounds")
    check = parser.parse_args().check
    with system.folder() as folder:
        problems = asyncio.run(measure(folder))
    if check and problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
