"""Who is told at once of what: workers of work, web processes of changes. Without it, polls would notice later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from tests.rows import Rows
from tests.unit.delivery.test_claim import TERMS, claim
from tests.unit.service.conftest import caller_of, hello, intake_of
from tests.waiting import until

from chatwren.delivery.recorder import Recorder
from chatwren.domain.facts import Inbound, Receipt
from chatwren.domain.ids import uuid7
from chatwren.domain.messages import Filter, Status
from chatwren.domain.outcomes import Decision
from chatwren.service import accounts, arrivals, bulk, housekeeping, messages, sessions
from chatwren.service.computing import Computing
from chatwren.service.events import Changes
from chatwren.service.limits import Limits
from chatwren.service.linking import create_qr
from chatwren.service.sessions import Sessions
from chatwren.settings import Settings
from chatwren.store.database import OF_USERS, Database, Topic
from chatwren.store.fenced import pairings as fenced_pairings
from chatwren.store.fenced.messages import Outcome

pytestmark = pytest.mark.anyio

Told = dict[Topic, set[UUID]]


@pytest.fixture
async def told(db: Database) -> AsyncIterator[Told]:
    """What was told so far, by topic."""
    told: Told = {}
    ready = asyncio.Event()

    def hear(topic: Topic, ids: set[UUID]) -> None:
        told.setdefault(topic, set()).update(ids)

    listening = asyncio.create_task(db.listen(list(Topic), hear, on_gap=ready.set))
    await ready.wait()
    yield told
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_accepting_tells_the_worker_and_the_users_pages(
    db: Database, rows: Rows, told: Told, tmp_path: Path
) -> None:
    account = await rows.account("alice")
    async with db.transaction() as connection:
        sid = await sessions.start(connection, rows.users["alice"], instead_of=None, at_most=50)
    alice = await Sessions(db).caller(sid)
    assert alice is not None
    await intake_of(db, tmp_path).accept(alice, alice.account, hello())
    await until(lambda: told == {Topic.WORK: {account}, Topic.MESSAGES: {rows.users["alice"]}})


Do = Callable[[Rows, UUID, UUID, UUID], Awaitable[object]]


async def rewrite(rows: Rows, user: UUID, _account: UUID, message: UUID) -> None:
    limits = Limits(rows.db)
    await messages.change(rows.db, user, message, limits=limits, computing=Computing(limits), text="new")


async def retry(rows: Rows, user: UUID, _account: UUID, message: UUID) -> None:
    await rows.one(
        "UPDATE message SET status = 'failed', ended_at = now(), error_code = '', error_message = '' WHERE id = $1",
        message,
    )
    limits = Limits(rows.db)
    await messages.retry(rows.db, user, message, limits=limits, computing=Computing(limits))


async def deliver(rows: Rows, _user: UUID, account: UUID, message: UUID) -> None:
    row = await rows.get(message)
    await rows.one("UPDATE message SET status = 'sent', claimed_at = now(), sent_at = now() WHERE id = $1", message)
    chat = f"{row['recipient']}@s.whatsapp.net"
    async with rows.db.transaction() as connection:
        receipt = Receipt(account, row["wa_id"], chat, None, read=False, at=datetime.now(UTC))
        await arrivals.store(connection, [receipt], [])


async def write(rows: Rows, _user: UUID, account: UUID, _message: UUID) -> None:
    chat = "4915209999@s.whatsapp.net"
    arrived = Inbound(account, chat, chat, "ID", None, None, None, False, False, datetime.now(UTC), "Hi", None)
    async with rows.db.transaction() as connection:
        await arrivals.store(connection, [], [arrived])


async def hand_over_many(rows: Rows, user: UUID, account: UUID, _message: UUID) -> None:
    bulk_id = uuid7()
    await rows.one("INSERT INTO bulk (id, user_id, account_id, total) VALUES ($1, $2, $3, 1)", bulk_id, user, account)
    await rows.one(
        "INSERT INTO bulk_row (bulk_id, line, given) VALUES ($1, 1, $2)",
        bulk_id,
        '{"phoneId": "+4915200001", "message": "hello"}',
    )


async def accept_many(rows: Rows, user: UUID, account: UUID, message: UUID) -> None:
    await hand_over_many(rows, user, account, message)
    assert await bulk.accept_some(rows.db, default_zone=None)


async def stop_many(rows: Rows, user: UUID, account: UUID, message: UUID) -> None:
    await hand_over_many(rows, user, account, message)
    assert await messages.cancel_all(rows.db, Filter(user)) == 2


WORK, MESSAGES, ACCOUNT, BULK, INBOX = Topic


@pytest.mark.parametrize(
    ("do", "topics"),
    [
        (lambda rows, user, account, _: accounts.hold(rows.db, user, account), {ACCOUNT}),
        (lambda rows, user, account, _: accounts.release(rows.db, user, account), {WORK, ACCOUNT}),
        (lambda rows, user, account, _: accounts.logout(rows.db, user, account), {WORK}),
        (lambda rows, user, _, message: messages.cancel(rows.db, user, message), {MESSAGES}),
        (rewrite, {WORK, MESSAGES}),
        (retry, {WORK, MESSAGES}),
        (deliver, {MESSAGES}),
        (write, {INBOX}),
        (accept_many, {WORK, MESSAGES, BULK}),
        (stop_many, {MESSAGES, BULK}),
    ],
    ids=["hold", "release", "logout", "cancel", "change", "retry", "receipt", "inbound", "bulk", "stop"],
)
async def test_a_change_is_told(rows: Rows, told: Told, do: Do, topics: set[Topic]) -> None:
    account = await rows.account("alice")
    message = await rows.message(account)
    await do(rows, rows.users["alice"], account, message)
    expected = {topic: {account if topic is WORK else rows.users["alice"]} for topic in topics}
    await until(lambda: told == expected)


async def test_what_changes_nothing_is_not_told(db: Database, rows: Rows, told: Told) -> None:
    account = await rows.account("alice")
    message = await rows.message(account)
    await messages.cancel(db, rows.users["alice"], message)
    await until(lambda: told)
    told.clear()
    await messages.cancel(db, rows.users["alice"], message)
    await accounts.hold(db, rows.users["alice"], account)
    await until(lambda: told)
    assert told == {ACCOUNT: {rows.users["alice"]}}


async def test_each_step_of_a_linking_is_told(db: Database, rows: Rows, told: Told) -> None:
    account, worker = uuid7(), await rows.worker()
    user = await rows.user("alice")
    await rows.one("INSERT INTO account (id, user_id) VALUES ($1, $2)", account, user)
    asking = asyncio.create_task(create_qr(db, Limits(db), await caller_of(db, user), account, wait=30))
    await until(lambda: told == {WORK: {account}})
    told.clear()
    pairing = await rows.one("SELECT id FROM pairing")
    async with db.connection() as connection:
        await fenced_pairings.show_codes(connection, pairing, [("code", timedelta(seconds=60))])
    await until(lambda: told == {ACCOUNT: {user}})
    await asking
    told.clear()
    await rows.own(worker)
    async with db.transaction() as connection:
        found = {"jid": "49151:1@s.whatsapp.net", "lid": "1@lid", "phone": "49151"}
        assert await fenced_pairings.succeed(connection, worker, pairing, **found) is None
    await until(lambda: told == {ACCOUNT: {user}})


async def test_what_has_expired_is_told(db: Database, rows: Rows, told: Told) -> None:
    account = await rows.account("alice", connected=False)
    await rows.message(account, due_in=-9 * 86400)
    await rows.one("INSERT INTO outage (account_id, began_at) VALUES ($1, now() - interval '8 days')", account)
    await housekeeping.often(db, Settings(_env_file=None))
    await until(lambda: told == {WORK: {account}, MESSAGES: {rows.users["alice"]}})


@pytest.mark.parametrize("first", [True, False])
async def test_an_attempt_and_its_outcome_are_told(db: Database, rows: Rows, told: Told, *, first: bool) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    await rows.message(account)
    (claimed,) = await claim(db, worker, account)
    await until(lambda: told == {MESSAGES: {rows.users["alice"]}})
    told.clear()
    recorder = Recorder(db, worker, terms=TERMS, on_recorded=lambda _: None, may_claim=lambda _: [])
    sent = Decision(Status.SENT, fact=True)
    await recorder.record(Outcome(claimed.id, account, claimed.epoch, sent, first=first))
    await until(lambda: told == {MESSAGES: {rows.users["alice"]}})
    await recorder.end()


async def test_a_listener_learns_what_has_changed_of_its_user(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    await rows.account("charlie")
    alice, charlie = rows.users["alice"], rows.users["charlie"]
    changes = Changes(db)
    async with (
        aclosing(changes.of_user(alice, heartbeat=30)) as alices,
        aclosing(changes.of_user(charlie, heartbeat=30)) as charlies,
    ):
        asking = [asyncio.ensure_future(anext(one)) for one in (alices, charlies)]
        await asyncio.sleep(0)
        running = asyncio.create_task(changes.run())
        assert await asyncio.gather(*asking) == [OF_USERS, OF_USERS], "whatever was before it heard anything"
        charlies_next = asyncio.ensure_future(anext(charlies))
        await stop_many(rows, alice, account, await rows.message(account))
        heard: set[Topic] = set()
        while not heard >= {MESSAGES, BULK}:
            heard |= await anext(alices)
        assert heard == {MESSAGES, BULK}
        await accounts.hold(db, alice, account)
        assert await anext(alices) == {ACCOUNT}
        assert not charlies_next.done()
        running.cancel()
        charlies_next.cancel()
        await asyncio.gather(running, charlies_next, return_exceptions=True)


async def test_without_a_change_a_listener_is_told_that_there_is_none(db: Database, rows: Rows) -> None:
    async with aclosing(Changes(db).of_user(await rows.user("alice"), heartbeat=0.01)) as changes:
        assert await anext(changes) == set()
