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


@pytest.mark.parametrize("status", [Shown.QUEUED, Shown.SCHEDULED])
async def test_a_page_of_the_few_among_the_many_is_the_same_page(db: Database, rows: Rows, status: Shown) -> None:
    account = await rows.account("alice")
    few = [await rows.message(account, due_in=-1 if status is Shown.QUEUED else 60) for _ in range(3)]
    for _ in range(40):
        await rows.message(account, due_in=60 if status is Shown.QUEUED else -1)
    where = Filter(rows.users["alice"], status=status)
    async with db.connection() as connection:
        count = await listing.count(connection, where)
        assert (count.total, count.rare) == (3, True)
        for rare in (True, False):
            page = await listing.page(connection, where, limit=2, offset=0, before=None, rare=rare)
            assert [one.id for one in page] == [few[2], few[1]]
