"""What is recorded of attempts and receipts: facts whoever reports them, decisions only under the current epoch."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chatwren.domain.facts import Receipt
from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision, Recorded
from chatwren.domain.pacing import Pacing
from chatwren.domain.reasons import UNCONFIRMED, rejected
from chatwren.store import contacts, facts, messages
from chatwren.store.database import Database
from chatwren.store.fenced import leases
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome
from tests.rows import NO_CAP, Rows, receipt_of
from tests.unit.delivery.test_claim import claim

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
        async with self.db.transaction() as connection:
            return await facts.apply_receipts(connection, receipts)

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


@pytest.mark.parametrize(("status", "column"), [("sent", "sent_at"), ("failed", "ended_at")])
async def test_the_outcome_is_as_old_as_it_is_when_the_database_was_away(
    scene: Scene, status: str, column: str
) -> None:
    failure = rejected(479) if status == "failed" else None
    await scene.record(scene.outcome(status, fact=True, failure=failure, age=timedelta(minutes=5)))
    row = await scene.rows.get(scene.claimed.id)
    assert timedelta(minutes=4) < datetime.now(UTC) - row[column] < timedelta(minutes=6)


async def test_never_left_waits_again(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", account_pause=SECOND, cause="not_open"))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["attempts"]) == ("waiting", 1)
    assert await scene.is_free()
    assert await scene.pause() < 1
    assert await scene.steps() == [("attempt", "1"), ("not_sent", "not_open")]


async def test_unknown_stays_in_flight(scene: Scene) -> None:
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=2 * SECOND))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["unconfirmed"]) == ("sending", 1)
    assert not await scene.is_free()
    assert 1 < await scene.pause() < 2
    assert [step for step, _ in await scene.steps()] == ["attempt", "unconfirmed"]


async def test_a_recipient_backs_off_and_the_account_keeps_its_pace(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", recipient_pause=60 * SECOND))
    assert 9 < await scene.pause() < 15
    assert await scene.rows.one(
        "SELECT retry_at > now() + interval '50 s' AND retry_code = 'recipient_unreachable' FROM contact"
    )


async def test_a_restriction_is_kept_with_its_end(scene: Scene) -> None:
    await scene.record(scene.outcome("waiting", account_pause=3600 * SECOND, restriction=463))
    assert await scene.rows.one(
        "SELECT restriction_code = 463 AND restricted_until > now() + interval '59 min' FROM account"
    )


@pytest.mark.parametrize("status", ["waiting", "sending", "failed"])
async def test_a_decision_of_a_former_owner_counts_for_nothing(scene: Scene, status: str) -> None:
    await scene.lose()
    failure = UNCONFIRMED if status == "failed" else None
    recorded = await scene.record(scene.outcome(status, failure=failure, account_pause=SECOND))
    assert recorded.users == frozenset()
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["unconfirmed"]) == ("sending", 1)  # 1: the takeover knows that its outcome is unknown


async def test_a_decision_counts_only_from_the_owner_and_under_the_current_epoch(scene: Scene) -> None:
    other = await scene.rows.worker()
    decision = scene.outcome("waiting", account_pause=SECOND)
    assert not (await scene.record(decision, worker=other)).users
    async with scene.db.connection() as connection:
        await leases.release(connection, scene.worker, scene.account, 1)
    await scene.rows.own(scene.worker)  # it owns the account again, but what it had begun is another's
    assert not (await scene.record(decision)).users
    assert await scene.rows.status(scene.claimed.id) == "sending"


@pytest.mark.parametrize("status", ["sent", "failed"])
async def test_a_fact_of_a_former_owner_counts(scene: Scene, status: str) -> None:
    await scene.lose()
    failure = rejected(479) if status == "failed" else None
    await scene.record(scene.outcome(status, fact=True, failure=failure))
    assert await scene.rows.status(scene.claimed.id) == status
    assert await scene.is_free()


async def test_nothing_goes_backwards(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.record(scene.outcome("failed", fact=True, failure=rejected(479)))
    await scene.record(scene.outcome("waiting", account_pause=SECOND))
    assert await scene.rows.status(scene.claimed.id) == "sent"


async def test_a_refusal_stays_one_whatever_is_said_later(scene: Scene) -> None:
    await scene.record(scene.outcome("failed", fact=True, failure=rejected(479)))
    assert await scene.rows.one("SELECT count(*) FROM contact WHERE reached_at IS NOT NULL") == 0
    await scene.record(scene.outcome("sent", fact=True))
    assert await scene.rows.status(scene.claimed.id) == "failed"


@pytest.mark.parametrize("word", ["acknowledgement", "receipt"])
async def test_only_what_may_be_out_is_acknowledged_while_it_waits(scene: Scene, word: str) -> None:
    async def say() -> Recorded:
        if word == "receipt":
            return await scene.receive(scene.receipt())
        return await scene.record(scene.outcome("sent", fact=True))

    await scene.record(scene.outcome("waiting", account_pause=SECOND))
    assert not (await say()).users
    assert await scene.rows.status(scene.claimed.id) == "waiting"
    await scene.again()
    await scene.record(scene.outcome("failed", failure=UNCONFIRMED, unconfirmed=True))
    async with scene.db.connection() as connection:
        assert await messages.retry(connection, scene.claimed.user, scene.claimed.id)
    assert (await say()).users
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["error_code"]) == ("sent", None)


@pytest.mark.parametrize("word", ["acknowledgement", "receipt"])
async def test_word_of_an_old_message_leaves_what_is_in_flight(scene: Scene, word: str) -> None:
    in_flight = await scene.give_up_and_go_on()
    if word == "receipt":
        recorded = await scene.receive(scene.receipt())
    else:
        recorded = await scene.record(scene.outcome("sent", fact=True))
    assert await scene.rows.status(scene.claimed.id) == "sent"
    assert not recorded.pauses
    assert await scene.rows.one("SELECT in_flight FROM account") == in_flight
    assert await scene.pause() > 20  # its guard


async def test_doubt_is_counted_once_for_each_attempt_and_kept(scene: Scene) -> None:
    unknown = scene.outcome("sending", unconfirmed=True, account_pause=SECOND)
    for attempts in (1, 2, 3):
        await scene.record(unknown)
        claimed = await scene.again()
        assert (claimed.attempts, claimed.unconfirmed) == (attempts + 1, attempts)


async def test_a_retry_has_its_re_sends_again_and_keeps_the_doubt(scene: Scene) -> None:
    await scene.rows.one("UPDATE message SET unconfirmed = 4")
    await scene.record(scene.outcome("failed", failure=UNCONFIRMED, unconfirmed=True))
    async with scene.db.connection() as connection:
        assert await messages.retry(connection, scene.claimed.user, scene.claimed.id)
    assert (await scene.again()).unconfirmed == 1


async def test_the_timeline_keeps_a_hundred_attempts(scene: Scene) -> None:
    for attempts in (99, 100):
        await scene.rows.one("UPDATE message SET attempts = $1", attempts)
        await scene.record(scene.outcome("waiting", account_pause=SECOND))
        await scene.again()
    steps = await scene.steps()
    assert [detail for step, detail in steps if step == "attempt"] == ["99", "100"]
    await scene.record(scene.outcome("waiting", account_pause=SECOND))
    assert await scene.steps() == steps


@pytest.mark.parametrize("word", ["acknowledgement", "receipt"])
async def test_a_group_is_no_contact(scene: Scene, word: str) -> None:
    await scene.rows.one("UPDATE message SET recipient_kind = 'group', recipient = '1203@g.us'")
    if word == "receipt":
        await scene.receive(replace(scene.receipt(), chat="1203@g.us"))
    else:
        await scene.record(scene.outcome("sent", fact=True))
    assert await scene.rows.status(scene.claimed.id) == "sent"
    assert await scene.rows.one("SELECT count(*) FROM contact") == 0


async def test_what_stands_of_the_account_stays_when_a_message_goes_out(scene: Scene) -> None:
    """It was restricted, and refused new contacts, while this message was under way."""
    await scene.rows.one(
        "UPDATE account SET restriction_code = 101, restricted_since = now(),"
        " restricted_until = now() + interval '1 h', cold_code = 463, cold_since = now(),"
        " cold_until = now() + interval '2 h'"
    )
    columns = "restriction_code, restricted_since, restricted_until, cold_code, cold_since, cold_until"
    before = await scene.rows.one(f"SELECT ({columns}) FROM account")
    await scene.record(scene.outcome("sent", fact=True))
    assert await scene.rows.one(f"SELECT ({columns}) FROM account") == before


@pytest.mark.parametrize("word", ["acknowledgement", "receipt"])
async def test_the_pause_varies_within_the_jitter_and_counts_from_the_claim(scene: Scene, word: str) -> None:
    rows, worker = scene.rows, await scene.rows.worker()
    accounts = [await rows.account(f"user {number}") for number in range(30)]
    await rows.own(worker)
    for account in accounts:
        await rows.pace(account, PACING)
        await rows.message(account)
    claimed = await claim(scene.db, worker, *accounts)
    await rows.one("UPDATE message SET claimed_at = now() - interval '4 s'")
    if word == "receipt":
        await scene.receive(*map(receipt_of, claimed))
    else:
        sent = [Outcome(one.id, one.account, one.epoch, Decision(Status.SENT, fact=True)) for one in claimed]
        await scene.record(*sent, worker=worker)
    async with scene.db.connection() as connection:
        found = await connection.fetch(
            "SELECT a.next_at - m.claimed_at FROM account a JOIN message m ON m.account_id = a.id WHERE a.id = ANY($1)",
            accounts,
        )
    pauses = sorted(row[0].total_seconds() for row in found)
    assert 10 <= pauses[0] < pauses[-1] <= 15
    assert pauses[-1] - pauses[0] > 1, "the jitter does not vary"


async def test_two_accounts_with_one_whatsapp_id_are_two_messages(scene: Scene) -> None:
    """WhatsApp's ids are each sender's own; a stranger may even choose one that we use."""
    rows, worker = scene.rows, await scene.rows.worker()
    bobs = await rows.account("bob")
    await rows.own(worker)
    his = await rows.message(bobs)
    await rows.one("UPDATE message SET wa_id = $2 WHERE id = $1", his, scene.claimed.wa_id)
    (bobs_claimed,) = await claim(scene.db, worker, bobs)
    assert bobs_claimed.wa_id == scene.claimed.wa_id
    recorded = await scene.receive(scene.receipt(read=True))
    assert recorded.users == {scene.claimed.user}
    assert recorded.pauses.keys() == {scene.account}
    assert [await rows.status(one) for one in (scene.claimed.id, his)] == ["sent", "sending"]
    assert await rows.one("SELECT in_flight FROM account WHERE id = $1", bobs) == his
    assert await rows.one("SELECT count(*) FROM contact WHERE account_id = $1", bobs) == 0
    recorded = await scene.receive(receipt_of(bobs_claimed))
    assert recorded.users == {bobs_claimed.user}
    assert (await rows.get(his))["read_at"] is None


PHONE, LID, GROUP = "4915200001", "7700000000001@lid", "120363000000000001@g.us"
OURS, OTHERS, STRANGERS = (f"{phone}@s.whatsapp.net" for phone in (PHONE, "4915200008", "4915200009"))


async def told(scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None) -> Recorded:
    """What a receipt from a chat changes of a message that went to a recipient: kind, address, and WhatsApp's jid."""
    kind, to, jid = went
    await scene.rows.one("UPDATE message SET recipient_kind = $1, recipient = $2", kind, to)
    async with scene.db.connection() as connection:
        if jid is not None:
            await contacts.remember_address(connection, scene.account, to, jid)
            await contacts.forget_address(connection, scene.account, to)  # since the message went there
        # What another account was told of the address says nothing of this one's messages.
        await contacts.remember_address(connection, await scene.rows.account("bob"), to, STRANGERS)
    receipt = Receipt(scene.account, scene.claimed.wa_id, chat, alternative, read=True, at=datetime.now(UTC))
    return await scene.receive(receipt)


@pytest.mark.parametrize(
    ("went", "chat", "alternative"),
    [
        (("phone", PHONE, None), OURS, None),
        (("phone", PHONE, OURS), OURS, LID),
        (("phone", PHONE, OURS), LID, OURS),
        # WhatsApp knows the number by another one: Brazil's ninth digit.
        (("phone", PHONE, OTHERS), LID, OTHERS),
        (("phone", PHONE, OTHERS), OTHERS, None),
        (("phone", PHONE, OTHERS), OURS, None),
        # The number is hidden.
        (("phone", PHONE, LID), LID, None),
        (("lid", LID, None), LID, None),
        (("lid", LID, None), OURS, LID),
        (("group", GROUP, None), GROUP, None),
    ],
)
async def test_a_receipt_counts_by_whichever_address_of_its_chat(
    scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None
) -> None:
    recorded = await told(scene, went, chat, alternative)
    assert (recorded.users, recorded.strays) == (frozenset({scene.claimed.user}), ())
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"] is not None) == ("sent", True)


@pytest.mark.parametrize(
    ("went", "chat", "alternative"),
    [
        (("phone", PHONE, None), STRANGERS, None),
        (("phone", PHONE, OURS), STRANGERS, LID),
        (("phone", PHONE, OURS), LID, None),
        (("phone", PHONE, OURS), GROUP, None),
        (("phone", PHONE, None), "", ""),
        (("lid", LID, None), "7700000000002@lid", STRANGERS),
        (("group", GROUP, None), "120363000000000002@g.us", None),
        (("group", GROUP, None), OURS, LID),
    ],
)
async def test_a_receipt_from_elsewhere_counts_nothing(
    scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None
) -> None:
    """Who has learned a message's id can send receipts for it."""
    recorded = await told(scene, went, chat, alternative)
    assert (recorded.users, recorded.strays) == (frozenset(), (scene.account,))
    assert await scene.rows.status(scene.claimed.id) == "sending"
    assert await scene.rows.one("SELECT in_flight FROM account WHERE id = $1", scene.account) == scene.claimed.id
    assert await scene.rows.one("SELECT count(*) FROM contact WHERE reached_at IS NOT NULL") == 0


@pytest.mark.parametrize("status", ["sending", "sent", "failed"])
async def test_beside_an_honest_receipt_a_strangers_counts_nothing(scene: Scene, status: str) -> None:
    unknown: dict[str, Any] = {"failure": UNCONFIRMED} if status == "failed" else {}
    await scene.record(scene.outcome(status, unconfirmed=status != "sent", fact=True, **unknown))
    stray = replace(scene.receipt(read=True, ago=1000), chat=STRANGERS)
    assert (await scene.receive(stray)).users == frozenset()
    assert await scene.rows.status(scene.claimed.id) == status
    honest = scene.receipt()
    recorded = await scene.receive(stray, honest, stray)
    assert (recorded.users, len(recorded.strays)) == (frozenset({scene.claimed.user}), 2)
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"]) == ("sent", None)
    assert row["delivered_at"] >= honest.at


async def test_receipts_times_are_the_first_and_none_is_to_come(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.rows.one("UPDATE message SET claimed_at = now() - interval '60 s', sent_at = now() - interval '50 s'")
    await scene.receive(scene.receipt(ago=10), scene.receipt(ago=30), scene.receipt(read=True, ago=-100))
    row = await scene.rows.get(scene.claimed.id)
    now = datetime.now(UTC)
    assert timedelta(seconds=29) < now - row["delivered_at"] < timedelta(seconds=40)
    assert timedelta(seconds=49) < now - row["sent_at"] < timedelta(seconds=60)
    assert row["read_at"] <= now
    await scene.receive(scene.receipt(read=True, ago=20))
    assert await scene.rows.get(scene.claimed.id) == row


async def test_a_receipt_from_before_the_message_comes_after_it_all_the_same(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt(ago=100))
    await scene.receive(scene.receipt(read=True, ago=90))
    row = await scene.rows.get(scene.claimed.id)
    assert row["claimed_at"] <= row["sent_at"] <= row["delivered_at"] <= row["read_at"]


async def test_a_later_receipt_moves_nothing_that_is_known(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt())
    before = await scene.rows.get(scene.claimed.id)
    await scene.receive(scene.receipt(read=True, ago=-1))
    after = await scene.rows.get(scene.claimed.id)
    assert (after["sent_at"], after["delivered_at"]) == (before["sent_at"], before["delivered_at"])
    assert after["read_at"] is not None


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
    await scene.record(scene.outcome("failed", failure=UNCONFIRMED, unconfirmed=True))
    assert await scene.rows.status(scene.claimed.id) == "failed"
    if late == "receipt":
        await scene.receive(scene.receipt(read=True))
    else:
        await scene.record(scene.outcome("sent", fact=True))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["error_code"], row["ended_at"]) == ("sent", None, None)


async def test_another_failure_is_the_last_word(scene: Scene) -> None:
    await scene.record(scene.outcome("failed", fact=True, failure=rejected(479)))
    await scene.receive(scene.receipt())
    assert await scene.rows.status(scene.claimed.id) == "failed"


async def test_what_may_be_out_stays_so_when_a_refusal_is_retried(scene: Scene) -> None:
    """The owner died in the middle of sending; its heir sent again and was refused."""
    await scene.lose()
    await scene.record(scene.outcome("failed", fact=True, failure=rejected(479)))
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
