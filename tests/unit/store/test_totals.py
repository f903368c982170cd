"""Totals are what counting would give, whoever changed what, and folded or not."""

import asyncio
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.domain.messages import Filter, Shown
from chatwren.store import listing, totals
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio


async def counted(db: Database, user: UUID) -> dict[Shown, int]:
    async with db.connection() as connection:
        return {
            status: len(await listing.next_ids(connection, Filter(user, status=status), limit=1000, after=None))
            for status in Shown
        }


async def check(db: Database, user: UUID) -> None:
    async with db.connection() as connection:
        found = await totals.of_user(connection, user)
    assert found.by_status == await counted(db, user)
    assert found.all == sum(found.by_status.values())


async def change_everything(rows: Rows, account: UUID) -> None:
    """Leave another number of each status."""
    made = [await rows.message(account, due_in=due) for due in (*[-1] * 12, 60, 60)]
    await rows.one("UPDATE message SET status = 'cancelled', ended_at = now() WHERE id = $1", made[0])
    await rows.one("UPDATE message SET status = 'expired', ended_at = now() WHERE id = ANY($1)", made[1:3])
    await rows.one("UPDATE message SET status = 'sending', claimed_at = now() WHERE id = ANY($1)", made[3:7])
    await rows.one("UPDATE message SET status = 'sent', sent_at = now() WHERE id = ANY($1)", made[3:6])
    await rows.one(
        "UPDATE message SET status = 'failed', ended_at = now(), error_code = 'x', error_message = 'x' "
        "WHERE id = ANY($1)",
        made[7:11],
    )
    await rows.one("DELETE FROM message WHERE id = $1", made[13])


async def test_they_follow_every_change(db: Database, rows: Rows) -> None:
    alices, charlies = await rows.account("alice"), await rows.account("charlie")
    await check(db, rows.users["alice"])
    await change_everything(rows, alices)
    await change_everything(rows, charlies)
    await rows.message(charlies)
    await check(db, rows.users["alice"])
    await check(db, rows.users["charlie"])


async def test_folding_changes_nothing_and_leaves_a_row_for_each_user(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    for _ in range(3):
        await change_everything(rows, account)

    async def fold() -> None:
        async with db.connection() as connection:
            await totals.fold(connection)

    await asyncio.gather(*(fold() for _ in range(5)), *(change_everything(rows, account) for _ in range(3)))
    await check(db, rows.users["alice"])
    await fold()
    await check(db, rows.users["alice"])
    assert await rows.one("SELECT count(*) FROM message_total") == 1
    await rows.one("DELETE FROM message")
    await fold()
    assert await rows.one("SELECT count(*) FROM message_total") == 0


async def look(db: Database) -> int:
    async with db.connection() as connection:
        return await totals.look(connection)


async def put_past(rows: Rows, message: UUID, *, seconds: int) -> None:
    """A message that was accepted for later, and is due since so many seconds."""
    await rows.one(
        "UPDATE message SET due = now() - $2 * interval '1 s', seen_at = now() - interval '1 h' WHERE id = $1",
        message,
        seconds,
    )


async def test_looking_at_what_is_due_changes_no_total_and_no_page(db: Database, rows: Rows) -> None:
    account, charlies = await rows.account("alice"), await rows.account("charlie")
    at_once, later, since_long, just_now, before = [await rows.message(account, due_in=due) for due in (0, 60, 9, 9, 0)]
    await put_past(rows, since_long, seconds=60)
    await put_past(rows, just_now, seconds=0)
    await rows.one("UPDATE message SET seen_at = NULL WHERE id = $1", before)  # as all that the release before stored
    await rows.message(charlies)
    alice = rows.users["alice"]

    async def pages() -> list[list[UUID]]:
        async with db.connection() as connection:
            found = [
                await listing.page(connection, Filter(alice, status), limit=10)
                for status in (Shown.QUEUED, Shown.SCHEDULED)
            ]
        return [[one.id for one in page.rows] for page in found]

    due = sorted([at_once, since_long, just_now, before], reverse=True)
    assert await pages() == [due, [later]]
    await check(db, alice)
    assert await look(db) == 1
    assert (await rows.get(since_long))["seen_at"] > (await rows.get(since_long))["due"]
    assert await pages() == [due, [later]]
    await check(db, alice)
    await rows.one("UPDATE message SET due = now() + interval '1 h' WHERE id = ANY($1)", [since_long, at_once])
    assert await pages() == [sorted([just_now, before], reverse=True), sorted([later, since_long, at_once])[::-1]]
    await check(db, alice)
    await rows.one("UPDATE message SET status = 'cancelled', ended_at = now()")
    await check(db, alice)
    async with db.connection() as connection:
        await totals.fold(connection)
    assert await rows.one("SELECT count(*) FROM message_ahead") == 0
