"""Cancelling many while others work on the same rows."""

import asyncio

import pytest
from tests.rows import Rows

from chatwren.domain.messages import Filter
from chatwren.service import messages
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio


async def test_two_that_stand_in_each_others_way_both_get_done(db: Database) -> None:
    rows = Rows(db)
    account = await rows.account("alice")
    first, second = [await rows.message(account) for _ in range(2)]
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL deadlock_timeout = '1 min'")  # it is the other that is ended
        await connection.execute("UPDATE message SET lane = 'bulk' WHERE id = $1", second)
        cancelling = asyncio.create_task(messages.cancel_all(db, Filter(rows.users["alice"])))
        await rows.until_blocked(cancelling)
        await connection.execute("UPDATE message SET lane = 'bulk' WHERE id = $1", first)
    assert await cancelling == 2
    assert [await rows.status(one) for one in (first, second)] == ["cancelled", "cancelled"]
