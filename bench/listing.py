"""What a page of the queue costs a user of 1,000,000 messages with a queue, and one of 1,000 beside.

    python bench/listing.py [--check]

Over HTTP, one request after the other, from `chatwren web` as it runs in production. The large user has 100,000
contacts, and from the oldest on 450,000 messages sent or failed, 50,000 due, 450,000 scheduled and 50,000 due: their
account's pace holds them. Each page is asked for three times: of a web process that was asked before there was anything
(its plans are those of empty tables), of a new one (statistics still know nothing), and of one after ANALYZE. Nothing
is vacuumed. Printed are medians, and web's memory. --check: exit 1 when one takes longer than its bound.
"""

import contextlib
import time
from pathlib import Path
from uuid import UUID

from chatwren.domain.ids import message_public_id
from chatwren.service import housekeeping
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import callers, command, system
from parts.system import Person

LARGE = (("ended", 450_000), ("due", 50_000), ("later", 450_000), ("due", 50_000))
SMALL = (("ended", 400), ("due", 100), ("later", 400), ("due", 100))
CONTACTS = 100_000
STEP = 50_000
LIMIT = 10
SECONDS = 0.7
TABLES = ("account", "app_user", "contact", "media", "message", "session")
BOUNDS = {
    "first": 5.0,
    "status": 5.0,
    "status=queued, from": 10.0,
    "to": 5.0,
    "q of one": 30.0,
    "q of none": 30.0,
    "q of all": 30.0,
    "q of one, of one digit": 60.0,
    "q of a hundredth": 200.0,
}
"""Milliseconds, of the pages whose names begin so, the last that fits. None has the one in the middle by its number,
since PostgreSQL counts its way there. The number of one digit has few pieces, all of which many texts hold, and a page
from a cursor on looks both into what is due and into what is scheduled."""


async def fill(db: Database, person: Person, parts: tuple[tuple[str, int], ...]) -> list[UUID]:
    """Messages: so many of each kind, in this order, and contacts. The newest message of each part."""
    number = 0
    newest: list[UUID] = []
    async with db.connection() as connection:
        for kind, many in parts:
            for begin in range(number, number + many, STEP):
                await connection.execute(
                    """
                    INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original,
                                         accepted_at, due, wa_id, status, attempts, claimed_at, sent_at, ended_at,
                                         error_code)
                    SELECT uuidv7(), $1, $2, 'msg', 'phone', (4915200000000 + n % $6)::text,
                           'Hello, your table in the garden is booked. Order ' || n || ' ' || md5(n::text), 'Hello',
                           now() - interval '2 days',
                           CASE $5 WHEN 'later' THEN now() + interval '1 day' + n % 10000 * interval '1 min'
                             ELSE now() - n % 50000 * interval '1 s' END,
                           '3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18)), status,
                           1, now(), CASE status WHEN 'sent' THEN now() END, CASE status WHEN 'failed' THEN now() END,
                           CASE status WHEN 'failed' THEN 'rejected_479' END
                    FROM generate_series($3::integer + 1, $4::integer) AS n, LATERAL (
                      SELECT (CASE WHEN $5 <> 'ended' THEN 'waiting' WHEN n % 20 = 0 THEN 'failed' ELSE 'sent' END)
                             ::message_status AS status
                    ) AS s
                    """,
                    person.user,
                    person.account,
                    begin,
                    min(begin + STEP, number + many),
                    kind,
                    CONTACTS,
                    timeout=600,
                )
            number += many
            newest.append(
                await connection.fetchval(
                    "SELECT id FROM message WHERE user_id = $1 ORDER BY id DESC LIMIT 1", person.user
                )
            )
        await connection.execute(
            "INSERT INTO contact (account_id, address, reached_at)"
            " SELECT $1, (4915200000000 + n)::text, now() FROM generate_series(0, $2::integer - 1) AS n",
            person.account,
            min(CONTACTS, number),
            timeout=600,
        )
    return newest


def queries(newest: list[UUID], number: int) -> dict[str, str]:
    """The pages to ask for, by name, of somebody with so many messages; `newest` of each part of them."""
    ended, _, later, _ = (message_public_id("msg", one) for one in newest)
    return {
        "first": "page=1",
        **{f"status={one}": f"status={one}" for one in ("scheduled", "queued", "sending", "sent", "failed")},
        "status=queued, from what is scheduled on": f"status=queued&cursor={later}",
        "to": "to=%2B4915200000077",
        "to, status=sent": "to=%2B4915200000077&status=sent",
        "q of one": f"q=order+{number * 3 // 7}+",
        "q of one, of one digit": f"q=order+{number // 3}+",
        "q of none": "q=your+chair",
        "q of a hundredth": "q=77+",
        "q of all": "q=GARDEN",
        "middle": f"page={number // 2 // LIMIT + 1}",
        "cursor": f"cursor={ended}",
    }


def request(person: Person, query: str) -> bytes:
    return (
        f"GET /api/messages/queue?limit={LIMIT}&{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {person.cookie}\r\n\r\n"
    ).encode()


async def ask(web: system.Web, person: Person, pages: dict[str, str], *, seconds: float) -> dict[str, float]:
    """Milliseconds that each page takes, p50."""
    took = {}
    for name, query in pages.items():
        load = await callers.call(web.port, [[request(person, query)]], callers=1, seconds=seconds)
        took[name] = load.percentile(50)
    return took


async def measure(folder: Path) -> list[str]:
    """Print how it went; which pages take longer than they may."""
    took: dict[str, list[float]] = {}
    settings = Settings(_env_file=None, data_dir=folder)
    async with system.postgres(folder) as url, Database.connect(url) as db, contextlib.AsyncExitStack() as stack:
        people = await system.sign_up(db, 2)
        async with db.connection() as connection:
            for table in TABLES:
                await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            await connection.execute("ANALYZE")
        (folder / "old").mkdir()  # each has a log in its folder
        old = await stack.enter_async_context(system.web(url, folder / "old"))
        nothing = queries([UUID(int=0)] * 4, 0)
        for person in people:  # often enough for a plan that is kept
            await ask(old, person, nothing, seconds=0.2)
        before = old.memory
        newest = [await fill(db, person, parts) for person, parts in zip(people, (LARGE, SMALL), strict=True)]
        sizes = [sum(many for _, many in parts) for parts in (LARGE, SMALL)]
        await housekeeping.often(db, settings)  # as the worker does all the time
        began = time.perf_counter()
        while await housekeeping.prepare_search(db):
            pass
        print(f"texts prepared for searches in {time.perf_counter() - began:.0f} s", flush=True)

        async def of_both(web: system.Web) -> None:
            for person, last, size in zip(people, newest, sizes, strict=True):
                for name, p50 in (await ask(web, person, queries(last, size), seconds=SECONDS)).items():
                    took.setdefault(name, []).append(p50)

        await of_both(old)
        after = old.memory
        async with system.web(url, folder) as web:
            await of_both(web)
        async with db.connection() as connection:
            await connection.execute("ANALYZE", timeout=600)
        async with system.web(url, folder) as web:
            await of_both(web)
    print(f"ms, p50: of {sizes[0]:,} and {sizes[1]:,} messages   empty plans   no statistics    after ANALYZE")
    for name, times in took.items():
        print(f"{name:42}" + "".join(f"{time:8.1f}" for time in times))
    print(f"memory of web: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    bounds = {name: bound for name in took for begin, bound in BOUNDS.items() if name.startswith(begin)}
    return [f"{name} takes {max(took[name]):.1f} ms" for name, bound in bounds.items() if max(took[name]) > bound]


if __name__ == "__main__":
    command.run(measure, __doc__)
