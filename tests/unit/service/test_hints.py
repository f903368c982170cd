"""Who is told at once of what: workers of work, web processes of changes. Without it, polls would notice later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from tests.unit.delivery.conftest import Rows, until
from tests.unit.delivery.test_claim import claim
from tests.unit.service.conftest import hello, intake_of

from chatwren.delivery.recorder import Recorder
from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision
from chatwren.service import accounts, housekeeping, messages, sessions
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.service.sessions import Sessions
from chatwren.settings import Settings
from chatwren.store.database import CHANGED, WORK, Database
from chatwren.store.fenced.messages import Outcome

pytestmark = pytest.mark.anyio

Told = dict[str, set[UUID]]


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Told]:
    """What was told so far, by channel."""
    told: Told = {WORK: set(), CHANGED: set()}
    ready = {channel: asyncio.Event() for channel in told}
    listening = [
        asyncio.create_task(db.listen(channel, told[channel].update, on_gap=ready[channel].set)) for channel in told
    ]
    for one in ready.values():
        await one.wait()
    yield told
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


async def test_accepting_tells_the_worker_and_the_users_pages(
    db: Database, rows: Rows, told: Told, tmp_path: Path
) -> None:
    account = await rows.account("alice")
    async with db.transaction() as connection:
        sid = await sessions.start(connection, rows.users["alice"], instead_of=None, at_most=50)
    alice = await Sessions(db).caller(sid)
    assert alice is not None
    await intake_of(db, tmp_path).accept(alice, alice.account, hello())
    await until(lambda: told == {WORK: {account}, CHANGED: {rows.users["alice"]}})


Do = Callable[[Database, UUID, UUID, UUID], Awaitable[object]]


async def rewrite(db: Database, user: UUID, _account: UUID, message: UUID) -> None:
    limits = Limits(db)
    await messages.change(db, user, message, limits=limits, computing=Computing(limits), text="new")


@pytest.mark.parametrize(
    ("do", "works"),
    [
        (lambda db, user, account, _: accounts.hold(db, user, account), False),
        (lambda db, user, account, _: accounts.release(db, user, account), True),
        (lambda db, user, _, message: messages.cancel(db, user, message), False),
        (rewrite, True),
    ],
    ids=["hold", "release", "cancel", "change"],
)
async def test_a_change_is_told(db: Database, rows: Rows, told: Told, do: Do, *, works: bool) -> None:
    account = await rows.account("alice")
    message = await rows.message(account)
    await do(db, rows.users["alice"], account, message)
    await until(lambda: told == {WORK: {account} if works else set(), CHANGED: {rows.users["alice"]}})


async def test_what_has_expired_is_told(db: Database, rows: Rows, told: Told) -> None:
    account = await rows.account("alice", connected=False)
    await rows.message(account, due_in=-9 * 86400)
    await rows.one("INSERT INTO outage (account_id, began_at) VALUES ($1, now() - interval '8 days')", account)
    await housekeeping.often(db, Settings(_env_file=None))
    await until(lambda: told[CHANGED] == {rows.users["alice"]})


async def test_an_outcome_is_told(db: Database, rows: Rows, told: Told) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    await rows.message(account)
    (claimed,) = await claim(db, worker, account)
    recorder = Recorder(db, worker, lambda _: None)
    await recorder.record(Outcome(claimed.id, account, claimed.epoch, Decision(Status.SENT, fact=True)))
    await until(lambda: told[CHANGED] == {rows.users["alice"]})
    await recorder.end()
