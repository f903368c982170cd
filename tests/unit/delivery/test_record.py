"""What is recorded of attempts and receipts: facts whoever reports them, decisions only under the current epoch."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chatwren.domain.pacing import Pacing
from chatwren.store import dispatch, messages
from chatwren.store.database import Database
from chatwren.store.dispatch import Claimed, Outcome, Receipt, Recorded
from tests.unit.delivery.conftest import Rows
from tests.unit.delivery.test_claim import NO_CAP, claim

pytestmark = pytest.mark.anyio

PACING = Pacing(timedelta(seconds=10), timedelta(seconds=5), NO_CAP)
SECOND = timedelta(seconds=1)


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
        await self.rows.own(self.worker)
        await self.rows.message(self.account)
        (self.claimed,) = await claim(self.db, self.worker, self.account)
        return self

    def outcome(self, status: str, *, fact: bool = False, **more: object) -> Outcome:
        plain = Outcome(self.claimed.id, self.account, self.claimed.epoch, status, fact, timedelta())
        return replace(plain, **more)  # type: ignore[arg-type]

    async def record(self, *outcomes: Outcome, worker: UUID | None = None) -> Recorded:
        async with self.db.connection() as connection:
            return await dispatch.record(connection, worker or self.worker, outcomes, pacing=PACING)

    async def receive(self, *receipts: Receipt) -> Recorded:
        async with self.db.transaction() as connection:
            return await dispatch.apply_receipts(connection, receipts, pacing=PACING)

    def receipt(self, *, read: bool = False, ago: float = 0) -> Receipt:
        return Receipt(self.account, self.claimed.wa_id, read, datetime.now(UTC) - timedelta(seconds=ago))

    async def lose(self) -> None:
        """Another worker owns the account now."""
        await self.rows.one("DELETE FROM worker WHERE id = $1", self.worker)
        await self.rows.own(await self.rows.worker())

    async def pause(self) -> float:
        pause: timedelta = await self.rows.one("SELECT next_at - now() FROM account WHERE id = $1", self.account)
        return pause.total_seconds()

    async def is_free(self) -> bool:
        free: bool = await self.rows.one("SELECT in_flight IS NULL FROM account WHERE id = $1", self.account)
        return free


@pytest.fixture
async def scene(db: Database, rows: Rows) -> Scene:
    return await Scene(db, rows).begin()


async def test_sent(scene: Scene) -> None:
    recorded = await scene.record(scene.outcome("sent", fact=True))
    assert recorded.users == {scene.claimed.user}
    row = await scene.rows.get(scene.claimed.id)
    assert row["status"] == "sent"
    assert row["sent_at"] >= row["claimed_at"]
    assert await scene.is_free()
    assert 9 < await scene.pause() < 15
    assert recorded.pauses.keys() == {scene.account}


async def test_the_outcome_is_as_old_as_it_is_when_the_database_was_away(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True, age=timedelta(minutes=5)))
    row = await scene.rows.get(scene.claimed.id)
    assert timedelta(minutes=4) < datetime.now(UTC) - row["sent_at"] < timedelta(minutes=6)


async def test_never_left_waits_again(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", account_pause=SECOND))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["attempts"]) == ("waiting", 1)
    assert await scene.is_free()
    assert await scene.pause() < 1


async def test_unknown_stays_in_flight(scene: Scene) -> None:
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=2 * SECOND))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["unconfirmed"]) == ("sending", 1)
    assert not await scene.is_free()
    assert 1 < await scene.pause() < 2


async def test_a_recipient_backs_off_and_the_account_keeps_its_pace(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", recipient_pause=60 * SECOND))
    assert 9 < await scene.pause() < 15
    assert await scene.rows.one("SELECT retry_at > now() + interval '50 s' FROM contact")


async def test_a_restriction_is_kept_with_its_end(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", account_pause=3600 * SECOND, restriction=463))
    assert await scene.rows.one(
        "SELECT restriction_code = 463 AND restricted_until > now() + interval '59 min' FROM account"
    )


@pytest.mark.parametrize("status", ["waiting", "sending", "failed"])
async def test_a_decision_of_a_former_owner_counts_for_nothing(scene: Scene, status: str) -> None:
    await scene.lose()
    error = ("outcome_unknown", "x") if status == "failed" else None
    recorded = await scene.record(scene.outcome(status, error=error, account_pause=SECOND))
    assert recorded.users == frozenset()
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["unconfirmed"]) == ("sending", 1)  # 1: the takeover knows that its outcome is unknown


@pytest.mark.parametrize("status", ["sent", "failed"])
async def test_a_fact_of_a_former_owner_counts(scene: Scene, status: str) -> None:
    await scene.lose()
    error = ("rejected_479", "x") if status == "failed" else None
    await scene.record(scene.outcome(status, fact=True, error=error))
    assert await scene.rows.status(scene.claimed.id) == status
    assert await scene.is_free()


async def test_nothing_goes_backwards(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.record(scene.outcome("failed", fact=True, error=("rejected_479", "x")))
    await scene.record(scene.outcome("waiting", account_pause=SECOND))
    assert await scene.rows.status(scene.claimed.id) == "sent"


async def test_a_receipt_settles_an_unknown_outcome(scene: Scene) -> None:
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=60 * SECOND))
    recorded = await scene.receive(scene.receipt())
    assert recorded.pauses.keys() == {scene.account}
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"]) == ("sent", None)
    assert row["claimed_at"] <= row["sent_at"] <= row["delivered_at"]
    assert await scene.is_free()
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=60 * SECOND))
    assert await scene.rows.status(scene.claimed.id) == "sent"


@pytest.mark.parametrize("late", ["acknowledgement", "receipt"])
async def test_what_was_given_up_is_sent_after_all(scene: Scene, late: str) -> None:
    await scene.record(scene.outcome("failed", error=("outcome_unknown", "x"), unconfirmed=True))
    assert await scene.rows.status(scene.claimed.id) == "failed"
    if late == "receipt":
        await scene.receive(scene.receipt(read=True))
    else:
        await scene.record(scene.outcome("sent", fact=True))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["error_code"], row["ended_at"]) == ("sent", None, None)


async def test_another_failure_is_the_last_word(scene: Scene) -> None:
    await scene.record(scene.outcome("failed", fact=True, error=("rejected_479", "x")))
    await scene.receive(scene.receipt())
    assert await scene.rows.status(scene.claimed.id) == "failed"


async def test_what_may_be_out_stays_so_when_a_refusal_is_retried(scene: Scene) -> None:
    """The owner died in the middle of sending; its heir sent again and was refused."""
    await scene.lose()
    await scene.record(scene.outcome("failed", fact=True, error=("rejected_479", "x")))
    async with scene.db.connection() as connection:
        assert await messages.retry(connection, scene.claimed.user, scene.claimed.id)
        assert not await messages.cancel(connection, scene.claimed.user, scene.claimed.id)


async def test_receipts_in_any_order_and_again(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    read, delivered = scene.receipt(read=True, ago=-1), scene.receipt(ago=-1)
    assert (await scene.receive(read, delivered)).users == {scene.claimed.user}
    first = await scene.rows.get(scene.claimed.id)
    assert first["sent_at"] <= first["delivered_at"] <= first["read_at"]
    assert (await scene.receive(delivered, read)).users == frozenset()
    assert await scene.rows.get(scene.claimed.id) == first
    assert await scene.rows.one("SELECT reached_at IS NOT NULL FROM contact WHERE address = '4915200001'")


async def test_delivered_is_not_read(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt())
    assert (await scene.rows.get(scene.claimed.id))["read_at"] is None
    await scene.receive(scene.receipt(read=True))
    assert (await scene.rows.get(scene.claimed.id))["read_at"] is not None


async def test_an_attempt_whose_outcome_could_not_be_recorded_may_be_out(scene: Scene) -> None:
    """Nothing was written of the first attempt; the second certainly never left."""
    await scene.rows.one("UPDATE account SET next_at = now()")
    (again,) = await claim(scene.db, scene.worker, scene.account)
    assert (again.id, again.attempts, again.unconfirmed) == (scene.claimed.id, 2, 1)
    # That it may be out is counted once: not again with each attempt, nor by a takeover of what has an outcome.
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=SECOND))
    await scene.lose()
    assert (await scene.rows.get(scene.claimed.id))["unconfirmed"] == 2
