"""What texts and files that are written to cost do to others: to their requests, and to their sends.

    python bench/hostile_texts.py [--check]

`chatwren serve --sandbox` runs without pacing. Eight tenants at once ask for previews, hand over files and hand over
bulks of the worst that we know; meanwhile one more asks for what is usual, and has 10 messages a second due. Printed
for each kind are p50 and p99 of that tenant's requests, how late its messages went, and the most memory that web and
worker have held. --check: exit 1 when a figure is out of bounds.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import httpx

from chatwren.machine.postgres import reach_database
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import callers, command
from parts.served import Served, link_accounts, serve, until
from parts.system import Person

ATTACKERS = 8
SECONDS = 15
DUE_A_SECOND = 10
ANSWERED_P99, LATE_P99, MOST_MEMORY = 1.0, 3.0, 512
"""Seconds, seconds and megabytes."""

EVERYTHING = {"useSynonyms": True, "addEmojis": True, "shuffleSentences": True}
USUAL = {"message": "Hi {{name}}, thank you for your order!", "fields": {"name": "Bob"}, "aiModifications": EVERYTHING}
SLOW = "{|}" * 990 + "Thank you for your order. " + "1:0" * 1_300
TEXTS = (
    {"message": SLOW, "aiModifications": EVERYTHING, "variants": 20},
    {"message": "{a|" * 10_000 + "😀" + "}" * 10_000, "aiModifications": EVERYTHING},
    {"message": "{{a}}" * 13_000, "fields": {"a": "é" * 16_000}},
    {"message": "{|}" * 3_000, "aiModifications": EVERYTHING, "variants": 20},
    {"message": "{" + "|" * 9_990 + "}", "aiModifications": EVERYTHING, "variants": 20},
    {"message": "thank you. " + "A. " * 1_350, "aiModifications": EVERYTHING, "variants": 20},
)
FILES = (
    ("text/csv", b"phoneId," + b",".join(b"c%d" % number for number in range(20_000)) + b"\n1\n"),
    ("text/csv", b'phoneId,message\n1,"' + b"x\n" * 5_000_000),
    ("application/x-ndjson", b'{"message": "' + b"x" * 9_000_000),
    ("application/x-ndjson", (b'{"a":[' + b"[]," * 80_000 + b"1]}\n") * 60),
    ("application/x-ndjson", b"\n" * 9_000_000),
)


Attack = Callable[[httpx.AsyncClient, Iterator[int]], Awaitable[httpx.Response]]


async def previews(client: httpx.AsyncClient, numbers: Iterator[int]) -> httpx.Response:
    return await client.post("/api/messages/preview", json=TEXTS[next(numbers) % len(TEXTS)])


async def files(client: httpx.AsyncClient, numbers: Iterator[int]) -> httpx.Response:
    kind, body = FILES[next(numbers) % len(FILES)]
    return await client.post("/api/messages/bulk", content=body, headers={"content-type": kind})


async def bulks(client: httpx.AsyncClient, numbers: Iterator[int]) -> httpx.Response:
    rows = (
        {"phoneId": f"+9197{next(numbers):08d}", "scheduledTime": "2027-10-01T00:00:00Z", **TEXTS[0]}
        for _ in range(100)
    )
    body = "\n".join(json.dumps(row) for row in rows)
    answer = await client.post("/api/messages/bulk", content=body, headers={"content-type": "application/x-ndjson"})
    await asyncio.sleep(1)
    return answer


async def nothing(client: httpx.AsyncClient, _: Iterator[int]) -> httpx.Response:
    await asyncio.sleep(1)
    return await client.get("/api/users/me")


async def attack(served: Served, person: Person, how: Attack, until_then: float) -> Counter[int]:
    """Attack as long as it lasts. How often which status was answered."""
    answered: Counter[int] = Counter()
    numbers = count()
    async with client_of(served, person) as client:
        while time.monotonic() < until_then:
            try:
                answered[(await how(client, numbers)).status_code] += 1
            except httpx.HTTPError:
                answered[0] += 1
    return answered


def client_of(served: Served, person: Person) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=served.web, headers={"cookie": person.cookie}, timeout=60, trust_env=False)


def usual(person: Person) -> list[bytes]:
    """What somebody asks for who means no harm."""
    to = {"phoneId": "+919700000000", "scheduledTime": "2027-10-01T00:00:00Z"}
    made = []
    for path, more in (("preview", {}), ("schedule", to)):
        body = json.dumps({**USUAL, **more}).encode()
        head = (
            f"POST /api/messages/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {person.cookie}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def put_due(db: Database, person: Person, seconds: int) -> None:
    """Messages that become due one after the other from now on."""
    async with db.connection() as connection:
        await connection.execute(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
            SELECT uuidv7(), a.user_id, a.id, 'msg', 'phone', '919811111111', n::text, n::text,
                   now() + n * interval '1 second' / $2::integer,
                   '3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18))
            FROM account a, generate_series(1, $3::integer) AS n WHERE a.user_id = $1
            """,
            person.user,
            DUE_A_SECOND,
            DUE_A_SECOND * seconds,
        )


async def late(db: Database, person: Person) -> float:
    """p99 of how late the person's messages went, in seconds, of those since this was asked last."""
    await until(
        db,
        f"SELECT NOT EXISTS (SELECT FROM message WHERE user_id = '{person.user}' AND due < now()"
        " AND status <= 'sending')",
    )
    async with db.connection() as connection:
        found: float = await connection.fetchval(
            """
            WITH gone AS (DELETE FROM message WHERE user_id = $1 AND status > 'sending' RETURNING sent_at - due AS late)
            SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM late))::float8 FROM gone
            """,
            person.user,
        )
    return found


def most_memory(served: Served, command: str) -> int:
    """The most that the process of that command has held, in megabytes."""
    children = Path(f"/proc/{served.pid}/task/{served.pid}/children").read_text().split()
    most = 0
    for child in children:
        if command.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            status = Path(f"/proc/{child}/status").read_text()
            most = max(most, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
    return most


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is out of bounds."""
    problems = []
    async with (
        serve(folder) as served,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        bob, *attackers = await link_accounts(db, served, 1 + ATTACKERS)
        await put_due(db, bob, 1)  # the first asks for keys
        await asyncio.sleep(2)
        await late(db, bob)
        print("attack      others' p50, p99 s    late p99 s    web, worker MB    answers to attackers")
        for how in (nothing, previews, files, bulks):
            await put_due(db, bob, SECONDS)
            end = time.monotonic() + SECONDS
            asking = asyncio.create_task(
                callers.call(int(served.web.rpartition(":")[2]), [usual(bob)], callers=1, seconds=SECONDS)
            )
            answered = await asyncio.gather(*(attack(served, one, how, end) for one in attackers))
            asked = await asking
            p50, p99 = asked.percentile(50) / 1000, asked.percentile(99) / 1000
            lateness = await late(db, bob)
            web, worker = most_memory(served, "web"), most_memory(served, "worker")
            total: Counter[int] = sum(answered, Counter())
            print(
                f"{how.__name__:10} {p50:12.3f} {p99:7.3f} {lateness:13.3f} {web:11} {worker:7}   {dict(total)}",
                flush=True,
            )
            if p99 > ANSWERED_P99 or lateness > LATE_P99 or max(web, worker) > MOST_MEMORY:
                problems.append(f"{how.__name__}: out of bounds")
    return problems


if __name__ == "__main__":
    command.run(measure, __doc__)
