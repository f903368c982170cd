"""The cold lane: who is in it, its cap, what WhatsApp refuses, and how one leaves it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chatwren.domain.facts import Inbound
from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.domain.messages import Status
from chatwren.domain.outcomes import Decision
from chatwren.domain.pacing import ColdCap, ColdState, Pacing
from chatwren.domain.reasons import rejected
from chatwren.store import cold, facts, messages
from chatwren.store.database import Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome
from tests.rows import NO_CAP, Rows, receipt_of
from tests.unit.delivery.test_claim import claim

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
TWO = ColdCap(first=2, growth=1, most=10)


def row(rows: Rows, account: UUID, to: str, *, lane: str = "normal", kind: str = "phone") -> messages.NewRow:
    moment = datetime.now(UTC) - timedelta(seconds=1)
    return messages.NewRow(
        id=uuid7(),
        user_id=rows.users["alice"],
        account_id=account,
        prefix="msg",
        recipient_kind=kind,
        recipient=to,
        text=f"to {to}",
        original=f"to {to}",
        modifications=None,
        changes=None,
        media_id=None,
        lane=lane,
        accepted_at=moment,
        due=moment,
        expires_at=None,
        wa_id=whatsapp_message_id(),
    )


async def accept(rows: Rows, account: UUID, to: str, *, lane: str = "normal", kind: str = "phone") -> UUID:
    new = row(rows, account, to, lane=lane, kind=kind)
    async with rows.db.connection() as connection:
        await messages.insert(connection, [new])
    return new.id


async def capped(rows: Rows, account: UUID, cap: ColdCap = TWO) -> None:
    await rows.pace(account, Pacing(timedelta(), timedelta(), cap))


async def lane(rows: Rows, message: UUID) -> str:
    return str((await rows.get(message))["lane"])


async def settle(rows: Rows, worker: UUID, claimed: Claimed, status: str = "sent", **more: Any) -> None:
    """Record what became of an attempt; the account may go on at once."""
    decision = Decision(Status(status), fact=status == "sent", **more)
    outcome = Outcome(claimed.id, claimed.account, claimed.epoch, decision, first=claimed.first)
    async with rows.db.connection() as connection:
        await fenced_messages.record(connection, worker, [outcome])
    await rows.one("UPDATE account SET next_at = now()")


async def writes(rows: Rows, account: UUID, phone: str) -> None:
    message = Inbound(
        account, f"{phone}@s.whatsapp.net", f"{phone}@s.whatsapp.net", whatsapp_message_id(), phone, phone, None,
        from_me=False, is_group=False, at=datetime.now(UTC), text="hello", media=None,
    )  # fmt: skip
    async with rows.db.transaction() as connection:
        await facts.store_messages(connection, [message])


@pytest.fixture
async def account(rows: Rows) -> UUID:
    account = await rows.account("alice")
    await rows.one("UPDATE account SET number_since = now()")
    return account


@pytest.fixture
async def worker(rows: Rows, account: UUID) -> UUID:
    worker = await rows.worker()
    await rows.own(worker)
    assert await rows.epoch(account) == 1
    return worker


async def test_who_has_neither_written_nor_been_reached_is_cold(rows: Rows, account: UUID) -> None:
    await writes(rows, account, "4915200001")
    assert await lane(rows, await accept(rows, account, "4915200001")) == "normal"
    for asked in ("normal", "bulk"):
        assert await lane(rows, await accept(rows, account, "4915200002", lane=asked)) == "cold"
    assert await lane(rows, await accept(rows, account, "4915200002", lane="urgent")) == "urgent"
    assert await lane(rows, await accept(rows, account, "1203@g.us", kind="group")) == "normal"
    assert await rows.one("SELECT count(*) FROM contact WHERE address = '1203@g.us'") == 0


async def test_one_who_is_reached_is_cold_no_more(rows: Rows, account: UUID, worker: UUID) -> None:
    first, second = [await accept(rows, account, "4915200002") for _ in range(2)]
    other = await accept(rows, account, "4915200003")
    (claimed,) = await claim(rows.db, worker, account)
    assert (claimed.id, claimed.first) == (first, True)
    await settle(rows, worker, claimed)
    assert [await lane(rows, one) for one in (second, other)] == ["normal", "cold"]
    assert await lane(rows, await accept(rows, account, "4915200002")) == "normal"
    (again,) = await claim(rows.db, worker, account)
    assert (again.id, again.first) == (second, False)


async def test_one_who_writes_is_cold_no_more(rows: Rows, account: UUID) -> None:
    message = await accept(rows, account, "4915200002")
    await writes(rows, account, "4915200002")
    assert await lane(rows, message) == "normal"


async def test_who_is_reached_while_a_message_is_accepted_leaves_none_behind(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    await accept(rows, account, "4915200002")
    (claimed,) = await claim(rows.db, worker, account)
    new = row(rows, account, "4915200002")
    async with rows.db.transaction() as connection:
        await messages.insert(connection, [new])
        settling = asyncio.create_task(settle(rows, worker, claimed))
        await rows.until_blocked(settling)
    await settling
    assert await lane(rows, new.id) == "normal"


async def test_the_cap_counts_contacts_and_holds_nobody_else_up(rows: Rows, account: UUID, worker: UUID) -> None:
    await capped(rows, account)
    for number in range(3):
        for _ in range(2):
            await accept(rows, account, f"491520000{number}")
    await accept(rows, account, "4915200009", lane="bulk")
    sent = []
    while claimed := await claim(rows.db, worker, account):
        sent.append(claimed[0].recipient)
        await settle(rows, worker, claimed[0])
    assert sorted(sent) == ["4915200000", "4915200000", "4915200001", "4915200001"]
    known = await accept(rows, account, "4915200000")
    assert [one.id for one in await claim(rows.db, worker, account)] == [known]


async def test_the_cap_frees_a_place_24_hours_later_and_grows(rows: Rows, account: UUID, worker: UUID) -> None:
    await capped(rows, account)
    for number in range(3):
        await accept(rows, account, f"491520000{number}")
    for _ in range(2):
        (claimed,) = await claim(rows.db, worker, account)
        await settle(rows, worker, claimed)
    assert await claim(rows.db, worker, account) == []
    await rows.one("UPDATE contact SET cold_at = cold_at - interval '23 hours' WHERE address = '4915200000'")
    async with rows.db.connection() as connection:
        state = await cold.state(connection, account)
        now = await connection.fetchval("SELECT now()")
    assert (state.cap, state.used) == (2, 2)
    assert state.free_at is not None
    assert timedelta(minutes=59) < state.free_at - now < timedelta(minutes=61)
    await rows.one("UPDATE account SET number_since = now() - interval '25 hours'")
    assert [one.recipient for one in await claim(rows.db, worker, account)] == ["4915200002"]


async def state(rows: Rows, account: UUID) -> ColdState:
    async with rows.db.connection() as connection:
        return await cold.state(connection, account)


async def test_the_window_of_the_cap_is_24_hours(rows: Rows, account: UUID, worker: UUID) -> None:
    await capped(rows, account)
    await accept(rows, account, "4915200001")
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed)
    for age, used in (("23 hours 59 min", 1), ("24 hours 1 s", 0)):
        await rows.one(f"UPDATE contact SET cold_at = now() - interval '{age}'")
        assert (await state(rows, account)).used == used
    for number in (2, 3):  # both places are free
        await accept(rows, account, f"491520000{number}")
        (claimed,) = await claim(rows.db, worker, account)
        await settle(rows, worker, claimed)


async def test_the_cap_grows_with_whole_days_up_to_the_most(rows: Rows, account: UUID) -> None:
    await capped(rows, account)
    for age, cap in (("23 hours", 2), ("25 hours", 3), ("7 days 1 hour", 9), ("9 days", 10), ("1 year", 10)):
        await rows.one(f"UPDATE account SET number_since = now() - interval '{age}'")
        assert (await state(rows, account)).cap == cap
    await capped(rows, account, NO_CAP)
    none = await state(rows, account)
    assert (none.cap, none.used, none.free_at) == (None, 0, None)


async def test_each_account_has_its_own_cap(rows: Rows, account: UUID, worker: UUID) -> None:
    await capped(rows, account)
    charlies = await rows.account("charlie")
    await rows.one(
        "INSERT INTO contact (account_id, address, reached_at, cold_at)"
        " SELECT $1, n::text, now(), now() FROM generate_series(1, 5) n",
        charlies,
    )
    assert [(await state(rows, one)).used for one in (account, charlies)] == [0, 5]
    await accept(rows, account, "4915200001")
    assert await claim(rows.db, worker, account)


async def test_who_has_written_is_no_new_contact_when_reached(rows: Rows, account: UUID, worker: UUID) -> None:
    await writes(rows, account, "4915200001")
    message = await accept(rows, account, "4915200001")
    (claimed,) = await claim(rows.db, worker, account)
    assert claimed.id == message
    await settle(rows, worker, claimed)
    assert await rows.one("SELECT reached_at IS NOT NULL AND cold_at IS NULL FROM contact")
    assert (await state(rows, account)).used == 0


async def test_a_receipt_proves_that_a_contact_was_reached(rows: Rows, account: UUID, worker: UUID) -> None:
    _, second = [await accept(rows, account, "4915200002") for _ in range(2)]
    other = await accept(rows, account, "4915200003")
    (claimed,) = await claim(rows.db, worker, account)
    async with rows.db.transaction() as connection:
        await facts.apply_receipts(connection, [receipt_of(claimed)])
    assert [await lane(rows, one) for one in (second, other)] == ["normal", "cold"]


async def test_only_the_cold_lane_of_that_account_is_left(rows: Rows, account: UUID) -> None:
    mine = [await rows.message(account, to="4915200002", lane=name) for name in ("urgent", "cold", "bulk")]
    other = await rows.message(account, to="4915200003", lane="cold")
    charlies = await rows.message(await rows.account("charlie"), to="4915200002", lane="cold")
    await writes(rows, account, "4915200002")
    assert [await lane(rows, one) for one in (*mine, other, charlies)] == ["urgent", "normal", "bulk", "cold", "cold"]


async def test_one_who_was_not_reached_stays_a_stranger(rows: Rows, account: UUID, worker: UUID) -> None:
    first, second = [await accept(rows, account, "4915200002") for _ in range(2)]
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "waiting", account_pause=timedelta(seconds=1))
    assert [await lane(rows, one) for one in (first, second)] == ["cold", "cold"]
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "failed", failure=rejected(479))
    assert await lane(rows, second) == "cold"
    assert (await state(rows, account)).used == 0


async def test_what_is_urgent_stays_so_beside_another_to_the_same_stranger(rows: Rows, account: UUID) -> None:
    both = [row(rows, account, "4915200002", lane=name) for name in ("urgent", "normal")]
    async with rows.db.connection() as connection:
        assert await messages.insert(connection, both) == {both[0].id: "urgent", both[1].id: "cold"}
    assert [await lane(rows, one.id) for one in both] == ["urgent", "cold"]


async def test_when_whatsapp_has_refused_long_enough_new_contacts_go_on(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    message = await accept(rows, account, "4915200002")
    await rows.one("UPDATE account SET cold_until = now() + interval '1 min'")
    assert await claim(rows.db, worker, account) == []
    await rows.one("UPDATE account SET cold_until = now() - interval '1 s'")
    assert [one.id for one in await claim(rows.db, worker, account)] == [message]


@pytest.mark.parametrize("code", [463, 475])
async def test_what_whatsapp_refuses_holds_new_contacts_alone(
    rows: Rows, account: UUID, worker: UUID, code: int
) -> None:
    await writes(rows, account, "4915200001")
    refused = await accept(rows, account, "4915200002")
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "waiting", recipient_pause=HOUR, cold_refusal=code, cause=f"refused_{code}")
    await accept(rows, account, "4915200003")
    assert await rows.one(f"SELECT cold_code = {code} AND cold_until > now() + interval '59 min' FROM account")
    assert await rows.one("SELECT restricted_until IS NULL FROM account")
    assert await claim(rows.db, worker, account) == []
    reply = await accept(rows, account, "4915200001")
    (claimed,) = await claim(rows.db, worker, account)
    assert claimed.id == reply
    await settle(rows, worker, claimed)
    # Who was refused and now writes is answered at once.
    await writes(rows, account, "4915200002")
    assert [one.id for one in await claim(rows.db, worker, account)] == [refused]


async def test_an_urgent_message_that_is_refused_waits_for_its_recipient(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    await accept(rows, account, "4915200002", lane="urgent")
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "waiting", recipient_pause=HOUR, cold_refusal=463)
    assert await claim(rows.db, worker, account) == []
    assert await rows.one("SELECT retry_code FROM contact") == "cold_refused"


async def test_charlies_contacts_are_not_alices(db: Database, rows: Rows, account: UUID) -> None:
    charlies = await rows.account("charlie")
    await writes(rows, charlies, "4915200002")
    assert await lane(rows, await accept(rows, account, "4915200002")) == "cold"
    async with db.connection() as connection:
        assert (await cold.state(connection, charlies)).used == 0


async def test_who_writes_while_their_message_is_refused_is_answered_at_once(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    first, second = [await accept(rows, account, "4915200002") for _ in range(2)]
    (claimed,) = await claim(rows.db, worker, account)
    await writes(rows, account, "4915200002")
    await settle(rows, worker, claimed, "waiting", recipient_pause=HOUR, cold_refusal=463)
    assert [await lane(rows, one) for one in (first, second)] == ["normal", "normal"]
    assert [one.id for one in await claim(rows.db, worker, account)] == [first]


@pytest.mark.parametrize(("wrote", "refusal"), [("5 min", 463), ("1 s", None)])
async def test_only_who_has_just_written_is_answered_at_once_and_only_a_refusal_is_void(
    rows: Rows, account: UUID, worker: UUID, wrote: str, refusal: int | None
) -> None:
    await accept(rows, account, "4915200002", lane="urgent")
    (claimed,) = await claim(rows.db, worker, account)
    await writes(rows, account, "4915200002")
    await rows.one(f"UPDATE contact SET wrote_at = now() - interval '{wrote}'")
    await settle(rows, worker, claimed, "waiting", recipient_pause=HOUR, cold_refusal=refusal)
    assert await rows.one("SELECT retry_at > now() + interval '59 min' FROM contact")
    assert await claim(rows.db, worker, account) == []


async def test_a_retried_message_to_one_whom_another_account_has_reached_stays_cold(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    message = await accept(rows, account, "4915200002")
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "failed", failure=rejected(479))
    await writes(rows, await rows.account("charlie"), "4915200002")
    async with rows.db.connection() as connection:
        assert await messages.retry(connection, rows.users["alice"], message)
    assert await lane(rows, message) == "cold"


async def test_a_retried_message_to_one_who_has_been_reached_meanwhile_is_cold_no_more(
    rows: Rows, account: UUID, worker: UUID
) -> None:
    message = await accept(rows, account, "4915200002")
    (claimed,) = await claim(rows.db, worker, account)
    await settle(rows, worker, claimed, "failed", failure=rejected(479))
    await writes(rows, account, "4915200002")
    async with rows.db.connection() as connection:
        assert await messages.retry(connection, rows.users["alice"], message)
    assert await lane(rows, message) == "normal"
