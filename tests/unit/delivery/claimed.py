"""One account with one message that its owner has just claimed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chatwren.domain.facts import Receipt
from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision, Recorded
from chatwren.domain.pacing import Pacing
from chatwren.domain.reasons import UNCONFIRMED
from chatwren.store import facts, messages
from chatwren.store.database import Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome
from tests.rows import NO_CAP, Rows, receipt_of
from tests.unit.delivery.test_claim import claim

PACING = Pacing(timedelta(seconds=10), timedelta(seconds=5), NO_CAP)


class Scene:
    """One account with one message that its owner has just claimed."""

    def __init__(self, db: Database, rows: Rows) -> None:
        self.db = db
        self.rows = rows
        self.worker: UUID
        self.account: UUID
        self.claimed: Claimed

    async def begin(self) -> "Scene":
        self.account, self.worker = await self.rows.account(), await self.rows.worker()
        await self.rows.pace(self.account, PACING)
        await self.rows.own(self.worker)
        await self.rows.message(self.account)
        (self.claimed,) = await claim(self.db, self.worker, self.account)
        return self

    def outcome(self, status: str, *, age: timedelta = timedelta(), **more: Any) -> Outcome:
        return Outcome(self.claimed.id, self.account, self.claimed.epoch, Decision(Status(status), **more), age=age)

    async def record(self, *outcomes: Outcome, worker: UUID | None = None) -> Recorded:
        async with self.db.connection() as connection:
            return await fenced_messages.record(connection, worker or self.worker, outcomes)

    async def receive(self, *receipts: Receipt) -> Recorded:
        async with self.db.connection() as connection:
            users, others = await facts.note_receipts(connection, receipts)
        async with self.db.transaction() as connection:
            recorded = await facts.apply_receipts(connection, others)
        return replace(recorded, users=recorded.users | users)

    async def note(self, *receipts: Receipt) -> list[Receipt]:
        """Apply the usual ones. Returns the others."""
        async with self.db.connection() as connection:
            return (await facts.note_receipts(connection, receipts))[1]

    def receipt(self, *, read: bool = False, ago: float = 0) -> Receipt:
        return receipt_of(self.claimed, read=read, at=datetime.now(UTC) - timedelta(seconds=ago))

    async def lose(self) -> None:
        """Another worker owns the account now."""
        await self.rows.one("DELETE FROM worker WHERE id = $1", self.worker)
        await self.rows.own(await self.rows.worker())

    async def pause(self) -> float:
        pause: timedelta = await self.rows.one("SELECT next_at - now() FROM account WHERE id = $1", self.account)
        return pause.total_seconds()

    async def steps(self) -> list[tuple[str, str | None]]:
        async with self.db.connection() as connection:
            return [(one.step, one.detail) for one in await messages.steps(connection, self.claimed.id)]

    async def again(self) -> Claimed:
        """The next attempt, at once."""
        await self.rows.one("UPDATE account SET next_at = now()")
        (claimed,) = await claim(self.db, self.worker, self.account)
        return claimed

    async def give_up_and_go_on(self) -> UUID:
        """The message is given up, and the next one is in flight: its id."""
        await self.record(self.outcome("failed", failure=UNCONFIRMED, unconfirmed=True))
        await self.rows.message(self.account)
        return (await self.again()).id

    async def is_free(self) -> bool:
        free: bool = await self.rows.one("SELECT in_flight IS NULL FROM account WHERE id = $1", self.account)
        return free
