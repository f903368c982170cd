"""Linking and groups as a request sees them: what is answered at once, and what has to be waited for."""

import asyncio
from datetime import timedelta

import pytest
from tests.rows import Rows
from tests.unit.service.conftest import caller_of
from tests.waiting import until

from chatwren.domain.errors import Conflict, NotAuthenticated, Unavailable
from chatwren.service import accounts as service
from chatwren.service import linking
from chatwren.service.accounts import Group
from chatwren.service.limits import Limits
from chatwren.store import accounts
from chatwren.store.database import Database
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import pairings as fenced_pairings

pytestmark = pytest.mark.anyio

OLD = [{"id": "1203@g.us", "name": "Old", "participants": [], "size": 1}]
NEW = [{"id": "1203@g.us", "name": "New", "participants": [], "size": 2}]


async def test_a_linked_account_is_told_so_though_it_is_offline(db: Database, rows: Rows) -> None:
    await rows.account("alice", connected=False)
    alice = await caller_of(db, rows.users["alice"])
    assert (await linking.create_qr(db, Limits(db), alice, None)).status == "authenticated"
    assert await rows.one("SELECT count(*) FROM pairing") == 0


async def test_a_refreshed_list_is_one_that_was_asked_for_since(db: Database, rows: Rows) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    async with db.connection() as connection:
        earlier = await accounts.want_groups(connection, account)
        await fenced_accounts.store_groups(connection, worker, account, OLD, earlier)
    assert [one.name for one in await service.groups(db, rows.users["alice"], account, refresh=False)] == ["Old"]
    assert await rows.one("SELECT groups_wanted_at FROM account") == earlier
    asking = asyncio.create_task(service.groups(db, rows.users["alice"], account, refresh=True))
    await until(lambda: rows.one("SELECT groups_wanted_at > groups_at FROM account"))
    async with db.connection() as connection:
        await fenced_accounts.store_groups(connection, worker, account, OLD, earlier)  # an answer to an earlier wish
        wanted = await connection.fetchval("SELECT groups_wanted_at FROM account")
        await asyncio.sleep(0.3)  # it looks every 0.1 s
        assert not asking.done()
        await fenced_accounts.store_groups(connection, worker, account, NEW, wanted)
    assert await asking == [Group("1203@g.us", "New", [], 2)]


async def test_of_an_account_that_is_logged_out_the_list_is_the_last_or_none(db: Database, rows: Rows) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    await rows.one("UPDATE account SET status = 'logged_out', connected = false")
    with pytest.raises(Conflict) as refused:
        await service.groups(db, rows.users["alice"], account, refresh=False, wait=0.2)
    assert refused.value.code == "logged_out"
    async with db.connection() as connection:
        await fenced_accounts.store_groups(
            connection, worker, account, OLD, await accounts.want_groups(connection, account)
        )
    for refresh in (False, True):
        assert [one.name for one in await service.groups(db, rows.users["alice"], account, refresh=refresh)] == ["Old"]


async def test_a_session_that_has_ended_begins_no_linking(db: Database, rows: Rows) -> None:
    alice = await caller_of(db, await rows.user("alice"))
    await rows.one("DELETE FROM session")
    with pytest.raises(NotAuthenticated):
        await linking.create_qr(db, Limits(db), alice, None, wait=0)
    with pytest.raises(NotAuthenticated):
        await linking.pair_by_phone(db, Limits(db), alice, None, "919876543210", wait=0)
    assert await rows.one("SELECT count(*) FROM pairing") == 0


async def test_a_pairing_is_shown_while_it_has_codes_and_time(db: Database, rows: Rows) -> None:
    alice = await rows.user("alice")
    with pytest.raises(Unavailable):
        await linking.create_qr(db, Limits(db), await caller_of(db, alice), None, wait=0)
    pairing, token = await rows.one("SELECT id FROM pairing"), await rows.one("SELECT token FROM pairing")

    async def shown() -> tuple[str, str]:
        state = await service.status(db, alice, await rows.one("SELECT id FROM account"))
        return state.status, (await linking.qr_picture(db, token)).state

    assert await shown() == ("connecting", "expired")
    async with db.connection() as connection:
        await fenced_pairings.show_codes(connection, pairing, [("a", timedelta(seconds=60))])
    assert await shown() == ("qr", "codes")
    await rows.one("UPDATE pairing SET expires_at = now()")
    assert (await shown())[0] == "disconnected"
    async with db.connection() as connection:
        await fenced_pairings.fail(connection, pairing, "linked_elsewhere")
    assert await shown() == ("disconnected", "expired")
    reason = (await service.status(db, alice, await rows.one("SELECT id FROM account"))).reason
    assert reason is not None
    assert reason.code == "linked_elsewhere"


@pytest.mark.parametrize(
    ("change", "health"),
    [
        ("connected = true", "ok"),
        ("connected = false", "offline"),
        ("restriction_code = 101, restricted_until = now() + interval '1 h'", "restricted"),
        ("restriction_code = 101, restricted_until = now() - interval '1 h'", "ok"),
    ],
)
async def test_the_health_of_a_linked_account(db: Database, rows: Rows, change: str, health: str) -> None:
    account = await rows.account("alice")
    await rows.one(f"UPDATE account SET {change}")
    state = await service.status(db, rows.users["alice"], account)
    assert (state.status, state.health) == ("authenticated", health)
    assert (state.until is not None) == (health == "restricted")


async def test_a_list_that_does_not_come_is_not_waited_for_for_ever(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    with pytest.raises(Unavailable):
        await service.groups(db, rows.users["alice"], account, refresh=False, wait=0.2)
