"""Two accounts of one user: each message's reason, time, pace and cap are those of the account that sends it."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.rows import Rows, receipt_of
from tests.unit.delivery.test_claim import claim

from chatwren.domain.messages import Filter, Status
from chatwren.domain.outcomes import Decision
from chatwren.domain.pacing import ColdCap, Pacing
from chatwren.service import accounts, messages
from chatwren.store import cold, facts
from chatwren.store.database import Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Outcome

pytestmark = pytest.mark.anyio

QUICK = Pacing(timedelta(seconds=10), timedelta(0), ColdCap(0, 0, 0))
SLOW = Pacing(timedelta(seconds=60), timedelta(0), ColdCap(first=1, growth=0, most=1))
SERVERS = Pacing(timedelta(seconds=300), timedelta(0), ColdCap(first=7, growth=0, most=7))


@pytest.fixture
async def quick(rows: Rows) -> UUID:
    """Alice's usual account: the first."""
    account = await rows.account("alice")
    await rows.pace(account, QUICK)
    return account


@pytest.fixture
async def slow(rows: Rows, quick: UUID) -> UUID:  # noqa: ARG001 - it comes second
    account = await rows.account("alice")
    await rows.pace(account, SLOW)
    return account


async def shown(rows: Rows, message: UUID) -> tuple[str | None, int | None]:
    """Why a message waits, and in how many seconds it is tried next."""
    found, _ = await messages.get(rows.db, rows.users["alice"], message)
    at = found.next_attempt.at if found.next_attempt else None
    seconds = round((at - await rows.one("SELECT now()")).total_seconds()) if at else None
    return found.reason.code if found.reason else None, seconds


async def test_each_message_waits_for_its_own_account(rows: Rows, quick: UUID, slow: UUID) -> None:
    behind = {}
    for account in (quick, slow):
        await rows.message(account)
        behind[account] = await rows.message(account)
    assert [await shown(rows, behind[one]) for one in (quick, slow)] == [("pacing", 10), ("pacing", 60)]
    await accounts.hold(rows.db, rows.users["alice"], slow)
    assert [await shown(rows, behind[one]) for one in (quick, slow)] == [("pacing", 10), ("held", None)]
    page = await messages.page(rows.db, Filter(rows.users["alice"]), page=1, limit=10)
    reasons = [one.reason.code if one.reason else None for one in page.messages]
    assert reasons == ["held", "held", "pacing", "pacing"]


async def test_what_one_account_is_told_changes_no_other(rows: Rows, quick: UUID, slow: UUID) -> None:
    await accounts.hold(rows.db, rows.users["alice"], slow)
    told = [await accounts.status(rows.db, rows.users["alice"], one) for one in (quick, slow)]
    assert [one.reason.code if one.reason else None for one in told] == [None, "held"]
    assert [one.phone for one in told] == ["+491510000001", "+491510000002"]
    assert [one.new_contacts.cap for one in told if one.new_contacts] == [None, 1]


async def test_charlie_has_none_of_them(rows: Rows, quick: UUID) -> None:
    charlie = await rows.user("charlie")
    assert (await accounts.status(rows.db, charlie, quick)).status == "disconnected"


async def test_the_cap_of_new_contacts_is_the_accounts_own(rows: Rows, quick: UUID, slow: UUID) -> None:
    worker = await rows.worker()
    await rows.own(worker)
    for account in (quick, slow):
        await rows.one(
            "INSERT INTO contact (account_id, address, reached_at, cold_at) VALUES ($1, 'used', now(), now())", account
        )
        await rows.message(account, lane="cold")
    assert [one.account for one in await claim(rows.db, worker, quick, slow)] == [quick]


@pytest.mark.parametrize("by", ["outcome", "receipt"])
async def test_the_pause_after_a_message_is_the_accounts_own(rows: Rows, quick: UUID, slow: UUID, by: str) -> None:
    worker = await rows.worker()
    await rows.own(worker)
    for account in (quick, slow):
        await rows.message(account)
    claimed = await claim(rows.db, worker, quick, slow)
    async with rows.db.transaction() as connection:
        if by == "outcome":
            outcomes = [Outcome(one.id, one.account, one.epoch, Decision(Status.SENT, fact=True)) for one in claimed]
            await fenced_messages.record(connection, worker, outcomes)
        else:
            now = await connection.fetchval("SELECT now()")
            receipts = [receipt_of(one, at=now) for one in claimed]
            await facts.apply_receipts(connection, receipts)
    pauses = {
        account: await rows.one(
            "SELECT a.next_at - m.claimed_at FROM account a JOIN message m ON m.account_id = a.id WHERE a.id = $1",
            account,
        )
        for account in (quick, slow)
    }
    assert pauses == {quick: QUICK.gap, slow: SLOW.gap}


async def test_an_account_without_a_pace_of_its_own_has_the_servers(
    rows: Rows, quick: UUID, slow: UUID, database_url: str
) -> None:
    await rows.pace(quick, None)
    async with Database.connect(database_url, pacing=SERVERS) as db, db.connection() as connection:
        assert (await cold.state(connection, quick)).cap == SERVERS.cold.first
        assert (await cold.state(connection, slow)).cap == SLOW.cold.first
    behind = [await rows.message(quick) for _ in range(2)][1]
    async with Database.connect(database_url, pacing=SERVERS) as db:
        found, _ = await messages.get(db, rows.users["alice"], behind)
    assert found.next_attempt is not None
    now = await rows.one("SELECT now()")
    assert round((found.next_attempt.at - now).total_seconds()) == SERVERS.gap.total_seconds()
