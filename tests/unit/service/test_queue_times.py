"""When messages go out, as far as that can be told: from the pace, the place, and the cap of new contacts."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.domain.pacing import DAY, ColdCap, Pacing
from chatwren.service.queue_times import QueueTimes, When, queue_times
from chatwren.store import messages
from chatwren.store.database import Database
from chatwren.store.messages import MessageRow

pytestmark = pytest.mark.anyio

PACING = Pacing(timedelta(seconds=10), timedelta(0), ColdCap(first=2, growth=0, most=2))
GAP = PACING.gap


@pytest.fixture
async def account(rows: Rows) -> UUID:
    account = await rows.account("alice")
    await rows.pace(account, PACING)
    return account


async def read(db: Database, user: UUID, *ids: UUID) -> tuple[list[MessageRow], QueueTimes]:
    async with db.connection() as connection:
        found = [await messages.get(connection, user, one) for one in ids]
        every = [row for row in found if row is not None]
        times = await queue_times(connection, user, every)
        return every, times[every[0].account_id]


async def when(rows: Rows, *ids: UUID) -> list[tuple[float, bool] | None]:
    """In how many seconds each goes, rounded, and whether that is an estimate."""
    every, times = await read(rows.db, rows.users["alice"], *ids)
    found: list[When | None] = [times.of(row) for row in every]
    return [
        (round((one.at - row.now).total_seconds()), one.estimated) if one else None
        for one, row in zip(found, every, strict=True)
    ]


async def cold_used(rows: Rows, account: UUID, count: int, *, hours_ago: float = 1) -> None:
    await rows.one(
        "INSERT INTO contact (account_id, address, reached_at, cold_at)"
        " SELECT $1, 'used ' || n, now(), now() - $3 * interval '1 hour' FROM generate_series(1, $2) n",
        account,
        count,
        hours_ago,
    )


async def test_the_next_one_is_certain_and_those_behind_it_are_a_pause_apart(rows: Rows, account: UUID) -> None:
    queue = [await rows.message(account) for _ in range(3)]
    await rows.one("UPDATE account SET next_at = now() - interval '1 hour'")
    assert await when(rows, *queue) == [(0, False), (10, True), (20, True)]
    await rows.one("UPDATE account SET next_at = now() + interval '60 s'")
    assert await when(rows, *queue) == [(60, False), (70, True), (80, True)]


async def test_what_is_in_flight_goes_first(rows: Rows, account: UUID) -> None:
    queue = [await rows.message(account) for _ in range(2)]
    await rows.one("UPDATE account SET in_flight = gen_random_uuid()")
    assert await when(rows, *queue) == [(10, True), (20, True)]


async def test_new_contacts_go_as_the_cap_has_room_and_then_day_by_day(rows: Rows, account: UUID) -> None:
    await cold_used(rows, account, 1)
    queue = [await rows.message(account, lane="cold") for _ in range(4)]
    day = DAY.total_seconds()
    assert await when(rows, *queue) == [(0, False), (day, True), (day, True), (2 * day, True)]


async def test_when_the_cap_is_reached_they_go_when_it_frees_so_many_a_day(rows: Rows, account: UUID) -> None:
    await cold_used(rows, account, 2, hours_ago=20)
    queue = [await rows.message(account, lane="cold") for _ in range(3)]
    bulk = await rows.message(account, lane="bulk")
    free, day = timedelta(hours=4).total_seconds(), DAY.total_seconds()
    assert await when(rows, *queue, bulk) == [(free, False), (free, True), (free + day, True), (0, False)]
    assert await when(rows, bulk) == [(0, False)]  # by itself as well: new contacts are not before it


async def test_new_contacts_go_before_bulk_while_they_may(rows: Rows, account: UUID) -> None:
    await rows.message(account, lane="cold")
    bulk = await rows.message(account, lane="bulk")
    assert await when(rows, bulk) == [(10, True)]


async def test_what_blocks_the_account_is_all_that_is_asked_for(rows: Rows, account: UUID) -> None:
    message, later = await rows.message(account), await rows.message(account, due_in=60)
    _, times = await read(rows.db, rows.users["alice"], later)
    assert (times.blocked, times.places) == (None, {})
    await rows.one("UPDATE account SET held_reason = 'user'")
    _, times = await read(rows.db, rows.users["alice"], message)
    assert times.blocked is not None
    assert (times.blocked.code, times.places) == ("held", {})
