"""What is known of an account's cap is asked for now and then, not for each message."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from tests.rows import Rows
from tests.unit.delivery.test_cold import row

from chatwren.domain.pacing import ColdCap, Pacing
from chatwren.service import new_contacts
from chatwren.service.new_contacts import NewContacts
from chatwren.store import accounts
from chatwren.store.database import Connection, Database

pytestmark = pytest.mark.anyio


class Asked:
    """Counts how often the database is asked."""

    def __init__(self, db: Database, rows: Rows) -> None:
        self.db = db
        self.rows = rows
        self.times = 0

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        self.times += 1
        async with self.db.connection() as connection:
            yield connection

    async def warning(self, told: NewContacts, account: UUID) -> str | None:
        async with self.db.connection() as connection:
            found = await accounts.get(connection, self.rows.users["alice"], account)
        assert found is not None
        return await told.warning(found, row(self.rows, account, "4915200002"), self.connect, zone=lambda: None)


@pytest.fixture
def asked(db: Database, rows: Rows) -> Asked:
    return Asked(db, rows)


async def capped(rows: Rows, cap: int) -> UUID:
    account = await rows.account()
    await rows.pace(account, Pacing(timedelta(), timedelta(), ColdCap(cap, 0, cap)))
    return account


async def test_many_messages_are_one_question(asked: Asked, rows: Rows) -> None:
    told, account = NewContacts(), await capped(rows, 2)
    warned = [await asked.warning(told, account) is not None for _ in range(4)]
    assert (warned, asked.times) == ([False, False, True, True], 1)


async def test_it_is_asked_for_again_after_a_while(asked: Asked, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_contacts, "_FRESH_SECONDS", 0.0)
    told, account = NewContacts(), await capped(rows, 1)
    assert await asked.warning(told, account) is None
    await rows.one("INSERT INTO contact (account_id, address, cold_at) VALUES ($1, '1', now())", account)
    assert await asked.warning(told, account) is not None
    assert asked.times == 2


async def test_few_accounts_are_remembered(asked: Asked, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_contacts, "_KEPT", 2)
    told, mine = NewContacts(), [await capped(rows, 1) for _ in range(3)]
    for account in (mine[0], mine[1], mine[0], mine[2], mine[2]):
        await asked.warning(told, account)
    assert asked.times == 3
    await asked.warning(told, mine[0])
    assert asked.times == 4


async def test_without_a_cap_nothing_is_told(asked: Asked, rows: Rows) -> None:
    told, account = NewContacts(), await capped(rows, 0)
    for number in range(3):
        await rows.message(account, to=f"491520000{number}", lane="cold")
        assert await asked.warning(told, account) is None
