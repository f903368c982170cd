"""No attempt begins after a message's `expiresAt`, whatever it waits for, and what comes of it is told honestly."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chatwren.domain.messages import OUTCOME_UNKNOWN, Shown, Status
from chatwren.domain.outcomes import Decision
from chatwren.domain.pacing import Pacing
from chatwren.service import housekeeping
from chatwren.settings import Settings
from chatwren.store import facts, lateness, messages, totals
from chatwren.store.database import Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome
from tests.rows import NO_CAP, Rows, receipt_of
from tests.unit.delivery.test_claim import claim

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def worker(rows: Rows) -> UUID:
    """Owns what there is when `own` is called."""
    return await rows.worker()


async def limited(rows: Rows, account: UUID, *, lane: str = "normal") -> UUID:
    """A message that is due, with a deadline in an hour."""
    message = await rows.message(account, lane=lane)
    await rows.one("UPDATE message SET expires_at = now() + interval '1 hour' WHERE id = $1", message)
    return message


async def pass_deadline(rows: Rows, *passed: UUID) -> None:
    await rows.one(
        "UPDATE message SET due = due - interval '2 hours', expires_at = expires_at - interval '2 hours'"
        " WHERE id = ANY($1)",
        list(passed),
    )


async def sweep(rows: Rows) -> None:
    await housekeeping.often(rows.db, Settings(_env_file=None))


async def ended(rows: Rows, message: UUID) -> tuple[str, str | None]:
    row = await rows.get(message)
    return row["status"], row["error_code"]


async def record(rows: Rows, worker: UUID, claimed: Claimed, status: Status, *, pause: float | None = None) -> None:
    """The outcome of an attempt: `sent`, or `sending`, of which it is not known."""
    decision = Decision(
        status,
        fact=status is Status.SENT,
        unconfirmed=status is Status.SENDING,
        account_pause=None if pause is None else timedelta(seconds=pause),
    )
    async with rows.db.connection() as connection:
        outcome = Outcome(claimed.id, claimed.account, claimed.epoch, decision)
        await fenced_messages.record(connection, worker, [outcome])


WAITS = {
    "pacing": ("UPDATE account SET next_at = now() + interval '1 day'", "UPDATE account SET next_at = now()"),
    "hold": ("UPDATE account SET held_reason = 'user'", "UPDATE account SET held_reason = NULL"),
    "offline": ("UPDATE account SET connected = false", "UPDATE account SET connected = true"),
    "restricted": (
        "UPDATE account SET restricted_until = now() + interval '1 day'",
        "UPDATE account SET restricted_until = NULL",
    ),
    "cap": (
        "UPDATE account SET cold_first = 0, cold_growth = 0, cold_most = 1",
        "UPDATE account SET cold_most = 0",
    ),
    "new contacts refused": (
        "UPDATE account SET cold_until = now() + interval '1 day'",
        "UPDATE account SET cold_until = NULL",
    ),
    "recipient backing off": (
        "INSERT INTO contact (account_id, address, retry_at) SELECT id, '4915200001', 'infinity' FROM account",
        "DELETE FROM contact",
    ),
}


@pytest.mark.parametrize("reason", WAITS)
async def test_whatever_it_waits_for(db: Database, rows: Rows, worker: UUID, reason: str) -> None:
    account = await rows.account()
    await rows.own(worker)
    begin, end = WAITS[reason]
    await rows.one(begin)
    lane = "cold" if reason in ("cap", "new contacts refused") else "normal"
    first, second = [await limited(rows, account, lane=lane) for _ in range(2)]
    await sweep(rows)
    assert await claim(db, worker, account) == []
    assert await rows.status(first) == "waiting"
    await pass_deadline(rows, first)
    await rows.one(end)
    assert [one.id for one in await claim(db, worker, account)] == [second]  # before the sweep has seen it
    assert await rows.status(first) == "waiting"
    await rows.one(begin)
    await sweep(rows)
    assert await ended(rows, first) == ("expired", "deadline_passed")


async def test_whose_account_is_gone_or_nobodys(rows: Rows) -> None:
    account = await rows.account()
    message = await limited(rows, account)
    await rows.one("UPDATE account SET status = 'logged_out', connected = false")
    await pass_deadline(rows, message)
    await sweep(rows)
    assert await ended(rows, message) == ("expired", "deadline_passed")


async def test_what_has_none_or_one_that_lies_ahead_waits_on(rows: Rows) -> None:
    alice, charlie = await rows.account("alice"), await rows.account("charlie")
    passed, ahead, without = await limited(rows, alice), await limited(rows, alice), await rows.message(charlie)
    await pass_deadline(rows, passed)
    await sweep(rows)
    assert [await rows.status(one) for one in (passed, ahead, without)] == ["expired", "waiting", "waiting"]


async def test_an_unknown_outcome_is_not_tried_again_and_the_account_goes_on(
    db: Database, rows: Rows, worker: UUID
) -> None:
    account = await rows.account()
    await rows.own(worker)
    await limited(rows, account)
    (claimed,) = await claim(db, worker, account)
    await record(rows, worker, claimed, Status.SENDING, pause=0)
    behind = await rows.message(account)
    await pass_deadline(rows, claimed.id)
    assert await claim(db, worker, account) == []  # never two in flight
    await sweep(rows)
    assert await ended(rows, claimed.id) == ("failed", OUTCOME_UNKNOWN)
    assert (await rows.get(claimed.id))["unconfirmed"] == 1
    assert [one.id for one in await claim(db, worker, account)] == [behind]
    async with db.transaction() as connection:
        await facts.apply_receipts(connection, [receipt_of(claimed)])
    assert await ended(rows, claimed.id) == ("sent", None)


async def test_an_attempt_that_is_under_way_ends_as_it_ends(db: Database, rows: Rows, worker: UUID) -> None:
    account = await rows.account()
    await rows.own(worker)
    await limited(rows, account)
    (claimed,) = await claim(db, worker, account)
    await pass_deadline(rows, claimed.id)
    await sweep(rows)
    assert await rows.status(claimed.id) == "sending"
    await record(rows, worker, claimed, Status.SENT)
    assert await rows.status(claimed.id) == "sent"


async def test_an_attempt_without_an_end_is_given_up_when_its_guard_is_over(
    db: Database, rows: Rows, worker: UUID
) -> None:
    account = await rows.account()
    await rows.own(worker)
    await limited(rows, account)
    (claimed,) = await claim(db, worker, account)
    await pass_deadline(rows, claimed.id)
    await rows.one("UPDATE account SET next_at = now()")
    await sweep(rows)
    assert await ended(rows, claimed.id) == ("failed", OUTCOME_UNKNOWN)
    row = await rows.get(claimed.id)
    assert (row["unconfirmed"], row["epoch"]) == (1, None)
    assert await rows.one("SELECT in_flight IS NULL FROM account")
    await record(rows, worker, claimed, Status.SENT)  # it had got out after all
    assert await ended(rows, claimed.id) == ("sent", None)


async def test_what_a_dead_worker_was_sending_is_given_up_by_whoever_takes_its_account(
    db: Database, rows: Rows, worker: UUID
) -> None:
    account = await rows.account()
    await rows.own(worker)
    await limited(rows, account)
    (claimed,) = await claim(db, worker, account)
    await rows.one("DELETE FROM worker WHERE id = $1", worker)
    heir = await rows.worker()
    await rows.own(heir)
    await pass_deadline(rows, claimed.id)
    assert await claim(db, heir, account) == []
    await sweep(rows)
    assert await ended(rows, claimed.id) == ("failed", OUTCOME_UNKNOWN)
    assert (await rows.get(claimed.id))["unconfirmed"] == 1


async def test_what_is_retried_although_it_may_be_out_does_not_expire(db: Database, rows: Rows, worker: UUID) -> None:
    account = await rows.account()
    await rows.own(worker)
    message = await limited(rows, account)
    await rows.one("UPDATE message SET unconfirmed = 1")
    await pass_deadline(rows, message)
    assert await claim(db, worker, account) == []
    await sweep(rows)
    assert await ended(rows, message) == ("failed", OUTCOME_UNKNOWN)


async def test_a_pause_outlasts_what_is_given_up(db: Database, rows: Rows, worker: UUID) -> None:
    account = await rows.account()
    await rows.pace(account, Pacing(timedelta(seconds=30), timedelta(), NO_CAP))
    await rows.own(worker)
    for pause, least in ((0, 25), (60, 55)):
        await limited(rows, account)
        await rows.one("UPDATE account SET next_at = now()")
        (claimed,) = await claim(db, worker, account)
        await record(rows, worker, claimed, Status.SENDING, pause=pause)
        await pass_deadline(rows, claimed.id)
        await sweep(rows)
        assert await rows.status(claimed.id) == "failed"
        left = await rows.one("SELECT next_at - now() FROM account")
        assert timedelta(seconds=least) < left <= timedelta(seconds=least + 5)


async def test_a_deadline_that_passes_after_the_claim_has_found_the_message(
    db: Database, rows: Rows, worker: UUID
) -> None:
    account = await rows.account()
    await rows.own(worker)
    message = await limited(rows, account)
    async with db.transaction() as connection:
        await connection.execute("UPDATE message SET text = 'new words'")
        claiming = asyncio.create_task(claim(db, worker, account))
        await rows.until_blocked(claiming)
        await connection.execute("UPDATE message SET expires_at = clock_timestamp()")
    assert await claiming == []
    assert await rows.status(message) == "waiting"
    assert await rows.one("SELECT in_flight IS NULL FROM account")


async def test_a_deadline_that_is_put_off_while_it_expires(db: Database, rows: Rows) -> None:
    account = await rows.account()
    message = await limited(rows, account)
    await pass_deadline(rows, message)
    later = datetime.now(UTC) + HOUR
    async with db.transaction() as connection:
        assert await messages.change(connection, rows.users["alice"], message, expires_at=later)
        sweeping = asyncio.create_task(sweep(rows))
        await rows.until_blocked(sweeping)
    await sweeping
    assert await rows.status(message) == "waiting"


@pytest.mark.parametrize("put_off", [True, False], ids=["put off", "removed"])
async def test_the_next_claim_knows_a_new_deadline(db: Database, rows: Rows, worker: UUID, *, put_off: bool) -> None:
    account = await rows.account()
    await rows.own(worker)
    message = await limited(rows, account)
    await pass_deadline(rows, message)
    assert await claim(db, worker, account) == []
    async with db.connection() as connection:
        later = datetime.now(UTC) + HOUR if put_off else None
        assert await messages.change(
            connection, rows.users["alice"], message, expires_at=later, forget_expiry=not put_off
        )
    assert [one.id for one in await claim(db, worker, account)] == [message]
    assert ((await rows.get(message))["expires_at"] is not None) == put_off


async def many(rows: Rows, number: int, expires_at: str) -> None:
    """So many messages of each account; `expires_at`: SQL, of the message's number n."""
    await rows.one(
        f"""
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, wa_id, due,
                             expires_at)
        SELECT gen_random_uuid(), a.user_id, a.id, 'msg', 'phone', '4915200001', 'x', 'x', 'wa' || n,
               now() - interval '1 hour', {expires_at}
        FROM account a, generate_series(1, $1) n
        """,
        number,
    )


async def test_many_of_many_accounts_and_the_totals_after_it(db: Database, rows: Rows) -> None:
    accounts = [await rows.account(name) for name in ("alice", "bob")]
    each = lateness.AT_ONCE + 1
    await many(rows, each, "now() - interval '1 minute'")
    await rows.message(accounts[0])
    await sweep(rows)
    async with db.connection() as connection:
        alice, bob = [await totals.of_user(connection, rows.users[name]) for name in ("alice", "bob")]
    assert (alice.by_status[Shown.EXPIRED], alice.by_status[Shown.QUEUED]) == (each, 1)
    assert (bob.by_status[Shown.EXPIRED], bob.by_status[Shown.QUEUED]) == (each, 0)


async def test_where_nothing_has_passed_nothing_is_read(db: Database, rows: Rows) -> None:
    await rows.account()
    await many(rows, 20000, "CASE WHEN n % 2 = 0 THEN now() + interval '1 hour' END")
    await rows.one("ANALYZE message")
    await rows.one("SELECT pg_stat_force_next_flush()")
    await rows.one("SELECT pg_stat_reset()")
    async with db.connection() as connection:
        assert await lateness.expire_passed(connection) == 0
        assert await lateness.give_up_passed(connection) == 0
    await rows.one("SELECT pg_stat_force_next_flush()")
    read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname = 'message'"
    assert await rows.one(read) < 50
