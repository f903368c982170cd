"""Linking and groups as a request sees them: what is answered at once, and what has to be waited for."""

import asyncio
from uuid import UUID

import pytest
from tests.unit.delivery.conftest import Rows, until

from chatwren.domain.errors import Unavailable
from chatwren.service import whatsapp
from chatwren.service.limits import Limits
from chatwren.service.users import User
from chatwren.service.whatsapp import Group, time_zone
from chatwren.store import account_state, accounts
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio

OLD = [{"id": "1203@g.us", "name": "Old", "participants": [], "size": 1}]
NEW = [{"id": "1203@g.us", "name": "New", "participants": [], "size": 2}]


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


def user(user_id: UUID, zone: str | None = None) -> User:
    return User(user_id, "alice", "Alice", "", "", "", zone)


async def test_a_linked_account_is_told_so_though_it_is_offline(db: Database, rows: Rows) -> None:
    await rows.account("alice", connected=False)
    assert (await whatsapp.create_qr(db, Limits(db), user(rows.users["alice"]))).status == "authenticated"
    assert await rows.one("SELECT count(*) FROM pairing") == 0


async def test_a_refreshed_list_is_one_that_was_asked_for_since(db: Database, rows: Rows) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    async with db.connection() as connection:
        earlier = await accounts.want_groups(connection, account)
        await account_state.store_groups(connection, worker, account, OLD, earlier)
    assert [one.name for one in await whatsapp.groups(db, rows.users["alice"], refresh=False)] == ["Old"]
    asking = asyncio.create_task(whatsapp.groups(db, rows.users["alice"], refresh=True))
    await until(lambda: rows.one("SELECT groups_wanted_at > groups_at FROM account"))
    async with db.connection() as connection:
        await account_state.store_groups(connection, worker, account, OLD, earlier)  # an answer to an earlier wish
        wanted = await connection.fetchval("SELECT groups_wanted_at FROM account")
        await asyncio.sleep(0.3)  # it looks every 0.1 s
        assert not asking.done()
        await account_state.store_groups(connection, worker, account, NEW, wanted)
    assert await asking == [Group("1203@g.us", "New", [], 2)]


async def test_a_list_that_does_not_come_is_not_waited_for_for_ever(db: Database, rows: Rows) -> None:
    await rows.account("alice")
    with pytest.raises(Unavailable):
        await whatsapp.groups(db, rows.users["alice"], refresh=False, wait=0.2)


@pytest.mark.parametrize(
    ("own", "default", "phone", "zone"),
    [
        ("Asia/Dubai", "Europe/Berlin", "919876543210", "Asia/Dubai"),
        (None, "Europe/Berlin", "919876543210", "Europe/Berlin"),
        (None, None, "919876543210", "Asia/Kolkata"),
        (None, None, "12025550123", None),
    ],
)
async def test_the_zone_is_the_users_then_the_operators_then_the_countrys(
    db: Database, rows: Rows, own: str | None, default: str | None, phone: str, *, zone: str | None
) -> None:
    await rows.account("alice")
    await rows.one("UPDATE account SET phone = $1", phone)
    async with db.connection() as connection:
        account = await accounts.first_of_user(connection, rows.users["alice"])
    assert time_zone(user(rows.users["alice"], own), account, default=default) == zone
