"""Receipts: whose they are, which message they settle, and that they only go forward."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatwren.domain.facts import Receipt
from chatwren.domain.outcomes import Recorded
from chatwren.domain.reasons import UNCONFIRMED
from chatwren.store import contacts
from chatwren.store.database import Database
from tests.rows import Rows, receipt_of
from tests.unit.delivery.claimed import Scene
from tests.unit.delivery.test_claim import claim

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
PHONE, LID, GROUP = "4915200001", "7700000000001@lid", "120363000000000001@g.us"
OURS, OTHERS, STRANGERS = (f"{phone}@s.whatsapp.net" for phone in (PHONE, "4915200008", "4915200009"))


@pytest.fixture
async def scene(db: Database, rows: Rows) -> Scene:
    return await Scene(db, rows).begin()


async def test_two_accounts_with_one_whatsapp_id_are_two_messages(scene: Scene) -> None:
    """WhatsApp's ids are each sender's own; a stranger may even choose one that we use."""
    rows, worker = scene.rows, await scene.rows.worker()
    bobs = await rows.account("bob")
    await rows.own(worker)
    his = await rows.message(bobs)
    await rows.one("UPDATE message SET wa_id = $2 WHERE id = $1", his, scene.claimed.wa_id)
    (bobs_claimed,) = await claim(scene.db, worker, bobs)
    assert bobs_claimed.wa_id == scene.claimed.wa_id
    recorded = await scene.receive(scene.receipt(read=True))
    assert recorded.users == {scene.claimed.user}
    assert recorded.pauses.keys() == {scene.account}
    assert [await rows.status(one) for one in (scene.claimed.id, his)] == ["sent", "sending"]
    assert await rows.one("SELECT in_flight FROM account WHERE id = $1", bobs) == his
    assert await rows.one("SELECT count(*) FROM contact WHERE account_id = $1", bobs) == 0
    recorded = await scene.receive(receipt_of(bobs_claimed))
    assert recorded.users == {bobs_claimed.user}
    assert (await rows.get(his))["read_at"] is None


async def told(scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None) -> Recorded:
    """What a receipt from a chat changes of a message that went to a recipient: kind, address, and WhatsApp's jid."""
    kind, to, jid = went
    await scene.rows.one("UPDATE message SET recipient_kind = $1, recipient = $2", kind, to)
    async with scene.db.connection() as connection:
        if jid is not None:
            await contacts.remember_address(connection, scene.account, to, jid)
            await contacts.forget_address(connection, scene.account, to)  # since the message went there
        # What another account was told of the address says nothing of this one's messages.
        await contacts.remember_address(connection, await scene.rows.account("bob"), to, STRANGERS)
    receipt = Receipt(scene.account, scene.claimed.wa_id, chat, alternative, read=True, at=datetime.now(UTC))
    return await scene.receive(receipt)


@pytest.mark.parametrize(
    ("went", "chat", "alternative"),
    [
        (("phone", PHONE, None), OURS, None),
        (("phone", PHONE, OURS), OURS, LID),
        (("phone", PHONE, OURS), LID, OURS),
        # WhatsApp knows the number by another one: Brazil's ninth digit.
        (("phone", PHONE, OTHERS), LID, OTHERS),
        (("phone", PHONE, OTHERS), OTHERS, None),
        (("phone", PHONE, OTHERS), OURS, None),
        # The number is hidden.
        (("phone", PHONE, LID), LID, None),
        (("lid", LID, None), LID, None),
        (("lid", LID, None), OURS, LID),
        (("group", GROUP, None), GROUP, None),
    ],
)
async def test_a_receipt_counts_by_whichever_address_of_its_chat(
    scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None
) -> None:
    recorded = await told(scene, went, chat, alternative)
    assert (recorded.users, recorded.strays) == (frozenset({scene.claimed.user}), ())
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"] is not None) == ("sent", True)


@pytest.mark.parametrize(
    ("went", "chat", "alternative"),
    [
        (("phone", PHONE, None), STRANGERS, None),
        (("phone", PHONE, OURS), STRANGERS, LID),
        (("phone", PHONE, OURS), LID, None),
        (("phone", PHONE, OURS), GROUP, None),
        (("phone", PHONE, None), "", ""),
        (("lid", LID, None), "7700000000002@lid", STRANGERS),
        (("group", GROUP, None), "120363000000000002@g.us", None),
        (("group", GROUP, None), OURS, LID),
    ],
)
async def test_a_receipt_from_elsewhere_counts_nothing(
    scene: Scene, went: tuple[str, str, str | None], chat: str, alternative: str | None
) -> None:
    """Who has learned a message's id can send receipts for it."""
    recorded = await told(scene, went, chat, alternative)
    assert (recorded.users, recorded.strays) == (frozenset(), (scene.account,))
    assert await scene.rows.status(scene.claimed.id) == "sending"
    assert await scene.rows.one("SELECT in_flight FROM account WHERE id = $1", scene.account) == scene.claimed.id
    assert await scene.rows.one("SELECT count(*) FROM contact WHERE reached_at IS NOT NULL") == 0


@pytest.mark.parametrize("status", ["sending", "sent", "failed"])
async def test_beside_an_honest_receipt_a_strangers_counts_nothing(scene: Scene, status: str) -> None:
    unknown: dict[str, Any] = {"failure": UNCONFIRMED} if status == "failed" else {}
    await scene.record(scene.outcome(status, unconfirmed=status != "sent", fact=True, **unknown))
    stray = replace(scene.receipt(read=True, ago=1000), chat=STRANGERS)
    assert (await scene.receive(stray)).users == frozenset()
    assert await scene.rows.status(scene.claimed.id) == status
    honest = scene.receipt()
    recorded = await scene.receive(stray, honest, stray)
    assert (recorded.users, recorded.strays) == (frozenset({scene.claimed.user}), (scene.account,))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"]) == ("sent", None)
    assert row["delivered_at"] >= honest.at


async def test_receipts_times_are_the_first_and_none_is_to_come(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.rows.one("UPDATE message SET claimed_at = now() - interval '60 s', sent_at = now() - interval '50 s'")
    await scene.receive(scene.receipt(ago=10), scene.receipt(ago=30), scene.receipt(read=True, ago=-100))
    row = await scene.rows.get(scene.claimed.id)
    now = datetime.now(UTC)
    assert timedelta(seconds=29) < now - row["delivered_at"] < timedelta(seconds=40)
    assert timedelta(seconds=49) < now - row["sent_at"] < timedelta(seconds=60)
    assert row["read_at"] <= now
    await scene.receive(scene.receipt(read=True, ago=20))
    assert await scene.rows.get(scene.claimed.id) == row


async def test_a_receipt_from_before_the_message_comes_after_it_all_the_same(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt(ago=100))
    await scene.receive(scene.receipt(read=True, ago=90))
    row = await scene.rows.get(scene.claimed.id)
    assert row["claimed_at"] <= row["sent_at"] <= row["delivered_at"] <= row["read_at"]


async def test_a_later_receipt_moves_nothing_that_is_known(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt())
    before = await scene.rows.get(scene.claimed.id)
    await scene.receive(scene.receipt(read=True, ago=-1))
    after = await scene.rows.get(scene.claimed.id)
    assert (after["sent_at"], after["delivered_at"]) == (before["sent_at"], before["delivered_at"])
    assert after["read_at"] is not None


async def test_a_receipt_settles_an_unknown_outcome(scene: Scene) -> None:
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=60 * SECOND))
    recorded = await scene.receive(scene.receipt())
    assert recorded.pauses.keys() == {scene.account}
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["read_at"]) == ("sent", None)
    assert row["claimed_at"] <= row["sent_at"] <= row["delivered_at"]
    assert await scene.is_free()
    await scene.record(scene.outcome("sending", unconfirmed=True, account_pause=60 * SECOND))
    assert await scene.rows.status(scene.claimed.id) == "sent"


@pytest.mark.parametrize("late", ["acknowledgement", "receipt"])
async def test_what_was_given_up_is_sent_after_all(scene: Scene, late: str) -> None:
    await scene.record(scene.outcome("failed", failure=UNCONFIRMED, unconfirmed=True))
    assert await scene.rows.status(scene.claimed.id) == "failed"
    if late == "receipt":
        await scene.receive(scene.receipt(read=True))
    else:
        await scene.record(scene.outcome("sent", fact=True))
    row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["error_code"], row["ended_at"]) == ("sent", None, None)


async def test_receipts_in_any_order_and_again(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    read, delivered = scene.receipt(read=True, ago=-1), scene.receipt(ago=-1)
    assert (await scene.receive(read, delivered)).users == {scene.claimed.user}
    first = await scene.rows.get(scene.claimed.id)
    assert first["sent_at"] <= first["delivered_at"] <= first["read_at"]
    assert (await scene.receive(delivered, read)).users == frozenset()
    assert await scene.rows.get(scene.claimed.id) == first
    assert await scene.rows.one("SELECT reached_at IS NOT NULL FROM contact WHERE address = '4915200001'")


async def test_delivered_is_not_read(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    await scene.receive(scene.receipt())
    assert (await scene.rows.get(scene.claimed.id))["read_at"] is None
    await scene.receive(scene.receipt(read=True))
    assert (await scene.rows.get(scene.claimed.id))["read_at"] is not None


async def test_usual_receipts_wait_for_nobody_who_changes_the_account(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    async with scene.db.transaction() as other:
        await other.execute("SELECT FROM account FOR UPDATE")
        assert not await scene.note(scene.receipt(read=True), scene.receipt())
        row = await scene.rows.get(scene.claimed.id)
    assert (row["status"], row["delivered_at"] is not None, row["read_at"] is not None) == ("sent", True, True)


@pytest.mark.parametrize("status", ["sending", "failed", "waiting"])
async def test_a_receipt_that_proves_something_is_not_usual(scene: Scene, status: str) -> None:
    if status != "sending":
        failure = UNCONFIRMED if status == "failed" else None
        await scene.record(scene.outcome(status, failure=failure, unconfirmed=True))
    before = await scene.rows.get(scene.claimed.id)
    assert await scene.note(receipt := scene.receipt()) == [receipt]
    assert await scene.rows.get(scene.claimed.id) == before


async def test_nor_is_the_first_that_reaches_a_contact_or_one_from_elsewhere(scene: Scene) -> None:
    await scene.record(scene.outcome("sent", fact=True))
    stray = replace(receipt := scene.receipt(), chat=STRANGERS)
    assert await scene.note(stray) == [stray]
    await scene.rows.one("UPDATE contact SET reached_at = NULL, cold_at = NULL")
    assert await scene.note(receipt) == [receipt]
    assert (await scene.rows.get(scene.claimed.id))["delivered_at"] is None
