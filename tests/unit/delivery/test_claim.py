"""What a claim takes, and what it leaves."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from chatwren.store import contacts, messages
from chatwren.store.database import Connection, Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claim, Claimed, Terms
from tests.rows import Rows

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)
TERMS = Terms(guard=timedelta(seconds=30), contact_age=DAY, upload_age=DAY)


async def take(connection: Connection, worker: UUID, *accounts: UUID) -> Claim:
    return await fenced_messages.claim(connection, worker, accounts, TERMS)


async def look(db: Database, worker: UUID, *accounts: UUID) -> Claim:
    async with db.connection() as connection:
        return await take(connection, worker, *accounts)


async def claim(db: Database, worker: UUID, *accounts: UUID) -> list[Claimed]:
    return list((await look(db, worker, *accounts)).taken)


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
        "status = 'banned'",
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


@pytest.mark.parametrize(
    "end", ["DELETE FROM message", "UPDATE message SET status = 'sent', sent_at = now()"], ids=["gone", "settled"]
)
async def test_a_message_in_flight_that_is_settled_or_gone_blocks_nothing(db: Database, rows: Rows, end: str) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    first, second = await rows.message(account), await rows.message(account)
    await claim(db, worker, account)
    await rows.one(f"{end} WHERE id = $1", first)
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


async def test_whom_another_account_backs_off_from_is_written_to(db: Database, rows: Rows) -> None:
    account, charlies, worker = await rows.account("alice"), await rows.account("charlie"), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account)
    await rows.one(
        "INSERT INTO contact (account_id, address, retry_at) VALUES ($1, '4915200001', now() + interval '1 min')",
        charlies,
    )
    assert [one.id for one in await claim(db, worker, account)] == [message]


async def test_the_due_time_decides_and_then_acceptance(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    late = await rows.message(account, due_in=-1)
    same = [await rows.message(account, due_in=-9) for _ in range(2)]
    await rows.one("UPDATE message SET due = (SELECT due FROM message WHERE id = $1) WHERE id = $2", *same)
    for expected in (*same, late):
        assert [one.id for one in await claim(db, worker, account)] == [expected]
        await may_go_on(rows, account)


async def test_when_a_restriction_has_ended_it_goes_on(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account)
    await rows.one("UPDATE account SET restricted_until = now() - interval '1 s'")
    assert [one.id for one in await claim(db, worker, account)] == [message]


async def test_an_account_that_is_locked_is_passed_over(db: Database, rows: Rows) -> None:
    """By a pairing or a receipt: the others are not to wait for it."""
    locked, other, worker = await rows.account("alice"), await rows.account("bob"), await rows.worker()
    await rows.own(worker)
    await rows.message(locked)
    his = await rows.message(other)
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM account WHERE id = $1 FOR UPDATE", locked)
        async with asyncio.timeout(5):
            found = await look(db, worker, locked, other)
    assert [one.id for one in found.taken] == [his]
    assert list(found.passed_over) == [locked]


async def test_an_account_with_nothing_to_send_is_neither_locked_nor_passed_over(db: Database, rows: Rows) -> None:
    """A worker looks at all of its accounts twice a second, and each lock is written to disk."""
    quiet, later, busy = [await rows.account(name) for name in ("alice", "bob", "charlie")]
    worker = await rows.worker()
    await rows.own(worker)
    await rows.message(later, due_in=60)
    await rows.message(busy)
    async with db.transaction() as connection:
        found = await take(connection, worker, quiet, later, busy)
        assert ([one.account for one in found.taken], list(found.passed_over)) == ([busy], [])
        async with db.transaction() as other:
            free = await other.fetch("SELECT id FROM account ORDER BY id FOR NO KEY UPDATE SKIP LOCKED")
            assert [row[0] for row in free] == [quiet, later]
            assert list((await look(db, worker, quiet, later)).passed_over) == []


async def test_nothing_else_leaves_before_the_guard_is_over(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    await rows.message(account)
    await claim(db, worker, account)
    assert await rows.one("SELECT next_at - now() BETWEEN interval '28 s' AND interval '30 s' FROM account")


async def test_where_whatsapp_says_a_recipient_is_counts_for_a_while_and_for_one_account(
    db: Database, rows: Rows
) -> None:
    account, charlies, worker = await rows.account("alice"), await rows.account("charlie"), await rows.worker()
    await rows.own(worker)

    async def known(whose: UUID) -> str | None:
        await rows.message(whose)
        (claimed,) = await claim(db, worker, whose)
        await may_go_on(rows, whose)
        return claimed.jid

    assert await known(account) is None
    async with db.connection() as connection:
        for whose in (account, charlies):
            await contacts.remember_address(connection, whose, "4915200001", "1@lid")
    assert await known(account) == "1@lid"
    await rows.one("UPDATE contact SET checked_at = now() - interval '23 hours'")
    assert await known(account) == "1@lid"
    await rows.one("UPDATE contact SET checked_at = now() - interval '25 hours'")
    assert await known(account) is None
    async with db.connection() as connection:
        for whose in (account, charlies):
            await contacts.remember_address(connection, whose, "4915200001", "2@lid")
        await contacts.forget_address(connection, account, "4915200001")
    assert [await known(whose) for whose in (account, charlies)] == [None, "2@lid"]


async def test_the_first_message_to_a_contact_is_known_as_such(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)

    async def is_first(kind: str = "phone") -> bool:
        message = await rows.message(account)
        await rows.one("UPDATE message SET recipient_kind = $2 WHERE id = $1", message, kind)
        (claimed,) = await claim(db, worker, account)
        await may_go_on(rows, account)
        return claimed.first

    assert await is_first()
    assert not await is_first("group")
    await rows.one("INSERT INTO contact (account_id, address, wrote_at) VALUES ($1, '4915200001', now())", account)
    assert await is_first()  # who wrote has not been reached
    await rows.one("UPDATE contact SET reached_at = now()")
    assert not await is_first()


async def test_an_upload_is_used_again_by_its_account_and_for_a_while(db: Database, rows: Rows) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    other = await rows.account("alice")
    await rows.own(worker)
    media = await rows.file()

    async def handle(whose: UUID) -> bytes | None:
        await rows.one("UPDATE message SET media_id = $2 WHERE id = $1", await rows.message(whose), media)
        (claimed,) = await claim(db, worker, whose)
        await may_go_on(rows, whose)
        assert claimed.file is not None
        return claimed.file.handle

    async def upload(whose: UUID, given: bytes) -> None:
        async with db.connection() as connection:
            await contacts.remember_upload(connection, media, whose, given)

    await upload(account, b"first")
    assert [await handle(whose) for whose in (account, other)] == [b"first", None]
    await rows.one("UPDATE media_upload SET uploaded_at = now() - interval '25 hours'")
    assert await handle(account) is None
    await upload(account, b"second")
    await upload(other, b"other")
    assert [await handle(whose) for whose in (account, other)] == [b"second", b"other"]


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
        await rows.until_blocked(claiming)
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
