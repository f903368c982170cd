"""What the migrations to quick pages and searches do to a database of 1,000,000 messages that is in use.

    python bench/migration.py [--check]

A database of the revision before them, with 1,000,000 messages, of which 200,000 are due tomorrow, 100,000 contacts
and 200,000 messages that arrived, of 20 accounts. All the time messages are accepted (half of them to new contacts),
claimed and recorded, and others arrive, by what does so in production; meanwhile `chatwren migrate` runs. Printed are
how long its steps took, and how long that traffic took before, meanwhile and after. --check: exit 1 when any took
longer than 1 s.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import uvloop

from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision
from chatwren.machine.throwaway import fresh_database
from chatwren.store import messages
from chatwren.store.database import CLASHES, Connection, Database
from chatwren.store.fenced import leases, workers
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Outcome
from chatwren.store.messages import NewRow
from chatwren.store.migrate import migrate
from parts import command, system
from parts.system import Person

BEFORE = "0019"
ACCOUNTS = 20
MESSAGES, CONTACTS, INBOUND = 1_000_000, 100_000, 200_000
QUIET_SECONDS = 15.0
PAUSE_SECONDS = 0.02
LONGEST = 1.0
"""Seconds."""
DAY = timedelta(days=1)
SENT = Decision(Status.SENT, fact=True)

FILL = {
    "contacts": """
      INSERT INTO contact (account_id, address, jid, checked_at, reached_at)
      SELECT id, (4915200000000 + n)::text, 4915200000000 + n || '@s.whatsapp.net', now(), now()
      FROM account, generate_series(1, $1::integer) AS n
    """,
    "messages": """
      INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, accepted_at, due,
                           wa_id, status, claimed_at, sent_at)
      SELECT uuidv7(), user_id, id, 'msg', 'phone', (4915200000000 + n % 5000)::text, 'Your table is booked.',
             'Your table is booked.', now(), now() + (s.status = 'waiting')::integer * interval '1 day',
             'sent to ' || user_id || n, s.status, CASE s.status WHEN 'sent' THEN now() END,
             CASE s.status WHEN 'sent' THEN now() END
      FROM account, generate_series(1, $1::integer) AS n, LATERAL (
        SELECT (CASE WHEN n % 5 = 0 THEN 'waiting' ELSE 'sent' END)::message_status AS status
      ) AS s
    """,
    # A third of those who write hide their number at first; their messages come in by threes.
    "inbound": """
      INSERT INTO inbound (account_id, chat, sender, wa_id, chat_phone, from_me, is_group, at, received_at, text, raw)
      SELECT id, chat, chat, uuidv7()::text, CASE WHEN n % 3 <> 0 OR n % 2 = 0 THEN number END, false, false,
             now() - interval '10 days' + n * interval '10 s', now() - interval '10 days' + n / 3 * interval '30 s',
             'Thank you.', decode(repeat('00', 300), 'hex')
      FROM account, generate_series(1, $1::integer) AS n, LATERAL (
        SELECT CASE WHEN n % 3 = 0 THEN 7000000 + n % 5000 || '@lid'
               ELSE 4915200000000 + n % 5000 || '@s.whatsapp.net' END, (4915200000000 + n % 5000)::text
      ) AS who (chat, number)
    """,
}

# What arrives, in short.
ARRIVAL = """
  WITH stored AS (
    INSERT INTO inbound (account_id, chat, sender, wa_id, chat_phone, from_me, is_group, at, text, raw)
    VALUES ($1, $2, $2, $4, $3, false, false, now(), 'Thank you.', '')
    RETURNING account_id, chat_phone, at
  )
  INSERT INTO contact (account_id, address, name, wrote_at) SELECT account_id, chat_phone, 'Dora', at FROM stored
  ON CONFLICT (account_id, address) DO UPDATE SET name = excluded.name, wrote_at = excluded.wrote_at
"""


@dataclass
class Times:
    """Seconds that something took each time."""

    took: list[float] = field(default_factory=list)

    def line(self) -> str:
        """How often, and p50, p99 and most in ms."""
        ordered = sorted(self.took)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
        return f"{len(ordered):6} {p50:8.1f} {p99:8.1f} {ordered[-1] * 1000:8.1f}"


class Traffic:
    """What goes on beside the migration. `times` are those of the phase that is on."""

    def __init__(self, db: Database, people: list[Person], worker: UUID) -> None:
        self._db = db
        self._people = people
        self._worker = worker
        self.times = {name: Times() for name in ("accept", "claim", "record", "arrive")}

    def take_times(self) -> dict[str, Times]:
        """Those of the phase that ends, and begin another."""
        taken, self.times = self.times, {name: Times() for name in self.times}
        return taken

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._accept, self._send, self._arrive):
                group.create_task(self._repeat(work))

    async def _repeat(self, work: Callable[[Person], Awaitable[None]]) -> None:
        while True:
            await work(random.choice(self._people))  # noqa: S311 - nobody has to guess it
            await asyncio.sleep(PAUSE_SECONDS)

    async def _timed(self, name: str, work: Callable[[Connection], Awaitable[object]]) -> None:
        began = time.perf_counter()
        while True:
            with contextlib.suppress(*CLASHES):  # as who does it in production
                async with self._db.transaction() as connection:
                    await work(connection)
                break
        self.times[name].took.append(time.perf_counter() - began)

    async def _accept(self, person: Person) -> None:
        new = random.random() < 0.5  # noqa: S311
        number = 4916000000000 + random.randrange(10**9) if new else 4915200000000 + random.randrange(5000)  # noqa: S311
        moment = datetime.now(UTC)
        row = NewRow(
            id=uuid7(),
            user_id=person.user,
            account_id=person.account,
            prefix="msg",
            recipient_kind="phone",
            recipient=str(number),
            text="Hello",
            original="Hello",
            modifications=None,
            changes=None,
            media_id=None,
            lane="normal",
            accepted_at=moment,
            due=moment,
            expires_at=None,
            wa_id=whatsapp_message_id(),
        )
        await self._timed("accept", lambda connection: messages.insert(connection, [row]))

    async def _send(self, person: Person) -> None:
        claimed: list[fenced_messages.Claimed] = []

        async def claim(connection: Connection) -> None:
            found = await fenced_messages.claim(
                connection,
                self._worker,
                [person.account],
                fenced_messages.Terms(guard=timedelta(seconds=30), contact_age=DAY, upload_age=DAY),
            )
            claimed[:] = found.taken

        await self._timed("claim", claim)
        if claimed:
            (one,) = claimed
            outcome = Outcome(one.id, one.account, one.epoch, SENT, first=one.first)
            await self._timed("record", lambda connection: fenced_messages.record(connection, self._worker, [outcome]))

    async def _arrive(self, person: Person) -> None:
        number = random.randrange(5000)  # noqa: S311
        chat = f"{7000000 + number}@lid"
        phone, wa_id = str(4915200000000 + number), whatsapp_message_id()
        await self._timed("arrive", lambda connection: connection.execute(ARRIVAL, person.account, chat, phone, wa_id))


async def fill(db: Database) -> tuple[list[Person], UUID]:
    """The accounts, linked and owned by a worker, and what they have."""
    people, worker = await system.sign_up(db, ACCOUNTS), uuid4()
    async with db.transaction() as connection:
        await workers.register(connection, worker, "bench")
        await leases.claim(connection, worker, limit=ACCOUNTS)
        await connection.execute(
            "UPDATE account SET connected = true, pacing_gap = '0', pacing_jitter = '0', cold_most = 0"
        )
    for what, count in (("contacts", CONTACTS), ("messages", MESSAGES), ("inbound", INBOUND)):
        async with db.connection() as connection:
            await connection.execute(FILL[what], count // ACCOUNTS, timeout=1200)
    async with db.connection() as connection:
        await connection.execute("VACUUM ANALYZE", timeout=1200)
    return people, worker


async def upgrade(url: str) -> None:
    """Run `chatwren migrate`, and print what it tells of its steps."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatwren", "migrate"),
        env=os.environ | {"DATABASE_URL": url, "CHATWREN_LOG_FORMAT": "json"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    print(f"chatwren migrate: {time.monotonic() - began:.1f} s, of which")
    for line in said.splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if told["event"] == "migration.step":
                print(
                    f"  {told['what']:24} {told['seconds']:6.1f} s"
                    + (f"  {told['rows']:9,} rows" if told["rows"] else "")
                )
            else:
                print(f"  {told['event']}: {told.get('error', '')}")


async def measure(folder: Path) -> list[str]:
    """Print how it went; whether anything took too long while it was migrated."""
    async with system.postgres(folder) as server, fresh_database(server) as url:
        await migrate(url, to=BEFORE)
        async with Database.connect(url) as db:
            traffic = Traffic(db, *await fill(db))
            running = asyncio.create_task(traffic.run())
            try:
                phases = {}
                await asyncio.sleep(QUIET_SECONDS)
                phases["before"] = traffic.take_times()
                await upgrade(url)
                phases["meanwhile"] = traffic.take_times()
                await asyncio.sleep(QUIET_SECONDS)
                phases["after"] = traffic.take_times()
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
    print("                       times   p50 ms   p99 ms  most ms")
    for phase, times in phases.items():
        for name, one in times.items():
            print(f"{name:8} {phase:10} {one.line()}")
    longest = max(one for times in phases["meanwhile"].values() for one in times.took)
    return [f"something took {longest:.1f} s"] if longest > LONGEST else []


if __name__ == "__main__":
    command.run(measure, __doc__, loop=uvloop.run)
