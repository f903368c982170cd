"""Messages without a deadline expire by the time in which their account could not send, and by no other."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from chatwren.store import lateness
from chatwren.store.database import Connection, Database
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import workers
from tests.rows import Rows

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def account(rows: Rows) -> UUID:
    return await account_of(rows, "alice")


async def account_of(rows: Rows, name: str) -> UUID:
    account = await rows.account(name)
    await rows.one("DELETE FROM outage WHERE account_id = $1", account)
    return account


async def outage(rows: Rows, account: UUID, hours_ago: float, until: float | None = None) -> None:
    """The account could not send from so many hours ago until so many, or until now."""
    await rows.one(
        "INSERT INTO outage (account_id, began_at, ended_at)"
        " VALUES ($1, now() - $2 * interval '1 hour', now() - $3::float * interval '1 hour')",
        account,
        hours_ago,
        until,
    )


async def expire(rows: Rows, account: UUID) -> None:
    async with rows.db.connection() as connection:
        await lateness.expire(connection, account, DAY)


async def test_only_time_in_which_it_could_not_send_counts(rows: Rows) -> None:
    mine = await account(rows)
    await outage(rows, mine, 50, 38)  # 12 hours
    await outage(rows, mine, 20, 8.1)  # 11.9 hours
    old = await rows.message(mine, due_in=-60 * 3600)
    await expire(rows, mine)
    assert await rows.status(old) == "waiting"
    await outage(rows, mine, 1)
    later = await rows.message(mine, due_in=-49 * 3600)  # one hour less of the first outage: 24 minutes short
    await rows.one("UPDATE outage SET began_at = began_at + interval '25 minutes' WHERE ended_at IS NULL")
    await expire(rows, mine)
    assert [await rows.status(one) for one in (old, later)] == ["expired", "waiting"]
    assert (await rows.get(old))["error_code"] == "too_late"


async def test_what_chatwren_makes_it_wait_never_counts(rows: Rows) -> None:
    mine = await account(rows)
    message = await rows.message(mine, due_in=-300 * 24 * 3600)
    await rows.one("UPDATE account SET next_at = now() + interval '1 day', held_reason = 'user'")
    await expire(rows, mine)
    assert await rows.status(message) == "waiting"


async def test_what_has_a_deadline_expires_by_that_alone(rows: Rows) -> None:
    mine = await account(rows)
    await outage(rows, mine, 62)
    common, limited = [await rows.message(mine, due_in=-60 * 3600) for _ in range(2)]
    await rows.one("UPDATE message SET expires_at = now() + interval '1 hour' WHERE id = $1", limited)
    await expire(rows, mine)
    assert [await rows.status(one) for one in (common, limited)] == ["expired", "waiting"]


@pytest.mark.parametrize(("hours", "status"), [(23.9, "waiting"), (24.1, "expired")])
async def test_the_common_limit_on_both_sides(rows: Rows, hours: float, status: str) -> None:
    mine = await account(rows)
    await outage(rows, mine, hours)
    message = await rows.message(mine, due_in=-48 * 3600)
    await expire(rows, mine)
    assert await rows.status(message) == status


async def test_who_is_looked_at_now_and_then_cannot_send_and_has_messages_due(rows: Rows) -> None:
    cut, back, idle = [await account_of(rows, name) for name in ("alice", "bob", "charlie")]
    for one in (cut, back):
        await rows.message(one)
    await rows.message(idle, due_in=60)
    for one in (cut, idle):
        await outage(rows, one, 1)
    await outage(rows, back, 2, 1)
    async with rows.db.connection() as connection:
        assert await lateness.cut_off(connection) == [cut]


async def test_outages_are_forgotten_so_long_after_their_end(rows: Rows) -> None:
    mine = await account(rows)
    for began, ended in ((50, 25), (100, 23), (200, None)):
        await outage(rows, mine, began, ended)
    async with rows.db.connection() as connection:
        await lateness.forget_outages(connection, DAY)
    assert await rows.one("SELECT array_agg(round(extract(epoch FROM now() - began_at) / 3600)) FROM outage") == [
        100,
        200,
    ]


async def test_nothing_that_may_be_out_expires(rows: Rows) -> None:
    mine = await account(rows)
    await outage(rows, mine, 100)
    sending, retried = [await rows.message(mine, due_in=-99 * 3600) for _ in range(2)]
    await rows.one("UPDATE message SET status = 'sending', claimed_at = now() WHERE id = $1", sending)
    await rows.one("UPDATE message SET unconfirmed = 1 WHERE id = $1", retried)
    await expire(rows, mine)
    assert [await rows.status(one) for one in (sending, retried)] == ["sending", "waiting"]


async def open_since(rows: Rows, account: UUID) -> timedelta | None:
    since: timedelta | None = await rows.one(
        "SELECT now() - began_at FROM outage WHERE account_id = $1 AND ended_at IS NULL", account
    )
    return since


async def test_every_way_to_lose_the_connection_begins_an_outage_and_connecting_ends_it(
    db: Database, rows: Rows
) -> None:
    mine, worker = await account(rows), await rows.worker()
    await rows.own(worker)

    async def connect() -> None:
        async with db.connection() as connection:
            await connection.execute("UPDATE account SET status = 'linked'")
            await fenced_accounts.connected(connection, worker, mine, None)

    await connect()
    losses: tuple[Callable[[Connection], Awaitable[bool]], ...] = (
        lambda connection: fenced_accounts.disconnected(connection, worker, mine, "connection_lost"),
        lambda connection: fenced_accounts.all_disconnected(connection, worker, "engine_restarts"),
        lambda connection: fenced_accounts.restricted(connection, worker, mine, 101, None, otherwise=DAY),
        lambda connection: fenced_accounts.unlinked(connection, worker, mine, "logged_out", "unlinked_on_phone"),
    )
    for lose in losses:
        assert await open_since(rows, mine) is None
        async with db.connection() as connection:
            await lose(connection)
        assert await open_since(rows, mine) is not None
        await connect()


async def test_a_worker_that_died_had_cut_its_accounts_off_since_its_last_sign_of_life(
    db: Database, rows: Rows
) -> None:
    mine, worker, heir = await account(rows), await rows.worker(), await rows.worker()
    await rows.own(worker)
    await rows.one(
        "UPDATE worker SET heartbeat_at = now() - interval '3 days', healthy_since = now() - interval '4 days'"
        " WHERE id = $1",
        worker,
    )
    await rows.one("DELETE FROM outage")
    await rows.one("UPDATE worker SET healthy_since = now() - interval '1 hour' WHERE id = $1", heir)
    async with db.connection() as connection:
        assert (await workers.reap(connection, heir, lease=timedelta(seconds=6))).workers == {worker}
    since = await open_since(rows, mine)
    assert since is not None
    assert since > timedelta(days=2.9)


async def test_a_worker_that_ends_in_order_cuts_its_accounts_off_at_once(db: Database, rows: Rows) -> None:
    mine, worker = await account(rows), await rows.worker()
    await rows.own(worker)
    async with db.connection() as connection:
        await workers.remove(connection, worker)
    assert await open_since(rows, mine) is not None
    assert not await rows.one("SELECT connected FROM account")
