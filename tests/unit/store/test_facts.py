"""What a message that arrives makes known of its contact."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.domain.facts import Inbound
from chatwren.domain.ids import whatsapp_message_id
from chatwren.store import facts

pytestmark = pytest.mark.anyio

PHONE = "4915200001"


@pytest.fixture
async def account(rows: Rows) -> UUID:
    return await rows.account("alice")


async def arrives(rows: Rows, account: UUID, *, ago: float = 0, **more: Any) -> set[UUID]:
    """The users to whom a message that was written so many seconds ago is new."""
    chat = f"{PHONE}@s.whatsapp.net"
    message = Inbound(
        account, chat, chat, whatsapp_message_id(), PHONE, PHONE, "Dora", from_me=False, is_group=False,
        at=datetime.now(UTC) - timedelta(seconds=ago), text="hello", media=None,
    )  # fmt: skip
    async with rows.db.transaction() as connection:
        return await facts.store_messages(connection, [replace(message, **more)])


async def contact(rows: Rows) -> Any:
    async with rows.db.connection() as connection:
        return await connection.fetchrow("SELECT *, now() AS now FROM contact")


async def test_a_message_that_comes_again_is_stored_once(rows: Rows, account: UUID) -> None:
    assert await arrives(rows, account, wa_id="A") == {rows.users["alice"]}
    assert await arrives(rows, account, wa_id="A") == set()
    assert await rows.one("SELECT count(*) FROM inbound") == 1


@pytest.mark.parametrize("kind", ["from_me", "is_group"])
async def test_only_who_writes_directly_is_known_by_that(rows: Rows, account: UUID, kind: str) -> None:
    assert await arrives(rows, account, **{kind: True}) == {rows.users["alice"]}
    assert await contact(rows) is None
    await arrives(rows, account)
    assert (await contact(rows))["wrote_at"] is not None


async def test_the_latest_word_counts_and_none_is_to_come(rows: Rows, account: UUID) -> None:
    await arrives(rows, account, ago=10)
    before = await contact(rows)
    await arrives(rows, account, ago=3600, push_name=None)
    after = await contact(rows)
    assert (after["wrote_at"], after["name"]) == (before["wrote_at"], "Dora")
    await arrives(rows, account, ago=-3600, push_name="Dora D.")
    row = await contact(rows)
    assert row["wrote_at"] <= row["now"]
    assert row["name"] == "Dora D."


@pytest.mark.parametrize(("code", "waits"), [("cold_refused", False), ("recipient_unreachable", True)])
async def test_who_writes_may_be_answered_unless_it_was_not_for_being_a_stranger(
    rows: Rows, account: UUID, code: str, *, waits: bool
) -> None:
    await rows.one(
        "INSERT INTO contact (account_id, address, retry_at, retry_code) VALUES ($1, $2, now() + interval '1 h', $3)",
        account,
        PHONE,
        code,
    )
    await arrives(rows, account)
    assert ((await contact(rows))["retry_at"] is not None) == waits
