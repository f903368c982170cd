"""How many messages a second go out through worker, engine and sandbox, what CPU they take, and how late a rush is.

    python bench/sends.py [--check]

`chatwren serve --sandbox` without pacing, whose 1, 10 and 100 accounts have messages that are due, against a loop in Go
that calls the engine's send for as many accounts (BenchmarkSends of engine/cmd/engine): three rounds, which take turns.
Phones report delivery and reading, as those of people do, and CPU is counted until the last of that is stored. Then
1,000 messages become due within one second over 10 accounts. --check: exit 1 when a figure is out of bounds.
"""

import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from chatwren.machine.postgres import reach_database
from chatwren.machine.throwaway import VARIABLE
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import command
from parts.served import Served, link_accounts, serve, until

ROOT = Path(__file__).parent.parent
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Size:
    """So many accounts with so many messages each, and what is asked of them.

    Attributes:
        ratio: least speed as a share of the loop's.
        cpu: most CPU for a message, of all but the sandbox; milliseconds.
    """

    accounts: int
    each: int
    ratio: float
    cpu: float


SIZES = (Size(1, 300, 0.27, 6.0), Size(10, 100, 0.34, 2.4), Size(100, 30, 0.45, 1.4))
RUSH_ACCOUNTS, RUSH = 10, 1000
STARTS_IN = timedelta(seconds=3)
LATEST_P99 = 1.2
"""Seconds."""
TICK = os.sysconf("SC_CLK_TCK")
OURS = ("engine", "PostgreSQL", "worker", "web", "serve")


@dataclass(frozen=True, slots=True)
class Sent:
    """Messages a second, and milliseconds of CPU for each, by process."""

    speed: float
    cpu: Mapping[str, float]

    @property
    def ours(self) -> float:
        """CPU of all but the sandbox."""
        return sum(self.cpu[name] for name in OURS)


def cpu_seconds(pid: int, into: dict[str, float] | None = None, name: str = "serve") -> dict[str, float]:
    """CPU time that `serve` and what it started have used so far, by process."""
    used = dict.fromkeys((*OURS, "sandbox"), 0.0) if into is None else into
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        # after the name in brackets; proc(5): utime, stime, cutime, cstime are fields 14 to 17
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        # PostgreSQL's sessions come and go. What others started and have waited for was before.
        used[name] += sum(map(int, fields[11:15] if name == "PostgreSQL" else fields[11:13])) / TICK
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                line = Path(f"/proc/{child}/cmdline").read_bytes().decode()
                found = re.search(r"chatwren-(engine|sandbox)|(postgres)|chatwren\0(web|worker)", line)
                kind = next(filter(None, found.groups())) if found else name
                cpu_seconds(int(child), used, "PostgreSQL" if kind == "postgres" else kind)
    return used


async def put(db: Database, accounts: int, each: int, *, due: str) -> datetime:
    """So many messages for each of so many accounts, each to one recipient of the account's own.

    Args:
        due: SQL of when each is due, of `since`.

    Returns:
        That time: soon, so that writing them down is over by then.
    """
    async with db.connection() as connection:
        since: datetime = await connection.fetchval("SELECT now()") + STARTS_IN
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
    return since


async def send(db: Database, served: Served, accounts: int, each: int) -> Sent:
    """Send what is due at once: until the last acknowledgement, and CPU until the last receipt is stored."""
    since = await put(db, accounts, each, due="since")
    await until(db, f"SELECT now() > '{since}'::timestamptz - interval '0.2 seconds'")
    before = cpu_seconds(served.pid)
    # Asking costs CPU as well.
    await until(db, f"SELECT NOT EXISTS (SELECT FROM message WHERE due = '{since}' AND read_at IS NULL)", every=0.5)
    after = cpu_seconds(served.pid)
    async with db.connection() as connection:
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM max(sent_at) - $1)::float8 FROM message WHERE due = $1", since
        )
    count = accounts * each
    return Sent(count / seconds, {name: (after[name] - before[name]) / count * 1000 for name in after})


async def rush(db: Database) -> list[float]:
    """How late messages are that become due within one second: p50 and p99 in seconds."""
    start = await put(db, RUSH_ACCOUNTS, RUSH // RUSH_ACCOUNTS, due="since + random() * interval '1 second'")
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


async def greet(db: Database, served: Served) -> None:
    """Each recipient writes to its account, and is answered: their session is settled, as that of the loop's."""
    async with db.connection() as connection:
        phones = [row["phone"] for row in await connection.fetch("SELECT phone FROM account")]
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        for phone in phones:
            answer = await client.post(
                f"{served.phones}/phones/9197{phone[-8:]}/messages", json={"to": phone, "text": "hello"}
            )
            assert answer.is_success, answer.text
    await until(db, f"SELECT count(*) = {len(phones)} FROM inbound")
    await send(db, served, len(phones), 2)


async def loop_in_go(server: str, accounts: int) -> float:
    """Sends a second of a loop that calls the engine's send, as many for as many accounts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tools" / "go"), "test", "-run=^$", "-benchtime=1x"),
        *(f"-bench=^BenchmarkSends$/^accounts={accounts}$", "./cmd/engine"),
        env=os.environ | {VARIABLE: server},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    found = re.search(r"([\d.]+) sends/s", said)
    assert found is not None, said
    return float(found[1])


def report(size: Size, loop: Sequence[float], sent: Sequence[Sent]) -> list[str]:
    """Print it; what is out of bounds."""
    ratio = statistics.median(mine.speed / theirs for mine, theirs in zip(sent, loop, strict=True))
    ours = statistics.median(one.ours for one in sent)
    each = ", ".join(f"{name} {statistics.median(one.cpu[name] for one in sent):.2f}" for name in sent[0].cpu)
    print(
        f"{size.accounts} accounts, messages a second: {statistics.median(one.speed for one in sent):.0f} through the "
        f"worker, {statistics.median(loop):.0f} by a loop in Go; ratio {ratio:.2f}\n"
        f"  CPU {ours:.2f} ms a message ({each})"
    )
    problems = []
    if ratio < size.ratio:
        problems.append(f"{size.accounts} accounts: the ratio is under {size.ratio}")
    if ours > size.cpu:
        problems.append(f"{size.accounts} accounts: the CPU is over {size.cpu} ms")
    return problems


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is out of bounds."""
    late: list[list[float]] = []
    found: dict[Size, tuple[list[float], list[Sent]]] = {size: ([], []) for size in SIZES}
    async with (
        serve(folder) as served,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        await link_accounts(db, served, max(size.accounts for size in SIZES))
        await greet(db, served)
        for _ in range(ROUNDS):
            late.append(await rush(db))
            for size, (loop, sent) in found.items():
                sent.append(await send(db, served, size.accounts, size.each))
                loop.append(await loop_in_go(url, size.accounts))
    problems = [problem for size, (loop, sent) in found.items() for problem in report(size, loop, sent)]
    p50, p99 = (statistics.median(one[side] for one in late) for side in (0, 1))
    print(f"{RUSH:,} due in one second over {RUSH_ACCOUNTS} accounts: late by p50 {p50:.2f} s, p99 {p99:.2f} s")
    if p99 > LATEST_P99:
        problems.append(f"the lateness is over {LATEST_P99} s")
    return problems


if __name__ == "__main__":
    command.run(measure, __doc__)
