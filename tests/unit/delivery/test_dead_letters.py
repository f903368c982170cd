"""What was put aside is tried again, with the bytes as they came, by the way that all events take."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from chatwren.channels.engine import convert
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.delivery import dead_letters
from chatwren.domain.errors import Conflict, NotFound
from chatwren.service import dead_letters as service
from chatwren.store import retention
from chatwren.store.database import Database
from tests.rows import Rows
from tests.unit.delivery.test_claim import claim
from tests.unit.fake_engine import message, receipt, state

pytestmark = pytest.mark.anyio


class Letters:
    def __init__(self, db: Database, rows: Rows) -> None:
        self.db = db
        self.rows = rows

    async def aside(self, event: pb.Event) -> int:
        """An event that could not be stored. Returns the dead letter's number."""
        async with self.db.transaction() as connection:
            await dead_letters.put_aside(connection, convert.event(event.SerializeToString()), "planted")
        return int(await self.rows.one("SELECT max(id) FROM dead_letter"))

    async def retry(self, letter: int) -> None:
        await dead_letters.retry(self.db, letter, read=convert.event)

    async def left(self) -> list[tuple[int, int]]:
        """The dead letters, each with how often it was tried again."""
        return [(one.id, one.retries) async for one in service.every(self.db)]


@pytest.fixture
def letters(db: Database, rows: Rows) -> Letters:
    return Letters(db, rows)


async def test_a_message_is_stored_after_all(letters: Letters) -> None:
    alice, bob = await letters.rows.account("alice"), await letters.rows.account("bob")
    number = await letters.aside(message(alice, "ONE", text="late"))
    other = await letters.aside(message(bob, "ONE"))
    await letters.retry(number)
    assert await letters.rows.one("SELECT text FROM inbound WHERE account_id = $1", alice) == "late"
    assert await letters.rows.one("SELECT count(*) FROM inbound") == 1
    assert await letters.left() == [(other, 0)]
    with pytest.raises(NotFound):
        await letters.retry(number)


async def test_a_receipt_counts_after_all_and_the_account_may_go_on(letters: Letters) -> None:
    alice, worker = await letters.rows.account("alice"), await letters.rows.worker()
    await letters.rows.own(worker)
    sent = await letters.rows.message(alice)
    (claimed,) = await claim(letters.db, worker, alice)
    await letters.retry(await letters.aside(receipt(alice, claimed.wa_id, kind="READ")))
    assert (await letters.rows.get(sent))["read_at"] is not None
    assert await letters.rows.one("SELECT in_flight IS NULL FROM account")


async def test_what_is_stored_already_is_stored_once(letters: Letters) -> None:
    alice = await letters.rows.account("alice")
    first, second = await letters.aside(message(alice, "ONE")), await letters.aside(message(alice, "ONE"))
    await letters.retry(first)
    await letters.retry(second)
    assert await letters.rows.one("SELECT count(*) FROM inbound") == 1


async def test_two_who_try_it_at_once_store_it_once(letters: Letters) -> None:
    number = await letters.aside(message(await letters.rows.account("alice"), "ONE"))
    ended = await asyncio.gather(*[letters.retry(number) for _ in range(5)], return_exceptions=True)
    assert [one for one in ended if not isinstance(one, NotFound)] == [None]
    assert await letters.left() == []


async def test_what_still_fails_stays_with_its_reason(letters: Letters) -> None:
    number = await letters.aside(message(await letters.rows.account("alice"), "ONE"))
    await letters.rows.one("ALTER TABLE inbound ADD CONSTRAINT no_more CHECK (wa_id <> 'ONE')")
    for _ in range(2):
        with pytest.raises(Conflict, match="still cannot be stored: CheckViolationError"):
            await letters.retry(number)
    assert await letters.left() == [(number, 2)]
    letter, raw = await service.get(letters.db, number)
    assert "no_more" in letter.reason
    assert letter.size == len(raw)


@pytest.mark.parametrize("kind", ["state", "name", "unreadable", "large"])
async def test_what_cannot_be_tried_again_says_so(letters: Letters, kind: str) -> None:
    alice = await letters.rows.account("alice")
    events = {
        "state": (state(alice, "LOGGED_OUT"), "at that moment"),
        "name": (pb.Event(account=str(alice), push_name=pb.Event.PushName(name="x")), "at that moment"),
        "unreadable": (pb.Event(account=str(alice), unreadable=pb.Event.Unreadable(detail="too deep")), "too deep"),
        "large": (message(alice, raw=bytes(2 << 20)), "only the first 1,048,576 were kept"),
    }
    event, reason = events[kind]
    number = await letters.aside(event)
    with pytest.raises(Conflict, match=reason):
        await letters.retry(number)
    assert await letters.left() == [(number, 0)]
    assert await letters.rows.one("SELECT status = 'linked' FROM account")


async def test_discarded_is_gone(letters: Letters) -> None:
    number = await letters.aside(message(await letters.rows.account("alice")))
    await service.discard(letters.db, number)
    for act in (service.discard, service.get):
        with pytest.raises(NotFound):
            await act(letters.db, number)


async def test_they_go_with_their_user_and_after_ninety_days(letters: Letters) -> None:
    alice, bob = await letters.rows.account("alice"), await letters.rows.account("bob")
    await letters.aside(message(alice))
    old, new = await letters.aside(message(bob)), await letters.aside(message(bob))
    await letters.rows.one("DELETE FROM app_user WHERE username = 'alice'")
    assert await letters.left() == [(old, 0), (new, 0)]
    await letters.rows.one("UPDATE dead_letter SET created_at = now() - interval '91 days' WHERE id = $1", old)
    await letters.rows.one("UPDATE dead_letter SET created_at = now() - interval '89 days' WHERE id = $1", new)
    for remove in retention.steps(timedelta()):
        async with letters.db.connection() as connection:
            await remove(connection)
    assert await letters.left() == [(new, 0)]


async def test_they_are_counted_by_kind(letters: Letters) -> None:
    alice: UUID = await letters.rows.account("alice")
    await letters.aside(message(alice))
    await letters.aside(message(alice))
    await letters.aside(receipt(alice, "X"))
    await letters.rows.one("UPDATE dead_letter SET not_kept = 4 WHERE kind = 'receipt'")
    counts = await service.count(letters.db)
    assert sorted((one.kind, one.kept, one.not_kept) for one in counts) == [("message", 2, 0), ("receipt", 1, 4)]
