"""An acknowledged message is recorded and its account's next one claimed in one go: what that takes and what not."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision
from chatwren.domain.pacing import Pacing
from chatwren.domain.reasons import UNCONFIRMED, rejected
from chatwren.store import facts, messages
from chatwren.store.database import Database
from chatwren.store.fenced import leases
from chatwren.store.fenced.going_on import GoneOn, go_on, is_usual
from chatwren.store.fenced.messages import Outcome, record
from tests.rows import NO_CAP, Rows, receipt_of
from tests.unit.delivery import claimed
from tests.unit.delivery.test_claim import TERMS, claim

pytestmark = pytest.mark.anyio


class Scene(claimed.Scene):
    """An account whose owner is sending a message to one who had been written to; others wait."""

    async def begin(self, name: str = "alice", worker: UUID | None = None) -> "Scene":
        self.account, self.worker = await self.rows.account(name), worker or await self.rows.worker()
        await self.rows.own(self.worker)
        await self.rows.one(
            "INSERT INTO contact (account_id, address, reached_at) VALUES ($1, '4915200001', now())", self.account
        )
        await self.rows.message(self.account, "first", due_in=-60)
        (self.claimed,) = await claim(self.db, self.worker, self.account)
        return self

    def acknowledged(self, *, age: timedelta = timedelta()) -> Outcome:
        one = self.claimed
        return Outcome(one.id, one.account, one.epoch, Decision(Status.SENT, fact=True), first=one.first, age=age)

    async def go_on(self, *others: "Scene", only: bool = False, age: timedelta = timedelta()) -> GoneOn:
        """`only`: claim for nobody."""
        scenes = (self, *others)
        async with self.db.connection() as connection:
            outcomes = [scene.acknowledged(age=age) for scene in scenes]
            may_claim = [] if only else [scene.account for scene in scenes]
            return await go_on(connection, self.worker, outcomes, may_claim, TERMS)

    async def holds(self, *, sent: bool = True, in_flight: UUID | None = None) -> None:
        """The message has gone out, and this one is in flight instead."""
        assert await self.rows.status(self.claimed.id) == ("sent" if sent else "sending")
        assert await self.rows.one("SELECT in_flight FROM account WHERE id = $1", self.account) == in_flight


@pytest.fixture
async def scene(db: Database, rows: Rows) -> Scene:
    return await Scene(db, rows).begin()


async def test_the_next_one_is_claimed(scene: Scene, rows: Rows) -> None:
    second = await rows.message(scene.account, "second")
    gone = await scene.go_on(age=timedelta(seconds=5))
    (taken,) = gone.taken
    assert (taken.id, taken.text, taken.attempts, taken.epoch) == (second, "second", 1, scene.claimed.epoch)
    assert (taken.first, taken.resend, taken.unconfirmed) == (False, False, 0)
    assert gone.recorded.users == {scene.claimed.user}
    assert not gone.recorded.pauses
    assert (list(gone.left), set(gone.idle)) == ([], set())
    await scene.holds(in_flight=second)
    was, now = await rows.get(scene.claimed.id), await rows.get(second)
    assert (was["epoch"], was["unconfirmed"]) == (None, 0)
    assert timedelta(seconds=4) < datetime.now(UTC) - was["sent_at"] < timedelta(seconds=30)
    assert (now["status"], now["attempts"], now["epoch"]) == ("sending", 1, scene.claimed.epoch)
    assert await rows.one("SELECT next_at - now() BETWEEN '20 s' AND '30 s' FROM account")


async def test_it_is_the_first_in_order(scene: Scene, rows: Rows) -> None:
    wanted = []
    for lane in ("bulk", "cold", "normal", "urgent"):
        await rows.message(scene.account, lane=lane, due_in=60)
        await rows.message(scene.account, lane=lane, to="4915200002", due_in=-3)
        wanted.append(await rows.message(scene.account, lane=lane, due_in=-2))
    await rows.one(
        "INSERT INTO contact (account_id, address, retry_at) VALUES ($1, '4915200002', now() + interval '1 min')",
        scene.account,
    )
    for message in reversed(wanted):
        (scene.claimed,) = (await scene.go_on()).taken
        assert scene.claimed.id == message
    assert set((await scene.go_on()).idle) == {scene.account}
    await scene.holds()


async def test_new_contacts_wait_while_there_is_no_room_for_them(scene: Scene, rows: Rows) -> None:
    await rows.message(scene.account, lane="cold", to="4915200003")
    await rows.one("UPDATE account SET cold_until = now() + interval '1 min'")
    assert set((await scene.go_on()).idle) == {scene.account}
    await scene.holds()


async def test_its_file_comes_with_it(scene: Scene, rows: Rows) -> None:
    second, media = await rows.message(scene.account), await rows.file()
    await rows.one("UPDATE message SET media_id = $2 WHERE id = $1", second, media)
    (taken,) = (await scene.go_on()).taken
    assert taken.file is not None
    assert (taken.file.id, taken.file.handle) == (media, None)


async def test_with_nothing_to_send_it_rests(scene: Scene, rows: Rows) -> None:
    await rows.message(scene.account, due_in=60)
    gone = await scene.go_on()
    assert (list(gone.taken), set(gone.idle), list(gone.left)) == ([], {scene.account}, [])
    assert gone.recorded.pauses.keys() == {scene.account}
    await scene.holds()


async def test_its_pause_is_kept_and_counts_from_the_claim(scene: Scene, rows: Rows) -> None:
    await rows.pace(scene.account, Pacing(timedelta(seconds=10), timedelta(), NO_CAP))
    await rows.message(scene.account)
    await rows.one("UPDATE message SET claimed_at = now() - interval '4 s' WHERE status = 'sending'")
    gone = await scene.go_on()
    assert (list(gone.taken), set(gone.idle)) == ([], {scene.account})
    assert timedelta(seconds=4) < gone.recorded.pauses[scene.account] <= timedelta(seconds=6)
    assert await rows.one("SELECT next_at - now() BETWEEN '4 s' AND '6 s' FROM account")
    await scene.holds()


@pytest.mark.parametrize(
    "state",
    [
        "connected = false",
        "held_reason = 'user'",
        "restricted_until = now() + interval '1 hour'",
        "logout_wanted_at = now()",
        "status = 'logged_out'",
    ],
)
async def test_an_account_that_may_not_send_goes_no_further(scene: Scene, rows: Rows, state: str) -> None:
    await rows.message(scene.account)
    await rows.one(f"UPDATE account SET {state}")
    assert list((await scene.go_on()).taken) == []
    await scene.holds()


async def test_it_claims_only_for_whom_it_is_told_to(scene: Scene, rows: Rows) -> None:
    await rows.message(scene.account)
    gone = await scene.go_on(only=True)
    assert (list(gone.taken), list(gone.left)) == ([], [])
    await scene.holds()


async def test_who_has_lost_the_account_records_the_fact_and_claims_nothing(scene: Scene, rows: Rows) -> None:
    await rows.message(scene.account)
    await rows.one("DELETE FROM worker WHERE id = $1", scene.worker)
    await rows.own(await rows.worker())
    assert list((await scene.go_on()).taken) == []
    await scene.holds()


async def test_who_loses_the_account_while_waiting_for_its_row_claims_nothing(
    scene: Scene, rows: Rows, db: Database
) -> None:
    """The statement has begun while the lease was its own."""
    await rows.message(scene.account)
    heir = await rows.worker()
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM account WHERE id = $1 FOR UPDATE", scene.account)
        going = asyncio.create_task(scene.go_on())
        await rows.until_blocked(going)
        await rows.one("UPDATE lease SET worker_id = $1, epoch = epoch + 1", heir)
    assert list((await going).taken) == []
    await scene.holds()


async def test_a_takeover_under_way_is_not_waited_for(scene: Scene, rows: Rows, db: Database) -> None:
    """It holds the lease, and will want the account."""
    await rows.message(scene.account)
    async with db.transaction() as connection:
        await connection.execute("UPDATE lease SET worker_id = NULL")
        async with asyncio.timeout(5):
            gone = await scene.go_on()
    assert list(gone.taken) == []
    await scene.holds()


async def test_what_it_has_claimed_is_in_doubt_for_who_takes_over(scene: Scene, rows: Rows, db: Database) -> None:
    second = await rows.message(scene.account)
    await scene.go_on()
    async with db.connection() as connection:
        await leases.release(connection, scene.worker, scene.account, scene.claimed.epoch)
    await rows.own(heir := await rows.worker())
    (again,) = await claim(db, heir, scene.account)
    assert (again.id, again.resend, again.unconfirmed) == (second, True, 1)


@pytest.mark.parametrize("change", ["cancel", "put off"])
async def test_a_change_of_the_next_one_that_was_answered_holds(
    scene: Scene, rows: Rows, db: Database, change: str
) -> None:
    """The next one has been found; before it is taken, the user's change commits. The outcome is kept."""
    second = await rows.message(scene.account)
    user = rows.users["alice"]
    async with db.transaction() as connection:
        if change == "cancel":
            assert await messages.cancel(connection, user, second)
        else:
            due = await connection.fetchval("SELECT now() + interval '1 hour'")
            assert await messages.change(connection, user, second, due=due, text=None, original=None, changes=None)
        going = asyncio.create_task(scene.go_on())
        await rows.until_blocked(going)
    gone = await going
    assert (list(gone.taken), set(gone.idle), list(gone.left)) == ([], set(), [])  # there may be others
    assert gone.recorded.pauses.keys() == {scene.account}
    assert await rows.status(second) == ("cancelled" if change == "cancel" else "waiting")
    await scene.holds()


async def test_what_a_receipt_has_settled_is_left(scene: Scene, rows: Rows, db: Database) -> None:
    second = await rows.message(scene.account)
    async with db.transaction() as connection:
        await facts.apply_receipts(connection, [receipt_of(scene.claimed)])
    gone = await scene.go_on()
    assert (list(gone.left), list(gone.taken)) == ([scene.acknowledged()], [])
    await scene.holds()
    assert await rows.status(second) == "waiting"


async def test_word_of_an_old_message_leaves_what_is_in_flight(scene: Scene, rows: Rows, db: Database) -> None:
    second = await rows.message(scene.account)
    given_up = Decision(Status.FAILED, failure=UNCONFIRMED, unconfirmed=True)
    async with db.connection() as connection:
        await record(connection, scene.worker, [replace(scene.acknowledged(), decision=given_up)])
    await claim(db, scene.worker, scene.account)
    gone = await scene.go_on()
    assert (list(gone.left), list(gone.taken)) == ([scene.acknowledged()], [])
    assert await rows.one("SELECT in_flight FROM account") == second


async def test_one_that_is_locked_is_waited_for_and_many_go_on_together(db: Database, rows: Rows) -> None:
    worker = await rows.worker()
    scenes = [await Scene(db, rows).begin(name, worker) for name in ("alice", "bob", "charlie")]
    following = {await rows.message(scene.account) for scene in scenes}
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM account WHERE id = $1 FOR UPDATE", scenes[1].account)
        going = asyncio.create_task(scenes[0].go_on(*scenes[1:]))
        await rows.until_blocked(going)
    assert {one.id for one in (await going).taken} == following


async def test_only_an_acknowledgement_to_a_known_contact_is_usual(scene: Scene) -> None:
    one = scene.claimed
    assert is_usual(scene.acknowledged())
    assert not is_usual(Outcome(one.id, one.account, one.epoch, Decision(Status.SENT, fact=True), first=True))
    for decision in (
        Decision(Status.FAILED, fact=True, failure=rejected(479)),
        Decision(Status.WAITING, account_pause=timedelta(seconds=1)),
        Decision(Status.SENDING, unconfirmed=True),
    ):
        assert not is_usual(Outcome(one.id, one.account, one.epoch, decision))
