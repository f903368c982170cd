"""What 10,000 rows in one request cost, plain and with varied words, and what they cost others meanwhile.

    python bench/bulk.py [--check]

`chatwren web` and the embedded PostgreSQL run as in production; what a worker does with bulks runs in a process of its
own, as there. Printed are the time until the request is answered, the time until each row is accepted, and p50 and p99
of another user's sends, before and meanwhile. --check: exit 1 when p99 meanwhile is more times longer than its bound.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from accept import know, requests_of
from chatwren.service import bulk
from chatwren.store.database import Database
from parts import callers, command, system
from parts.callers import Load
from parts.system import Person

ROWS = 10_000
ROUNDS = 3
CALLERS = 4
ALONE_SECONDS = 3.0
BOUND = 6.0
"""How many times longer another user's p99 may be while a bulk runs. Two cores do the work of all."""

TEXT = "Hello {{name}}, thank you for shopping with us! Please let us know if you need help."
KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "varied": {"aiModifications": {"useSynonyms": True, "addEmojis": True}},
}


def lines(more: dict[str, object]) -> bytes:
    """The rows, each to a number of its own."""
    rows = (
        {"phoneId": f"+9198{number:08d}", "message": TEXT, "fields": {"name": f"friend {number}"}, **more}
        for number in range(ROWS)
    )
    return "\n".join(json.dumps(row) for row in rows).encode()


async def accept_all(url: str) -> None:
    """What a worker does with bulks."""
    async with Database.connect(url, size=2) as db:
        while True:
            began = time.perf_counter()
            busy = await bulk.accept_some(db, default_zone=None)
            await asyncio.sleep(min(time.perf_counter() - began, 0.1) if busy else 0.05)


async def run_bulk(db: Database, client: httpx.AsyncClient, body: bytes) -> tuple[float, float]:
    """Hand the rows over. Seconds until the answer, and until the last row is accepted."""
    began = time.perf_counter()
    answer = await client.post("/api/messages/bulk", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.is_success, answer.text
    answered = time.perf_counter() - began
    async with db.connection() as connection:
        while await connection.fetchval("SELECT EXISTS (SELECT FROM bulk WHERE ended_at IS NULL)"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        accepted = await connection.fetchval("SELECT count(message_id) FROM bulk_row")
        assert accepted == ROWS, accepted
        await connection.execute("TRUNCATE bulk, bulk_row")
        await connection.execute("DELETE FROM message WHERE lane IN ('bulk', 'cold')")
    return answered, time.perf_counter() - began


async def measure(folder: Path) -> list[str]:
    """Print how it went; whether p99 of others is more times longer meanwhile than it may be."""
    worst = 0.0
    async with system.postgres(folder) as url, Database.connect(url) as db, system.web(url, folder) as web:
        sender, other = await system.sign_up(db, 2)
        await know(db)
        worker = await asyncio.create_subprocess_exec(sys.executable, __file__, "--accept", url)
        headers = {"cookie": sender.cookie}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{web.port}", headers=headers, timeout=120, trust_env=False
        ) as client:
            print("rows      answered s  accepted s  rows/s   others' p50, p99 ms: alone, meanwhile    p99 ratio")
            for kind, more in KINDS.items():
                body = lines(more)
                await run_bulk(db, client, body)  # tables are read, plans are made
                rounds = [await run_round(db, client, other, body) for _ in range(ROUNDS)]
                worst = max(worst, report(kind, rounds))
        worker.terminate()
        await worker.wait()
    return [f"others' p99 is {worst:.1f} times longer"] if worst > BOUND else []


@dataclass(frozen=True, slots=True)
class Round:
    """One bulk: seconds until its answer and until its last row, and how others fared alone and meanwhile."""

    answered: float
    accepted: float
    alone: Load
    meanwhile: Load

    @property
    def ratio(self) -> float:
        """How many times longer p99 of others is meanwhile."""
        return self.meanwhile.percentile(99) / self.alone.percentile(99)


async def run_round(db: Database, client: httpx.AsyncClient, other: Person, body: bytes) -> Round:
    call = partial(
        callers.call, client.base_url.port or 0, [requests_of(other)], callers=CALLERS, seconds=ALONE_SECONDS
    )
    alone = await call()
    others = asyncio.create_task(call())
    answered, accepted = await run_bulk(db, client, body)
    return Round(answered, accepted, alone, await others)


def report(kind: str, rounds: Sequence[Round]) -> float:
    accepted = statistics.median(one.accepted for one in rounds)
    ratio = statistics.median(one.ratio for one in rounds)
    loads = [[one.alone for one in rounds], [one.meanwhile for one in rounds]]
    p50, p99 = (
        [statistics.median(load.percentile(percent) for load in side) for side in loads] for percent in (50, 99)
    )
    print(
        f"{kind:9} {statistics.median(one.answered for one in rounds):10.2f} {accepted:11.2f} {ROWS / accepted:7.0f}"
        f" {p50[0]:18.1f} {p99[0]:6.1f} {p50[1]:10.1f} {p99[1]:6.1f} {ratio:16.1f}",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    if sys.argv[1:2] == ["--accept"]:
        asyncio.run(accept_all(sys.argv[2]))
    else:
        command.run(measure, __doc__)
