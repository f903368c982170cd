"""What a claim takes, and what it leaves."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from chatwren.domain.pacing import ColdCap
from chatwren.store import dispatch, messages
from chatwren.store.database import Database
from chatwren.store.dispatch import Claimed
from tests.unit.delivery.conftest import Rows

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)
NO_CAP = ColdCap(0, 0, 0)


async def claim(db: Database, worker: UUID, *accounts: UUID, cap: ColdCap = NO_CAP) -> list[Claimed]:
    async with db.connection() as connection:
        return await dispatch.claim(
            connection, worker, accounts, guard=timedelta(seconds=30), contact_age=DAY, upload_age=DAY, cap=cap
        )


async def may_go_on(rows: Rows, account: UUID) -> None:
    """As if the message in flight had been sent, and the pause after it were over."""
    await rows.one("UPDATE message SET status = 'sent', sent_at = now() WHERE status = 'sending'")
    await rows.one("UPDATE account SET in_flight = NULL, next_at = now() WHERE id = $1", account)


async def test_takes_the_head_of_each_account(db: Database, rows: Rows) -> None:
    alice, bob = await rows.account("alice"), await rows.account("bob")
    worker = await rows.worker()
    await rows.own(worker)
    first = await rows.message(alice, "first", due_in=-5)
    await rows.message(alice, "second", due_in=-4)
    his = await rows.message(bob, "his")
    claimed = await claim(db, worker, alice, bob)
    assert {one.id for one in claimed} == {first, his}
    assert {one.text for one in claimed} == {"first", "his"}
    row = await rows.get(first)
    assert (row["status"], row["attempts"], row["epoch"]) == ("sending", 1, 1)
    assert await claim(db, worker, alice, bob) == []


async def test_lanes_in_their_order_and_the_future_blocks_nothing(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    wanted = []
    for lane in ("bulk", "cold", "normal", "urgent"):
        await rows.message(account, f"{lane} later", lane=lane, due_in=60)
        wanted.append(await rows.message(account, lane, lane=lane))
    for message in reversed(wanted):
        assert [one.id for one in await claim(db, worker, account)] == [message]
        await may_go_on(rows, account)
    assert await claim(db, worker, account) == []


@pytest.mark.parametrize(
    "state",
    [
        "connected = false",
        "held_reason = 'user'",
        "restricted_until = now() + interval '1 hour'",
        "next_at = now() + interval '1 second'",
        "logout_wanted_at = now()",
        "status = 'logged_out'",
    ],
)
async def test_an_account_that_may_not_send_sends_nothing(db: Database, rows: Rows, state: str) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    await rows.message(account)
    await rows.one(f"UPDATE account SET {state}")
    assert await claim(db, worker, account) == []


async def test_only_the_owner_claims(db: Database, rows: Rows) -> None:
    account, worker, other = await rows.account(), await rows.worker(), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account)
    assert await claim(db, other, account) == []
    assert [one.id for one in await claim(db, worker, account)] == [message]


async def test_what_is_in_flight_goes_again_before_all_else(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account)
    (first,) = await claim(db, worker, account)
    await rows.message(account, lane="urgent")
    await rows.one("UPDATE account SET next_at = now()")
    (again,) = await claim(db, worker, account)
    assert (again.id, again.wa_id, again.attempts) == (message, first.wa_id, 2)


async def test_a_message_in_flight_that_is_settled_or_gone_blocks_nothing(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    first, second = await rows.message(account), await rows.message(account)
    await claim(db, worker, account)
    await rows.one("DELETE FROM message WHERE id = $1", first)
    await rows.one("UPDATE account SET next_at = now()")
    assert [one.id for one in await claim(db, worker, account)] == [second]


async def test_messages_to_a_recipient_wait_together(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    for text in ("one", "two"):
        await rows.message(account, text, to="4915200001", due_in=-9)
    other = await rows.message(account, to="4915200002")
    await rows.one(
        "INSERT INTO contact (account_id, address, retry_at) VALUES ($1, '4915200001', now() + interval '1 min')",
        account,
    )
    assert [one.id for one in await claim(db, worker, account)] == [other]
    await may_go_on(rows, account)
    assert await claim(db, worker, account) == []
    await rows.one("UPDATE contact SET retry_at = now()")
    assert [one.text for one in await claim(db, worker, account)] == ["one"]


@pytest.mark.parametrize("change", ["cancel", "put off", "rewrite"])
async def test_a_change_that_was_answered_holds(db: Database, rows: Rows, change: str) -> None:
    """The claim has found the head; before it takes it, the user's change commits."""
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account, "old words")
    user = rows.users["alice"]
    async with db.transaction() as connection:
        if change == "cancel":
            assert await messages.cancel(connection, user, message)
        else:
            due = await connection.fetchval("SELECT now() + interval '1 hour'") if change == "put off" else None
            text = "new words" if change == "rewrite" else None
            assert await messages.change(connection, user, message, due=due, text=text, original=text, changes=None)
        claiming = asyncio.create_task(claim(db, worker, account))
        while not await rows.one("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not claiming.done()
    claimed = await claiming
    assert [one.text for one in claimed] == (["new words"] if change == "rewrite" else [])
    if change != "rewrite":
        assert await rows.status(message) == ("cancelled" if change == "cancel" else "waiting")
        assert await rows.one("SELECT in_flight IS NULL FROM account")


async def test_the_head_is_one_probe_in_a_queue_of_thousands(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
        SELECT gen_random_uuid(), a.user_id, a.id, 'msg', 'phone', '4915200001', 'x', 'x',
               now() + (CASE WHEN n % 2 = 0 THEN 1 ELSE -1 END) * interval '1 day', 'wa' || n
        FROM account a, generate_series(1, 20000) n
        """
    )
    await claim(db, worker, account)
    await may_go_on(rows, account)
    await rows.one("SELECT pg_stat_force_next_flush()")
    await rows.one("SELECT pg_stat_reset()")
    await claim(db, worker, account)
    await rows.one("SELECT pg_stat_force_next_flush()")
    read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname = 'message'"
    assert await rows.one(read) < 50
