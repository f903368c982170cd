"""A worker's consumer at work, with an engine that says what a test tells it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from uuid import UUID

import asyncpg
import pytest

from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.facts import State
from chatwren.delivery import consumer
from chatwren.delivery.consumer import Consumer
from chatwren.domain.outcomes import Recorded
from chatwren.settings import Settings
from chatwren.store.database import Database
from tests.rows import Rows
from tests.unit.delivery.test_claim import claim
from tests.unit.fake_engine import FakeEngine
from tests.waiting import until

BAD = "BAD"
REFUSED = "RAISE EXCEPTION 'planted'"


class Scene:
    """A worker's consumer at work, with Alice's and Bob's accounts, which the worker owns."""

    def __init__(self, db: Database, rows: Rows, engine: FakeEngine) -> None:
        self.db = db
        self.rows = rows
        self.engine = engine
        self.recorded: list[Recorded] = []
        self.states: list[tuple[UUID, State]] = []
        self.asked_of: set[UUID] = set()
        self.recorded_all = asyncio.Event()
        self.recorded_all.set()
        self.worker: UUID
        self.alice: UUID
        self.bob: UUID

    async def begin(self) -> None:
        self.alice, self.bob = await self.rows.account("alice"), await self.rows.account("bob")
        self.worker = await self.rows.worker()
        await self.rows.own(self.worker)

    async def recording_over(self, accounts: Collection[UUID]) -> None:
        """Outcomes of these accounts' messages are on disk."""
        self.asked_of |= set(accounts)
        await self.recorded_all.wait()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        settings = Settings(_env_file=None, expire_after_hours=1)
        at_work = Consumer(
            self.db,
            self.worker,
            settings=settings,
            recording_over=self.recording_over,
            on_recorded=self.recorded.append,
            on_state=lambda account, state: self.states.append((account, state)),
        )
        async with self.engine.running() as engine:
            task = asyncio.create_task(at_work.follow(engine))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def plant(
        self,
        what: str = REFUSED,
        *,
        table: str = "inbound",
        when: str = f"NEW.wa_id = '{BAD}'",
        at_commit: bool = False,
    ) -> None:
        """Have PostgreSQL do this for a row. `tries` counts how often, whatever becomes of the transaction."""
        kind = "CONSTRAINT TRIGGER planted AFTER" if at_commit else "TRIGGER planted BEFORE"
        await self.rows.one("CREATE SEQUENCE tries")
        await self.rows.one(
            "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE try bigint; BEGIN"
            f" IF {when} THEN try := nextval('tries'); {what}; END IF; RETURN NEW; END $$"
        )
        await self.rows.one(
            f"CREATE {kind} INSERT ON {table} {'DEFERRABLE INITIALLY DEFERRED' * at_commit}"
            " FOR EACH ROW EXECUTE FUNCTION planted()"
        )

    async def tries(self) -> int:
        return int(await self.rows.one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries"))

    async def say(self, *events: pb.Event) -> list[int]:
        """Send events and wait until all are acknowledged. Returns their numbers."""
        numbers = await self.engine.say(*events)
        await until(lambda: not self.engine.waiting())
        return numbers

    async def stored(self, account: UUID) -> set[str]:
        ids: list[str] | None = await self.rows.one(
            "SELECT array_agg(wa_id) FROM inbound WHERE account_id = $1", account
        )
        return set(ids or ())

    async def letters(self) -> list[asyncpg.Record]:
        async with self.db.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM dead_letter ORDER BY id")
            return rows

    async def account(self, account: UUID) -> asyncpg.Record:
        async with self.db.connection() as connection:
            row: asyncpg.Record = await connection.fetchrow("SELECT * FROM account WHERE id = $1", account)
            return row


def acked(scene: Scene, numbers: list[int]) -> None:
    """Each of these once, and as stored."""
    assert sorted(one for one in scene.engine.acks if one[0] in numbers) == [(number, True) for number in numbers]


async def blocked(scene: Scene) -> int | None:
    """The session that waits for a lock."""
    pid: int | None = await scene.rows.one(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return pid


async def claimed(scene: Scene, account: UUID) -> UUID:
    await scene.rows.message(account)
    (one,) = await claim(scene.db, scene.worker, account)
    return one.id


async def at_work(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Such a worker, which does not pause for long."""
    monkeypatch.setattr(consumer, "_PAUSE_SECONDS", 0.02)
    made = Scene(db, rows, FakeEngine())
    await made.begin()
    return made
