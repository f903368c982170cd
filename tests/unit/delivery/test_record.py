"""What is recorded of attempts and receipts: facts whoever reports them, decisions only under the current epoch."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision, Recorded
from chatwren.domain.reasons import UNCONFIRMED, rejected
from chatwren.store import messages
from chatwren.store.database import Database
from chatwren.store.fenced import leases
from chatwren.store.fenced.messages import Outcome
from tests.rows import Rows, receipt_of
from tests.unit.delivery.claimed import PACING, Scene
from tests.unit.delivery.test_claim import claim

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
PHONE, LID, GROUP = "4915200001", "7700000000001@lid", "120363000000000001@g.us"


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


async def test_an_attempt_whose_outcome_could_not_be_recorded_may_be_out(scene: Scene) -> None:
    """Nothing was written of the first attempt; the second certainly never left."""
    await scene.rows.one("UPDATE account SET next_at = now()")
    (again,) = await claim(scene.db, scene.worker, scene.account)
    assert (again.id, again.attempts, again.unconfirmed) == (scene.claimed.id, 2, 1)
    # That it may be out is counted once: not again with each attempt, nor by a takeover of what has an outcome.
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=SECOND))
    await scene.lose()
    assert (await scene.rows.get(scene.claimed.id))["unconfirmed"] == 2
