"""How quickly the dispatcher takes what is due, with a sender that does nothing, and how late it is at a rush.

    python bench/dispatcher.py [--check]

200 accounts have 100 messages each that are due, in a table that is empty otherwise and in one with 1,000,000 rows that
are due later: three rounds, which take turns. Then 10,000 messages become due within one second over 1,000 accounts.
And one account claims beside 1,000,000 of its own that are due later, with statistics of when there was nothing. No
pacing; PostgreSQL is the embedded one, and its commits wait for the disk. --check: exit 1 when the ratio is under its
floor, or the lateness or a claim over its bound.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import uvloop

from chatwren.channels.results import Sent
from chatwren.delivery.dispatch import Dispatcher
from chatwren.delivery.fence import Fence, uptime
from chatwren.machine.throwaway import fresh_database
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.fenced import leases, messages, workers
from chatwren.store.fenced.messages import Claimed
from chatwren.store.migrate import migrate
from parts import command, system

ROUNDS = 3
ACCOUNTS, EACH = 200, 100
LATER = 1_000_000
RUSH_ACCOUNTS, RUSH = 1000, 10_000
RUSH_STARTS_IN = 10.0
FLOOR = 0.7
"""Least speed beside rows that are due later, as a share of that in an empty table."""
LATEST_P99 = 1.5
"""Seconds."""
CLAIMS = 200
LONGEST_CLAIM = 1.0
"""Milliseconds, p50."""
SETTINGS = Settings(_env_file=None, pacing_gap_seconds=0, pacing_jitter_seconds=0)


class Nothing:
    """A channel to which everything succeeds at once. `enough` is set after so many messages."""

    resend_is_safe = True
    address_age = upload_age = timedelta(days=1)

    def __init__(self, count: int) -> None:
        self._left = count
        self.enough = asyncio.Event()

    async def send(self, message: Claimed) -> Sent:
        """Do nothing."""
        self._left -= 1
        if self._left == 0:
            self.enough.set()
        return Sent(message.wa_id)


@dataclass(frozen=True, slots=True)
class Table:
    """A database of its own, with a worker in it and connected accounts that the worker owns."""

    db: Database
    worker: UUID
    accounts: list[UUID]

    async def put(self, each: int, *, due: str, analyze: bool = True) -> None:
        """So many messages for each account. `due`: SQL, where n counts an account's messages from 1."""
        async with self.db.transaction() as connection:
            await connection.execute(
                f"""
                INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due,
                                     wa_id)
                SELECT uuidv7(), user_id, id, 'msg', 'phone', '49152' || lpad((n % 50)::text, 8, '0'), 'Hello', 'Hello',
                       {due}, '3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18))
                FROM account, generate_series(1, $1::integer) AS n
                """,
                each,
                timeout=600,
            )
        if analyze:
            async with self.db.connection() as connection:
                await connection.execute("VACUUM ANALYZE message", timeout=600)

    async def dispatch(self, count: int) -> float:
        """Dispatch until so many messages are sent, and that is on disk; the seconds that it took."""
        fence = Fence(3600)
        fence.renewed(uptime())
        sender = Nothing(count)
        dispatcher = Dispatcher(
            self.db, self.worker, fence=fence, channel=sender, settings=SETTINGS, accounts=lambda: self.accounts
        )
        began = time.perf_counter()
        running = asyncio.create_task(dispatcher.run())
        await sender.enough.wait()
        dispatcher.stop()
        await running
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def table(server: str, accounts: int) -> AsyncIterator[Table]:
    """A new one."""
    async with fresh_database(server) as url:
        await migrate(url)
        async with Database.connect(url, pacing=SETTINGS.pacing) as db:
            people = await system.sign_up(db, accounts)
            worker = uuid4()
            async with db.transaction() as connection:
                await workers.register(connection, worker, "bench")
                await leases.claim(connection, worker, limit=accounts)
                await connection.execute("UPDATE account SET connected = true")
            yield Table(db, worker, [one.account for one in people])


async def speed(server: str) -> float:
    """Print the speed in both tables; the ratio."""
    rates: tuple[list[float], list[float]] = ([], [])
    async with table(server, ACCOUNTS) as empty, table(server, ACCOUNTS) as full:
        await full.put(LATER // ACCOUNTS, due="now() + interval '1 day' + n * interval '1 minute'")
        for _ in range(ROUNDS):
            for one, into in zip((empty, full), rates, strict=True):
                await one.put(EACH, due="now() - interval '1 second'")
                into.append(ACCOUNTS * EACH / await one.dispatch(ACCOUNTS * EACH))
    ratio = statistics.median(full / empty for empty, full in zip(*rates, strict=True))
    print(
        f"messages a second: {statistics.median(rates[0]):.0f} in an empty table, {statistics.median(rates[1]):.0f} "
        f"beside {LATER:,} due later; ratio {ratio:.2f}",
        flush=True,
    )
    return ratio


async def rush(server: str) -> float:
    """Print how late messages are that become due within one second; the 99th percentile in seconds."""
    late: list[list[float]] = []
    async with table(server, RUSH_ACCOUNTS) as one:
        for _ in range(ROUNDS):
            async with one.db.connection() as connection:
                start = await connection.fetchval("SELECT now() + $1::interval", timedelta(seconds=RUSH_STARTS_IN))
            due = f"'{start.isoformat()}'::timestamptz + random() * interval '1 second'"
            await one.put(RUSH // RUSH_ACCOUNTS, due=due)
            await one.dispatch(RUSH)
            async with one.db.connection() as connection:
                assert await connection.fetchval("SELECT min(claimed_at) > $1 FROM message WHERE due >= $1", start)
                late.append(
                    await connection.fetchval(
                        """
                        SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY late)
                        FROM (SELECT extract(epoch FROM sent_at - due) AS late FROM message WHERE due >= $1) AS sent
                        """,
                        start,
                    )
                )
    p50 = statistics.median(one[0] for one in late)
    p99 = statistics.median(one[1] for one in late)
    print(f"{RUSH:,} due in one second over {RUSH_ACCOUNTS:,} accounts: late by p50 {p50:.2f} s, p99 {p99:.2f} s")
    return p99


async def claims(server: str) -> float:
    """Print how long a claim takes, each of which is undone; the median in milliseconds."""
    took = []
    async with table(server, 1) as one:
        async with one.db.connection() as connection:
            for name in ("account", "contact", "lease", "message"):
                await connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
            await connection.execute("ANALYZE")
        await one.put(LATER, due="now() + interval '1 day' + n * interval '1 s'", analyze=False)
        await one.put(EACH, due="now() - interval '1 second'", analyze=False)
        async with one.db.connection() as connection:
            for _ in range(CLAIMS):
                transaction = connection.transaction()
                await transaction.start()
                began = time.perf_counter()
                claim = await messages.claim(
                    connection,
                    one.worker,
                    one.accounts,
                    messages.Terms(guard=timedelta(0), contact_age=timedelta(days=1), upload_age=timedelta(days=1)),
                )
                took.append((time.perf_counter() - began) * 1000)
                assert len(claim.taken) == 1
                await transaction.rollback()
    print(f"a claim beside {LATER:,} due later, with statistics of nothing: p50 {statistics.median(took):.2f} ms")
    return statistics.median(took)


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is out of bounds."""
    async with system.postgres(folder) as server:
        claim = await claims(server)
        ratio, p99 = await speed(server), await rush(server)
    problems = []
    if ratio < FLOOR:
        problems.append(f"the ratio is under {FLOOR}")
    if p99 > LATEST_P99:
        problems.append(f"the lateness is over {LATEST_P99} s")
    if claim > LONGEST_CLAIM:
        problems.append(f"a claim takes over {LONGEST_CLAIM} ms")
    return problems


if __name__ == "__main__":
    command.run(measure, __doc__, loop=uvloop.run)
