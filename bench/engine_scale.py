"""What accounts cost an engine: memory, the time until all are connected, sends in a second and CPU for each.

    python -m bench.engine_scale [--few 20] [--accounts 100] [--messages 20]

One worker and its engine, on a PostgreSQL that waits for the disk. Memory is that of an engine that was started anew
(after kill -9) and has all accounts connected. The messages of all accounts are due at the same moment and go without
pauses; once with recipients that never answer, once with such as report delivery and reading at once.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.e2e.house import House, Person, Program, a_number, house, postgres_on_disk
from tests.e2e.traffic import linked
from tests.waiting import until

LINKED_AT_ONCE = 20
ACCEPTING_AT_ONCE = 8
ACCEPTED_IN_A_SECOND = 50  # at least
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int, *, with_children: bool = False) -> float:
    """CPU time that a process has used so far, and its children, living and dead."""
    # after the name in brackets; proc(5): utime, stime, cutime, cstime are fields 14 to 17
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    used = sum(map(int, fields[11:15] if with_children else fields[11:13])) / TICK
    if with_children:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError):  # it has ended since, and counts as a dead one next time
                used += cpu_seconds(int(child))
    return used


def megabytes(pid: int) -> float:
    """Resident memory."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


async def restart_engine(home: House, worker: Program, accounts: int) -> float:
    """Kill the engine; the seconds until all accounts are connected again."""
    killed = time.monotonic()
    os.kill(await worker.engine(), signal.SIGKILL)

    async def connected(count: int) -> bool:
        return (await home.phones.stats())["connected"] == count

    await until(lambda: connected(0), what="the loss of all connections")
    await until(lambda: connected(accounts), seconds=120, what="all connections")
    return time.monotonic() - killed


class Round:
    """All accounts send at once, each to a recipient of its own."""

    def __init__(self, home: House, worker: Program, people: Sequence[Person], messages: int) -> None:
        self._home = home
        self._worker = worker
        self._people = people
        self._messages = messages

    async def run(self, *, receipts: str) -> None:
        """Run it, and print what it took. `receipts`: none or read."""
        due = datetime.now(UTC) + timedelta(seconds=5 + len(self._people) * self._messages / ACCEPTED_IN_A_SECOND)
        recipients = [a_number() for _ in self._people]
        for recipient in recipients:
            await self._home.phones.set(recipient, receipts=receipts)
        await self._accept(recipients, due)
        assert datetime.now(UTC) < due, "this machine accepts more slowly than was thought"
        before = await self._used()
        await until(lambda: self._done(recipients, receipts), seconds=600, what="the end of all messages")
        after = await self._used()
        count, seconds, again = (
            await self._home.sql(
                "SELECT count(*), extract(epoch FROM max(sent_at) - $2)::float8, sum(attempts - 1)"
                " FROM message WHERE recipient = ANY($1) AND status = 'sent'",
                recipients,
                due,
            )
        )[0]
        each = ", ".join(f"{name} {(after[name] - before[name]) / count * 1000:.2f}" for name in before)
        print(f"{count} messages, receipts {receipts}: {count / seconds:.0f} sent in a second, {again} sent again")
        print(
            f"  CPU ms a message: {each}; all {sum(after[name] - before[name] for name in before) / count * 1000:.1f}"
        )

    async def _accept(self, recipients: Sequence[str], due: datetime) -> None:
        at_once = asyncio.Semaphore(ACCEPTING_AT_ONCE)

        async def schedule(person: Person, recipient: str) -> None:
            for number in range(self._messages):
                async with at_once:
                    answer = await person.http.post(
                        "/api/messages/schedule",
                        json={
                            "phoneId": f"+{recipient}",
                            "message": f"number {number}",
                            "scheduledTime": due.isoformat(),
                        },
                    )
                assert answer.is_success, answer.text

        await asyncio.gather(*(schedule(*one) for one in zip(self._people, recipients, strict=True)))

    async def _done(self, recipients: Sequence[str], receipts: str) -> bool:
        await asyncio.sleep(0.5)  # asking costs CPU too
        column = "read_at" if receipts == "read" else "sent_at"
        (row,) = await self._home.sql(
            f"SELECT count(*) FROM message WHERE recipient = ANY($1) AND {column} IS NOT NULL", recipients
        )
        return bool(row[0] == len(recipients) * self._messages)

    async def _used(self) -> dict[str, float]:
        postmaster = (self._home.folder / "postgres" / "postmaster.pid").read_text().split()[0]
        return {
            "engine": cpu_seconds(await self._worker.engine()),
            "PostgreSQL": cpu_seconds(int(postmaster), with_children=True),
            "worker": cpu_seconds(self._worker.process.pid),
            "sandbox": cpu_seconds(self._home.sandbox.process.pid),
        }


async def measure(*, few: int, accounts: int, messages: int) -> None:
    async with (
        postgres_on_disk() as (url, folder),
        house(url, folder) as home,
        contextlib.AsyncExitStack() as stack,
    ):
        worker = await home.worker()
        people: list[Person] = []

        async def link_up_to(count: int) -> None:
            while len(people) < count:
                await home.sql("DELETE FROM throttle")  # of registrations, which nothing here is about
                people.extend(await stack.enter_async_context(linked(home, min(LINKED_AT_ONCE, count - len(people)))))

        async def started_anew() -> float:
            seconds = await restart_engine(home, worker, len(people))
            memory = megabytes(await worker.engine())
            print(f"{len(people)} accounts: {memory:.0f} MB, all connected {seconds:.1f} s after kill -9")
            return memory

        await link_up_to(few)
        small = await started_anew()
        await link_up_to(accounts)
        large = await started_anew()
        print(f"a further account: {(large - small) / (accounts - few) * 1024:.0f} KB")
        for receipts in ("none", "read"):
            await Round(home, worker, people, messages).run(receipts=receipts)
        print(f"after that: {megabytes(await worker.engine()):.0f} MB")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--few", type=int, default=20)
    arguments.add_argument("--accounts", type=int, default=100)
    arguments.add_argument("--messages", type=int, default=20)
    given = arguments.parse_args()
    asyncio.run(measure(few=given.few, accounts=given.accounts, messages=given.messages))


if __name__ == "__main__":
    main()
