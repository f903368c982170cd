"""Workers, engines and PostgreSQL are killed and frozen while messages flow and WhatsApp misbehaves."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Awaitable, Callable
from random import Random
from uuid import UUID

import pytest

from chatwren.settings import Settings
from tests.chaos.conftest import CLOCKS, Postgres, Scale
from tests.chaos.crowd import Letter, Member, audit, settled
from tests.e2e.house import House, Program
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]

LEASE = Settings(_env_file=None).lease_seconds
CANCELLED = 0.05
"""The share of messages that are cancelled as soon as they are accepted."""
LANES = ("urgent", "normal", "normal", "bulk")
FAULTS: dict[str, tuple[str, int]] = {
    "drop": ("sender", 0),
    "no_ack": ("sender", 0),
    "slow_ack": ("sender", 2000),
    "late_receipts": ("friend", 5000),
    "repeat": ("friend", 0),
}
"""Kinds of fault: whose phone they strike, and for how many milliseconds at most."""
_BETWEEN_FAULTS_SECONDS = 0.25


class Storm:
    """Messages, and what happens meanwhile: one disaster after the other, with faults all the time."""

    def __init__(self, home: House, postgres: Postgres, crowd: list[Member], scale: Scale) -> None:
        self.home = home
        self.postgres = postgres
        self.crowd = crowd
        self.scale = scale
        self.random = Random(5)  # noqa: S311 - which disaster is next, not secrets
        self.workers = dict(zip(home.workers, CLOCKS, strict=True))  # with what is wrong with their clocks
        self.letters: dict[Member, list[Letter]] = {member: [] for member in crowd}
        self.takeovers: list[float] = []
        self.faults = 0
        self._wanted: dict[Member, asyncio.Queue[str]] = {member: asyncio.Queue() for member in crowd}
        self._to_write = itertools.cycle(crowd)
        self._written = 0

    async def rage(self) -> None:
        """All disasters, in an order of chance, each while a part of the messages is on its way; then the rest."""
        disasters: list[Callable[[], Awaitable[None]]] = [
            *[self.kill_worker] * self.scale.worker_kills,
            *[self.kill_engine] * self.scale.engine_kills,
            *itertools.islice(
                itertools.cycle([self.freeze_both, self.freeze_worker, self.freeze_engine]), self.scale.freezes
            ),
            *[self.kill_database] * self.scale.database_kills,
        ]
        self.random.shuffle(disasters)
        part = self.scale.messages // (len(disasters) + 1)
        async with asyncio.TaskGroup() as group:
            meanwhile = [group.create_task(work) for work in (self._misbehave(), *map(self._write, self.crowd))]
            for disaster in disasters:
                self._want(part)
                await self._flow(part // 5)
                await disaster()
            self._want(self.scale.messages - self._written)
            for wanted in self._wanted.values():
                await wanted.join()
            for task in meanwhile:
                task.cancel()
        await self.home.phones.end_faults()
        await settled(self.home, seconds=120 + self.scale.messages / 50)

    # --- disasters ----------------------------------------------------------------------------------------------------

    async def kill_worker(self) -> None:
        """SIGKILL; another is started at once, as `serve` does."""
        victim, clock = await self._victim()
        await self._taken_over_after(lambda: victim.signal(signal.SIGKILL), victim, replaced_by=clock)

    async def kill_engine(self) -> None:
        """SIGKILL; its worker starts another."""
        victim, clock = await self._victim()
        engine = await victim.engine()
        os.kill(engine, signal.SIGKILL)
        await self._has_another_engine(victim, engine)
        self.workers[victim] = clock

    async def freeze_worker(self) -> None:
        """SIGSTOP for longer than the lease. Its engine lives on, and so does it when it thaws."""
        await self._freeze(engine_too=False)

    async def freeze_both(self) -> None:
        """SIGSTOP of a worker and its engine for longer than the lease."""
        await self._freeze(engine_too=True)

    async def freeze_engine(self) -> None:
        """SIGSTOP until its worker ends it."""
        victim, clock = await self._victim()
        engine = await victim.engine()
        os.kill(engine, signal.SIGSTOP)
        await self._has_another_engine(victim, engine)
        self.workers[victim] = clock

    async def kill_database(self) -> None:
        """SIGKILL of the postmaster; it is away for a while."""
        await self.postgres.kill()
        await asyncio.sleep(self.random.uniform(0, LEASE))
        await self.postgres.start()
        await self._flow(len(self.crowd))

    async def _freeze(self, *, engine_too: bool) -> None:
        victim, clock = await self._victim()
        engine = await victim.engine()
        lives = _lives(victim)

        def stop() -> None:
            victim.signal(signal.SIGSTOP)
            if engine_too:
                os.kill(engine, signal.SIGSTOP)

        await self._taken_over_after(stop, victim)
        await self._flow(len(self.crowd))
        if engine_too:
            os.kill(engine, signal.SIGCONT)
        victim.signal(signal.SIGCONT)

        async def begun_anew() -> bool:
            return len(_lives(victim)) > len(lives)

        await until(begun_anew, seconds=60, every=0.2, what="the new life of the worker that was frozen")
        self.workers[victim] = clock

    async def _victim(self) -> tuple[Program, float]:
        """A worker that is not needed to notice: nobody judges before having been steady for a lease."""
        victim = self.random.choice(list(self.workers))
        clock = self.workers.pop(victim)

        async def judges() -> bool:
            others = [_lives(worker)[-1] for worker in self.workers if _lives(worker)]
            rows = await self.home.sql(
                "SELECT FROM worker WHERE id = ANY($1::text[]::uuid[]) AND healthy_since < now() - $2 * interval '1 s'"
                " AND heartbeat_at > now() - $2 * interval '0.3 s'",
                others,
                LEASE,
            )
            return bool(rows)

        async def owns() -> bool:
            assert victim.process.returncode is None, victim.log.read_text()
            return bool(_lives(victim) and await self._epochs_of(victim))

        await until(owns, seconds=60, every=0.2, what="a victim with accounts")
        await until(judges, seconds=60, every=0.2, what="a worker that may judge others")
        return victim, clock

    async def _epochs_of(self, worker: Program) -> dict[UUID, int]:
        """The accounts that a worker owns, with the epochs of its leases."""
        rows = await self.home.sql("SELECT account_id, epoch FROM lease WHERE worker_id = $1", _lives(worker)[-1])
        return {row[0]: row[1] for row in rows}

    async def _taken_over_after(
        self, blow: Callable[[], None], victim: Program, *, replaced_by: float | None = None
    ) -> None:
        before = await self._epochs_of(victim)
        began = time.monotonic()
        blow()
        if replaced_by is not None:
            self.workers[await self.home.worker(clock=replaced_by)] = replaced_by

        async def taken() -> bool:
            now = await self.home.sql("SELECT account_id, epoch FROM lease")
            return all(epoch > before.get(account, 0) for account, epoch in now)

        await until(taken, seconds=60, every=0.05, what="the takeover")
        self.takeovers.append(time.monotonic() - began)

    async def _has_another_engine(self, worker: Program, before: int) -> None:
        async def another() -> bool:
            return await worker.engine() != before

        await until(another, seconds=60, every=0.2, what="another engine")

    # --- messages and faults ------------------------------------------------------------------------------------------

    def _want(self, count: int) -> None:
        for _ in range(count):
            self._wanted[next(self._to_write)].put_nowait(f"number {self._written}")
            self._written += 1

    async def _write(self, member: Member) -> None:
        wanted = self._wanted[member]
        while True:
            letter = await member.send(await wanted.get(), lane=self.random.choice(LANES))
            self.letters[member].append(letter)
            if self.random.random() < CANCELLED:
                await member.cancel(letter)
            wanted.task_done()

    async def _flow(self, count: int) -> None:
        """Wait until so many more messages are sent, or none is left to send."""
        before: list[int] = []

        async def enough() -> bool:
            ((sent, left),) = await self.home.sql(
                "SELECT count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status <= 'sending')"
                " FROM message"
            )
            before.append(sent)
            return sent >= before[0] + count or (not left and all(one.empty() for one in self._wanted.values()))

        await until(enough, seconds=90, every=0.2, what=f"{count} more sent messages")

    async def _misbehave(self) -> None:
        while True:
            kind, (whose, most) = self.random.choice(list(FAULTS.items()))
            member = self.random.choice(self.crowd)
            phone = member.friend if whose == "friend" else member.person.number
            await self.home.phones.fault(kind, phone=phone, milliseconds=self.random.randint(0, most))
            self.faults += 1
            await asyncio.sleep(_BETWEEN_FAULTS_SECONDS)


def _lives(worker: Program) -> list[str]:
    """The ids under which a worker has lived."""
    return [one["worker"] for one in worker.said() if one["event"] == "worker.registered"]


async def test_each_message_arrives_once_and_in_order(
    home: House, postgres_to_kill: Postgres, crowd: list[Member], scale: Scale, figures: list[str]
) -> None:
    storm = Storm(home, postgres_to_kill, crowd, scale)
    began = time.monotonic()
    await storm.rage()
    seconds = time.monotonic() - began
    found = await audit(home, storm.letters)
    ((again,),) = await home.sql("SELECT sum(attempts - 1) FROM message WHERE attempts > 1")
    fates = [letter.cancelled for sent in storm.letters.values() for letter in sent]
    figures += [
        (
            f"storm: {len(fates)} messages of {len(crowd)} accounts in {seconds:.0f} s, {fates.count(True)} cancelled; "
            f"kill -9 of {scale.worker_kills} workers, {scale.engine_kills} engines, {scale.database_kills} times "
            f"PostgreSQL; {scale.freezes} freezes, {storm.faults} faults"
        ),
        (
            f"storm: {found.arrived} arrived, {len(found.twice)} bodies twice, {len(found.missing)} missing, "
            f"{len(found.disordered)} out of order, {len(found.cancelled)} cancelled ones arrived; "
            f"{again} attempts again, {found.again} repeated arrivals under the same id"
        ),
        f"storm: takeovers after {', '.join(f'{one:.1f}' for one in sorted(storm.takeovers))} s (lease {LEASE:g} s)",
    ]
    assert found.is_clean(), found
    assert await home.sql("SELECT id, error_code FROM message WHERE status = 'failed'") == []
    assert max(storm.takeovers) <= LEASE + scale.takeover_seconds
