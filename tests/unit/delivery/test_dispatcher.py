"""The dispatcher with a sender of the test's: order, one in flight, cancelling, the fence, and what fails."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from chatwren.channels.results import NotSent, NotSentReason, Refused, Result, Sent, Unknown
from chatwren.delivery import dispatch as delivery
from chatwren.delivery.dispatch import Dispatcher
from chatwren.delivery.fence import Fence, uptime
from chatwren.domain import reasons
from chatwren.domain.pacing import Pacing
from chatwren.settings import Settings
from chatwren.store import lateness, messages
from chatwren.store.database import Connection, Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claim, Claimed, Terms
from tests.cable import cable
from tests.rows import NO_CAP, Rows
from tests.unit.delivery.test_claim import claim
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Recorded:
    """A channel that notes what it is given, and answers as told."""

    address_age = upload_age = timedelta(days=1)

    def __init__(self) -> None:
        self.resend_is_safe = True
        self.sent: list[Claimed] = []
        self.under_way: dict[UUID, int] = defaultdict(int)
        self.most_at_once = 0
        self.answer: Callable[[Claimed], Awaitable[Result]] = self.acknowledge

    async def acknowledge(self, message: Claimed) -> Result:
        return Sent(message.wa_id)

    async def send(self, message: Claimed) -> Result:
        self.under_way[message.account] += 1
        self.most_at_once = max(self.most_at_once, self.under_way[message.account])
        self.sent.append(message)
        try:
            return await self.answer(message)
        finally:
            self.under_way[message.account] -= 1

    def texts(self, account: UUID | None = None) -> list[str]:
        return [one.text for one in self.sent if account in (None, one.account)]


@pytest.fixture
def sender() -> Recorded:
    return Recorded()


@pytest.fixture
def fence() -> Fence:
    fence = Fence(600)
    fence.renewed(uptime())
    return fence


Start = Callable[[], Awaitable[Dispatcher]]


@pytest.fixture
async def start(db: Database, rows: Rows, sender: Recorded, settings: Settings, fence: Fence) -> AsyncIterator[Start]:
    """Starts a dispatcher for all accounts that exist now."""
    running: list[asyncio.Task[None]] = []

    async def begin() -> Dispatcher:
        worker = await rows.worker()
        await rows.own(worker)
        async with db.connection() as connection:
            accounts = [row[0] for row in await connection.fetch("SELECT account_id FROM lease")]
        dispatcher = Dispatcher(db, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: accounts)
        running.append(asyncio.create_task(dispatcher.run()))
        return dispatcher

    yield begin
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def all_ended(rows: Rows) -> bool:
    return not await rows.one("SELECT count(*) FROM message WHERE status <= 'sending' AND due <= now()")


async def test_each_account_in_order_one_at_a_time(rows: Rows, sender: Recorded, start: Start) -> None:
    accounts = [await rows.account(name) for name in ("alice", "bob", "charlie")]
    for number in range(10):
        for account in accounts:
            await rows.message(account, f"{number}", due_in=number / 100 - 1)

    async def slowly(message: Claimed) -> Result:
        await asyncio.sleep(random.uniform(0, 0.01))  # noqa: S311 - no secret
        return Sent(message.wa_id)

    sender.answer = slowly
    await start()
    await until(lambda: all_ended(rows))
    for account in accounts:
        assert sender.texts(account) == [f"{number}" for number in range(10)]
    assert sender.most_at_once == 1


async def test_a_slow_account_does_not_slow_others(rows: Rows, sender: Recorded, start: Start) -> None:
    alice, bob = await rows.account("alice"), await rows.account("bob")
    never = asyncio.Event()

    async def answer(message: Claimed) -> Result:
        if message.account == alice:
            await never.wait()
        return Sent(message.wa_id)

    sender.answer = answer
    await rows.message(alice)
    his = [await rows.message(bob) for _ in range(5)]
    await start()
    await until(lambda: _is(rows, his[-1], "sent"))


async def _is(rows: Rows, message: UUID, status: str) -> bool:
    return await rows.status(message) == status


async def known(rows: Rows, name: str = "alice") -> UUID:
    """A new account that has written to its one contact: what follows an acknowledgement is claimed with it."""
    account = await rows.account(name)
    await rows.one("INSERT INTO contact (account_id, address, reached_at) VALUES ($1, '4915200001', now())", account)
    return account


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[set[UUID]]:
    """The accounts of each claim that was made for itself."""
    made: list[set[UUID]] = []
    claim = fenced_messages.claim

    async def noted(connection: Connection, worker: UUID, accounts: Collection[UUID], terms: Terms) -> Claim:
        made.append(set(accounts))
        return await claim(connection, worker, accounts, terms)

    monkeypatch.setattr(fenced_messages, "claim", noted)
    return made


@pytest.fixture
def polls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its second look on, a dispatcher depends on hints."""
    monkeypatch.setattr(delivery, "_POLL_SECONDS", 3600.0)


@pytest.mark.usefixtures("polls_once")
async def test_a_hint_is_enough(rows: Rows, sender: Recorded, start: Start) -> None:
    account = await rows.account()
    await rows.message(account, "found by the poll")
    dispatcher = await start()
    await until(lambda: all_ended(rows))
    message = await rows.message(account, "hinted")
    dispatcher.look({account})
    await until(lambda: _is(rows, message, "sent"))
    assert sender.texts() == ["found by the poll", "hinted"]


@pytest.mark.usefixtures("polls_once")
async def test_an_account_that_sends_on_is_looked_at_once(
    rows: Rows, sender: Recorded, start: Start, claims: list[set[UUID]]
) -> None:
    accounts = [await known(rows, name) for name in ("alice", "bob")]
    for account in accounts:
        for _ in range(5):
            await rows.message(account)
    dispatcher = await start()
    await until(lambda: all_ended(rows))
    await until(lambda: not any(map(dispatcher.is_busy, accounts)))
    assert len(sender.sent) == 10
    assert claims == [set(accounts)]


@pytest.mark.usefixtures("polls_once")
async def test_a_hint_while_an_outcome_is_recorded_is_not_forgotten(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    """What records it has found nothing to send, before the message was there."""
    account = await known(rows)
    first = await rows.message(account)
    async with db.transaction() as connection:
        dispatcher: Dispatcher

        async def answer(message: Claimed) -> Result:
            await connection.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", message.account)
            return Sent(message.wa_id)

        sender.answer = answer
        dispatcher = await start()
        await until(lambda: sender.sent)
        await rows.until_blocked()
        second = await rows.message(account)
        dispatcher.look({account})
        await asyncio.sleep(0)
        sender.answer = sender.acknowledge
    await until(lambda: _is(rows, second, "sent"))
    assert await rows.status(first) == "sent"


async def test_an_account_that_is_to_go_elsewhere_sends_no_further(
    db: Database, rows: Rows, sender: Recorded, settings: Settings, fence: Fence
) -> None:
    account, worker = await known(rows), await rows.worker()
    await rows.own(worker)
    first, second = await rows.message(account, due_in=-2), await rows.message(account)
    mine = {account}

    async def answer(message: Claimed) -> Result:
        mine.clear()
        return Sent(message.wa_id)

    sender.answer = answer
    dispatcher = Dispatcher(db, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: mine)
    running = asyncio.create_task(dispatcher.run())
    await until(lambda: _is(rows, first, "sent"))
    await until(lambda: not dispatcher.is_busy(account))
    dispatcher.stop()
    await running
    assert await rows.status(second) == "waiting"


async def test_behind_the_fence_an_outcome_is_recorded_and_nothing_claimed(
    rows: Rows, sender: Recorded, start: Start, fence: Fence
) -> None:
    account = await known(rows)
    first, second = await rows.message(account, due_in=-2), await rows.message(account)

    async def answer(message: Claimed) -> Result:
        fence.renewed(uptime() - 1000)
        return Sent(message.wa_id)

    sender.answer = answer
    dispatcher = await start()
    await until(lambda: _is(rows, first, "sent"))
    await until(lambda: not dispatcher.is_busy(account))
    assert (await rows.get(second))["attempts"] == 0
    sender.answer = sender.acknowledge
    fence.renewed(uptime())
    await until(lambda: _is(rows, second, "sent"))


async def test_an_acknowledgement_of_what_was_given_up_meanwhile_counts(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    account = await known(rows)
    message = await rows.message(account)

    async def answer(message: Claimed) -> Result:
        await rows.one("UPDATE message SET expires_at = now() - interval '1 s'")
        await rows.one("UPDATE account SET next_at = now()")
        async with db.connection() as connection:
            assert await lateness.give_up_passed(connection)
        return Sent(message.wa_id)

    sender.answer = answer
    await start()
    await until(lambda: _is(rows, message, "sent"))


async def test_a_claim_that_fails_costs_no_outcome(rows: Rows, sender: Recorded, start: Start) -> None:
    account = await known(rows)
    first, second = await rows.message(account, due_in=-2), await rows.message(account)

    async def answer(message: Claimed) -> Result:
        await rows.one("ALTER TABLE media_upload RENAME TO gone")  # of which an outcome alone needs nothing
        return Sent(message.wa_id)

    sender.answer = answer
    await start()
    await until(lambda: _is(rows, first, "sent"))
    assert await rows.status(second) == "waiting"
    sender.answer = sender.acknowledge
    await rows.one("ALTER TABLE gone RENAME TO media_upload")
    await until(lambda: _is(rows, second, "sent"))
    assert len(sender.sent) == 2


@pytest.mark.usefixtures("polls_once")
@pytest.mark.parametrize("reached", [False, True])
async def test_after_each_pause_it_goes_on_by_itself(
    db: Database, rows: Rows, sender: Recorded, settings: Settings, fence: Fence, *, reached: bool
) -> None:
    account, worker = await (known if reached else Rows.account)(rows), await rows.worker()
    await rows.own(worker)
    waiting = [await rows.message(account) for _ in range(3)]
    await rows.pace(account, Pacing(timedelta(seconds=0.3), timedelta(), NO_CAP))
    dispatcher = Dispatcher(db, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: [account])
    running = asyncio.create_task(dispatcher.run())
    await until(lambda: _is(rows, waiting[-1], "sent"))
    claimed = [(await rows.get(one))["claimed_at"] for one in waiting]
    assert min(later - earlier for earlier, later in pairwise(claimed)) >= timedelta(seconds=0.3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_stopped_it_claims_nothing_that_it_was_just_told_of(
    db: Database, rows: Rows, sender: Recorded, settings: Settings, fence: Fence
) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    message = await rows.message(account)
    fence.renewed(uptime() - 1000)
    dispatcher = Dispatcher(db, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: [account])
    running = asyncio.create_task(dispatcher.run())
    dispatcher.look({account})
    await asyncio.sleep(0.1)
    fence.renewed(uptime())
    dispatcher.look({account})
    dispatcher.stop()
    await asyncio.wait_for(running, 20)
    assert await rows.status(message) == "waiting"


async def test_an_error_of_the_claim_is_survived(rows: Rows, start: Start) -> None:
    account = await rows.account()
    await rows.one("ALTER TABLE contact RENAME TO gone")
    await start()
    message = await rows.message(account)
    await asyncio.sleep(0.2)  # it looks at once
    await rows.one("ALTER TABLE gone RENAME TO contact")
    await until(lambda: _is(rows, message, "sent"))


async def test_busy_is_an_account_of_which_a_message_is_claimed_or_under_way(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    account, other = await rows.account("alice"), await rows.account("bob")
    message = await rows.message(account)
    release = asyncio.Event()

    async def answer(message: Claimed) -> Result:
        await release.wait()
        return Sent(message.wa_id)

    sender.answer = answer
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM message WHERE id = $1 FOR UPDATE", message)
        dispatcher = await start()
        await rows.until_blocked()
        assert dispatcher.is_busy(account)  # the claim is on its way
    await until(lambda: sender.sent)
    await until(lambda: not dispatcher.is_busy(other))
    assert dispatcher.is_busy(account)
    assert await rows.one("SELECT next_at - now() BETWEEN '5 s' AND '11 s' FROM account WHERE id = $1", account)
    release.set()
    await until(lambda: not dispatcher.is_busy(account))


async def test_one_whom_the_first_message_has_reached_is_cold_no_more(rows: Rows, start: Start) -> None:
    account = await rows.account()
    first, later = await rows.message(account, lane="cold"), await rows.message(account, lane="cold", due_in=60)
    await start()
    await until(lambda: _is(rows, first, "sent"))
    assert (await rows.get(later))["lane"] == "normal"


@pytest.mark.usefixtures("polls_once")
async def test_one_that_was_passed_over_is_looked_at_again_without_a_hint(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    """While a receipt is applied the account is locked, and nobody tells when that is done."""
    alice, bob = await rows.account("alice"), await rows.account("bob")
    await rows.message(alice, "found by the poll")
    dispatcher = await start()
    await until(lambda: all_ended(rows))
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", alice)
        await rows.message(alice, "hers")
        await rows.message(bob, "his")
        dispatcher.look({alice, bob})
        await until(lambda: "his" in sender.texts())
        assert "hers" not in sender.texts()
    await until(lambda: "hers" in sender.texts())


async def test_what_a_hint_did_not_tell_is_found(rows: Rows, sender: Recorded, start: Start) -> None:
    account = await rows.account()
    await start()
    message = await rows.message(account, due_in=0.3)
    await until(lambda: _is(rows, message, "sent"))
    assert sender.texts() == ["hello"]


async def test_a_message_whose_cancel_was_answered_never_leaves(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    accounts = [await rows.account(name) for name in ("alice", "bob", "charlie")]
    ids = {}
    for number in range(100):
        for account in accounts:
            message = await rows.message(account, f"{account} {number}")
            ids[message] = account
    users = {account: await rows.one("SELECT user_id FROM account WHERE id = $1", account) for account in accounts}
    await start()
    cancelled = set()
    for message, account in random.sample(sorted(ids.items()), len(ids)):
        async with db.connection() as connection:
            if await messages.cancel(connection, users[account], message):
                cancelled.add(message)
    await until(lambda: all_ended(rows), seconds=30)
    sent = {one.id for one in sender.sent}
    assert not sent & cancelled
    assert sent | cancelled == ids.keys()
    assert cancelled, "the race was not one"


async def test_an_unknown_outcome_goes_again_under_the_same_id_and_first(
    rows: Rows, sender: Recorded, start: Start
) -> None:
    account = await rows.account()
    first = await rows.message(account, "first", due_in=-2)
    await rows.message(account, "second")
    await rows.message(account, "urgent", lane="urgent", due_in=0.5)

    async def lose_one(message: Claimed) -> Result:
        return Unknown("no ack") if message.attempts == 1 and message.text == "first" else Sent(message.wa_id)

    sender.answer = lose_one
    await start()
    await until(lambda: all_ended(rows))
    assert sender.texts() == ["first", "first", "urgent", "second"]
    assert len({one.wa_id for one in sender.sent if one.text == "first"}) == 1
    assert (await rows.get(first))["attempts"] == 2


async def test_where_a_re_send_would_be_a_second_message_only_its_user_has_it_go_again(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    sender.resend_is_safe = False
    account = await rows.account()
    message, after = await rows.message(account, "first", due_in=-2), await rows.message(account, "second")

    async def lose_one(message: Claimed) -> Result:
        return Unknown("no answer") if message.attempts == 1 and message.text == "first" else Sent(message.wa_id)

    sender.answer = lose_one
    await start()
    await until(lambda: _is(rows, after, "sent"))
    row = await rows.get(message)
    assert (row["status"], row["error_code"]) == ("failed", "outcome_unknown")
    assert row["error_params"] == {"kind": "once", "cause": {"code": "no_answer", "kind": "attempt"}}
    async with db.connection() as connection:
        assert await messages.retry(connection, rows.users["alice"], message)
    await until(lambda: _is(rows, message, "sent"))
    assert sender.texts() == ["first", "second", "first"]


async def test_where_a_re_send_would_be_a_second_message_what_a_dead_worker_sent_does_not_go_again(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    sender.resend_is_safe = False
    account, dead = await rows.account(), await rows.worker()
    await rows.own(dead)
    message, after = await rows.message(account, "first", due_in=-2), await rows.message(account, "second")
    await claim(db, dead, account)
    await rows.one("DELETE FROM worker WHERE id = $1", dead)
    await start()
    await until(lambda: _is(rows, after, "sent"))
    assert (await rows.get(message))["error_code"] == "outcome_unknown"
    assert sender.texts() == ["second"]


async def test_a_sender_that_raises_stops_nothing_and_is_given_up(rows: Rows, sender: Recorded, start: Start) -> None:
    account, other = await rows.account("alice"), await rows.account("bob")
    poison, good = await rows.message(account, "poison"), await rows.message(other)
    after = await rows.message(account, "after", due_in=0)

    async def answer(message: Claimed) -> Result:
        if message.text == "poison":
            raise ValueError("poison")
        return Sent(message.wa_id)

    sender.answer = answer
    await start()
    await until(lambda: _is(rows, good, "sent"))
    await until(lambda: _is(rows, after, "sent"), seconds=20)
    row = await rows.get(poison)
    assert (row["status"], row["error_code"], row["attempts"]) == ("failed", "outcome_unknown", 3)


async def test_what_never_left_waits_and_may_be_cancelled(
    db: Database, rows: Rows, sender: Recorded, start: Start
) -> None:
    account = await rows.account()
    message = await rows.message(account)

    async def answer(_message: Claimed) -> Result:
        return NotSent(NotSentReason.NOT_CONNECTED)

    sender.answer = answer
    await start()
    await until(lambda: sender.sent)
    await until(lambda: _is(rows, message, "waiting"))
    async with db.connection() as connection:
        assert await messages.cancel(connection, rows.users["alice"], message)
        steps = [(one.step, one.detail) for one in await messages.steps(connection, message)]
    assert steps[:2] == [("attempt", "1"), ("not_sent", "not_connected")]


async def test_a_number_that_is_not_on_whatsapp_fails_at_once(rows: Rows, sender: Recorded, start: Start) -> None:
    account = await rows.account()
    message, after = await rows.message(account), await rows.message(account, "after", to="4915200002")

    async def answer(message: Claimed) -> Result:
        return Refused(reasons.NOT_ON_WHATSAPP) if message.recipient == "4915200001" else Sent(message.wa_id)

    sender.answer = answer
    await start()
    await until(lambda: _is(rows, after, "sent"))
    row = await rows.get(message)
    assert (row["status"], row["error_code"]) == ("failed", "not_on_whatsapp")


async def test_behind_the_fence_nothing_is_claimed(rows: Rows, sender: Recorded, start: Start, fence: Fence) -> None:
    account = await rows.account()
    message = await rows.message(account)
    fence.renewed(uptime() - 1000)
    dispatcher = await start()
    for _ in range(20):
        dispatcher.look({account})
        await asyncio.sleep(0.01)
    assert (await rows.get(message))["attempts"] == 0
    fence.renewed(uptime())
    await until(lambda: _is(rows, message, "sent"))
    assert len(sender.sent) == 1


async def test_the_fence_counts_again_after_the_claim(
    db: Database, rows: Rows, sender: Recorded, start: Start, fence: Fence
) -> None:
    account = await rows.account()
    message = await rows.message(account)
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM message WHERE id = $1 FOR UPDATE", message)
        await start()
        await rows.until_blocked()
        fence.renewed(uptime() - 1000)  # the claim is on its way; meanwhile the lease is lost
    await until(lambda: _is(rows, message, "waiting"))
    assert sender.sent == []


@pytest.mark.parametrize("reached", [False, True])
async def test_an_outcome_outlives_a_database_that_goes_away(
    database_url: str, rows: Rows, sender: Recorded, settings: Settings, fence: Fence, *, reached: bool
) -> None:
    account, worker = await (known if reached else Rows.account)(rows), await rows.worker()
    await rows.own(worker)
    message, after = await rows.message(account), await rows.message(account, "after")
    async with cable(database_url) as way, Database.connect(way.url) as far:

        async def answer(message: Claimed) -> Result:
            await way.cut()
            return Sent(message.wa_id)

        sender.answer = answer
        dispatcher = Dispatcher(far, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: [account])
        running = asyncio.create_task(dispatcher.run())
        await until(lambda: sender.sent)
        assert await rows.status(message) == "sending"
        sender.answer = sender.acknowledge
        await asyncio.sleep(0.5)  # so long it waits here
        mended_at = await rows.one("SELECT clock_timestamp()")
        await way.mend()
        await until(lambda: _is(rows, after, "sent"), seconds=20)
        assert (await rows.get(message))["sent_at"] < mended_at
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert sender.texts() == ["hello", "after"]


@pytest.mark.parametrize("reached", [False, True])
async def test_stopped_it_lets_what_is_under_way_end_and_starts_nothing(
    db: Database, rows: Rows, sender: Recorded, settings: Settings, fence: Fence, *, reached: bool
) -> None:
    account = await (known if reached else Rows.account)(rows)
    first, second = await rows.message(account, due_in=-2), await rows.message(account)
    worker = await rows.worker()
    await rows.own(worker)
    release = asyncio.Event()

    async def answer(message: Claimed) -> Result:
        await release.wait()
        return Sent(message.wa_id)

    sender.answer = answer
    dispatcher = Dispatcher(db, worker, fence=fence, channel=sender, settings=settings, accounts=lambda: [account])
    running = asyncio.create_task(dispatcher.run())
    await until(lambda: sender.sent)
    dispatcher.stop()
    await asyncio.sleep(0)
    assert not running.done()
    release.set()
    await asyncio.wait_for(running, 20)
    assert (await rows.status(first), await rows.status(second)) == ("sent", "waiting")
