"""How many messages a second go out through worker, engine and sandbox, and how late they are at a rush.

    python bench/sends.py [--check]

`chatwren serve --sandbox` without pacing, with 100 accounts that have 30 messages each that are due, against a loop in
Go that calls the engine's send for as many accounts (BenchmarkSends of engine/cmd/engine): three rounds, which take
turns. Then 1,000 messages become due within one second over 10 accounts. --check: exit 1 when the ratio is under its
floor, or the lateness over its bound.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from chatwren.machine.postgres import reach_database
from chatwren.machine.throwaway import VARIABLE
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import command
from parts.served import link_accounts, serve, until

ROOT = Path(__file__).parent.parent
ROUNDS = 3
ACCOUNTS, EACH = 100, 30
RUSH_ACCOUNTS, RUSH = 10, 1000
RUSH_STARTS_IN = timedelta(seconds=3)
FLOOR = 0.36
"""Least speed as a share of the loop's."""
LATEST_P99 = 5.0
"""Seconds."""


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
        serve(folder) as served,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        await link_accounts(db, served, ACCOUNTS)
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


if __name__ == "__main__":
    command.run(measure, __doc__)
