"""Accounts: what users ask of them, and what their worker, and nobody else, writes of them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.store import accounts, users
from chatwren.store.database import Database
from chatwren.store.fenced import accounts as fenced_accounts

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def account(rows: Rows) -> Any:
    async with rows.db.connection() as connection:
        return await connection.fetchrow("SELECT *, now() AS now FROM account")


@pytest.fixture
async def mine(rows: Rows) -> UUID:
    """Alice's account, connected since an hour ago."""
    mine = await rows.account("alice")
    await rows.one("UPDATE account SET connected_since = now() - interval '1 hour', name = 'Alice'")
    return mine


@pytest.fixture
async def worker(rows: Rows, mine: UUID) -> UUID:
    """Who owns it."""
    worker = await rows.worker()
    await rows.one("INSERT INTO lease (account_id, worker_id, epoch) VALUES ($1, $2, 1)", mine, worker)
    return worker


async def test_two_that_ask_at_once_get_the_same_account(db: Database, rows: Rows) -> None:
    alice = await rows.user("alice")

    async def create() -> UUID:
        async with db.transaction() as connection:
            assert await users.lock(connection, alice)
            found = await accounts.create_default(connection, alice)
            await connection.execute("SELECT pg_sleep(0.05)")
            return found.id

    made = await asyncio.gather(*(create() for _ in range(5)))
    assert len(set(made)) == 1
    assert await rows.one("SELECT count(*) FROM account") == 1


async def test_the_first_account_is_the_one_that_was_made_first(db: Database, rows: Rows) -> None:
    first, second = await rows.account("alice"), await rows.account("alice")
    charlies = await rows.account("charlie")
    await rows.one("UPDATE account SET created_at = now() - interval '1 day' WHERE id = $1", first)
    await rows.one("UPDATE account SET created_at = now() - interval '2 days' WHERE id = $1", charlies)
    assert first != second
    async with db.connection() as connection:
        found = await accounts.default_of_user(connection, rows.users["alice"])
    assert found is not None
    assert found.id == first


async def test_a_logout_is_asked_for_once_and_of_what_is_linked(db: Database, rows: Rows, mine: UUID) -> None:
    async with db.connection() as connection:
        await accounts.want_logout(connection, mine)
        wanted = (await account(rows))["logout_wanted_at"]
        assert wanted is not None
        await accounts.want_logout(connection, mine)
        assert (await account(rows))["logout_wanted_at"] == wanted
        await rows.one("UPDATE account SET status = 'logged_out', logout_wanted_at = NULL")
        await accounts.want_logout(connection, mine)
    assert (await account(rows))["logout_wanted_at"] is None


async def test_a_hold_keeps_why_it_is_held_already(db: Database, rows: Rows, mine: UUID) -> None:
    await rows.one("UPDATE account SET held_reason = 'relinked_other_number', held_since = now() - interval '1 h'")
    before = await account(rows)
    async with db.connection() as connection:
        await accounts.hold(connection, mine)
        after = await account(rows)
        assert [after[name] for name in ("held_reason", "held_since")] == [
            before[name] for name in ("held_reason", "held_since")
        ]
        await accounts.release(connection, mine)
        assert (await account(rows))["held_since"] is None
        await accounts.hold(connection, mine)
    assert (await account(rows))["held_reason"] == "user"


async def test_each_wish_for_groups_is_a_new_one(db: Database, mine: UUID) -> None:
    async with db.connection() as connection:
        first, second = [await accounts.want_groups(connection, mine) for _ in range(2)]
    assert first < second


async def test_nothing_is_written_by_a_worker_that_does_not_own_the_account(
    db: Database, rows: Rows, mine: UUID, worker: UUID
) -> None:
    former = await rows.worker()
    await rows.one("UPDATE account SET groups_at = now()")
    before = dict(await account(rows))
    async with db.connection() as connection:
        written = [
            await fenced_accounts.connected(connection, former, mine, "Mallory"),
            await fenced_accounts.disconnected(connection, former, mine, "connection_lost"),
            await fenced_accounts.all_disconnected(connection, former, "engine_restarts"),
            await fenced_accounts.restricted(connection, former, mine, 101, None, otherwise=HOUR),
            await fenced_accounts.unlinked(connection, former, mine, "banned", "x"),
            await fenced_accounts.named(connection, former, mine, "Mallory"),
            await fenced_accounts.store_groups(connection, former, mine, [], before["now"]),
        ]
        await fenced_accounts.groups_changed(connection, former, mine)
    assert not any(written)
    after = dict(await account(rows))
    assert before | {"now": None} == after | {"now": None}
    async with db.connection() as connection:
        assert await fenced_accounts.named(connection, worker, mine, "Alice")


async def test_since_when_it_is_connected_or_not(db: Database, rows: Rows, mine: UUID, worker: UUID) -> None:
    async def since() -> timedelta:
        row = await account(rows)
        since: timedelta = row["now"] - row["connected_since"]
        return since

    async with db.connection() as connection:
        await fenced_accounts.connected(connection, worker, mine, None)
        assert await since() > HOUR  # it was already
        await fenced_accounts.disconnected(connection, worker, mine, "connection_lost")
        assert await since() < HOUR
        await rows.one("UPDATE account SET connected_since = now() - interval '2 hours'")
        await fenced_accounts.disconnected(connection, worker, mine, "replaced")
        await fenced_accounts.all_disconnected(connection, worker, "engine_restarts")
        assert await since() > HOUR
        row = await account(rows)
        assert (row["connected"], row["offline_reason"], row["name"]) == (False, "replaced", "Alice")
        await fenced_accounts.connected(connection, worker, mine, "Alice A.")
        assert await since() < HOUR
        row = await account(rows)
        assert (row["connected"], row["offline_reason"], row["name"]) == (True, None, "Alice A.")
        await fenced_accounts.connected(connection, worker, mine, None)
        assert (await account(rows))["name"] == "Alice A."
        assert await fenced_accounts.all_disconnected(connection, worker, "engine_restarts")
    assert not (await account(rows))["connected"]


@pytest.mark.parametrize(("code", "ends"), [(101, True), (199, True), (429, False)])
async def test_connecting_ends_a_ban_for_a_time_and_no_other_restriction(
    db: Database, rows: Rows, mine: UUID, worker: UUID, code: int, *, ends: bool
) -> None:
    await rows.one("UPDATE account SET restriction_code = $1, restricted_until = now() + interval '1 hour'", code)
    async with db.connection() as connection:
        await fenced_accounts.connected(connection, worker, mine, None)
    row = await account(rows)
    assert (row["restriction_code"], row["restricted_until"] is None) == (None if ends else code, ends)


async def test_a_ban_lasts_as_long_as_whatsapp_says_or_else_as_we_guess(
    db: Database, rows: Rows, mine: UUID, worker: UUID
) -> None:
    async with db.connection() as connection:
        said = await connection.fetchval("SELECT now() + interval '3 hours'")
        await fenced_accounts.restricted(connection, worker, mine, 101, said, otherwise=HOUR)
        assert (await account(rows))["restricted_until"] == said
        await fenced_accounts.restricted(connection, worker, mine, 102, None, otherwise=HOUR)
    row = await account(rows)
    assert row["restriction_code"] == 102
    assert timedelta(minutes=59) < row["restricted_until"] - row["now"] <= HOUR


async def test_unlinking_is_the_first_word_that_counts_and_answers_every_wish(
    db: Database, rows: Rows, mine: UUID, worker: UUID
) -> None:
    await rows.one("UPDATE account SET logout_wanted_at = now(), restriction_code = 101, restricted_until = now()")
    async with db.connection() as connection:
        assert await fenced_accounts.unlinked(connection, worker, mine, "banned", "banned")
        assert not await fenced_accounts.unlinked(connection, worker, mine, "logged_out", "device_gone")
    row = await account(rows)
    assert (row["status"], row["status_reason"], row["connected"]) == ("banned", "banned", False)
    assert (row["logout_wanted_at"], row["restriction_code"], row["restricted_until"]) == (None, None, None)


async def test_a_list_of_groups_that_changed_is_asked_for_again_if_it_ever_was(
    db: Database, rows: Rows, mine: UUID, worker: UUID
) -> None:
    async with db.connection() as connection:
        await fenced_accounts.groups_changed(connection, worker, mine)
        assert (await account(rows))["groups_wanted_at"] is None
        wanted = await accounts.want_groups(connection, mine)
        await fenced_accounts.store_groups(connection, worker, mine, [{"id": "1203@g.us"}], wanted)
        assert await accounts.groups(connection, mine) == ([{"id": "1203@g.us"}], wanted)
        await fenced_accounts.groups_changed(connection, worker, mine)
    assert (await account(rows))["groups_wanted_at"] > wanted
