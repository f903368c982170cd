"""What users change of their messages: their own ones alone, only what waits, and nothing besides what was asked."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.rows import Rows

from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.store import messages
from chatwren.store.database import Connection, Database
from chatwren.store.messages import NewRow

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
STATES = {
    "waiting": "status = 'waiting'",
    "retried": "status = 'waiting', unconfirmed = 1",
    "sending": "status = 'sending', claimed_at = now()",
    "sent": "status = 'sent', claimed_at = now(), sent_at = now()",
    "failed": "status = 'failed', ended_at = now(), error_code = 'x', error_message = 'X.'",
    "cancelled": "status = 'cancelled', ended_at = now()",
    "expired": "status = 'expired', ended_at = now()",
}


@pytest.fixture
async def alice(rows: Rows) -> UUID:
    await rows.account("alice")
    await rows.user("charlie")
    return rows.users["alice"]


async def make(rows: Rows, state: str = "waiting") -> UUID:
    """A message of Alice's in this state, varied, with a limit."""
    message = await rows.message(await rows.one("SELECT id FROM account"), due_in=60)
    await rows.one(
        "UPDATE message SET original = 'asked', modifications = '{\"use_synonyms\": true}',"
        ' changes = \'[{"rule": "r"}]\','
        f" expires_at = due + interval '2 hours', {STATES[state]} WHERE id = $1",
        message,
    )
    return message


async def act(connection: Connection, action: str, user: UUID, message: UUID) -> bool:
    match action:
        case "get":
            return await messages.get(connection, user, message) is not None
        case "cancel":
            return await messages.cancel(connection, user, message)
        case "change":
            return await messages.change(connection, user, message, text="new", original="new")
        case _:
            return await messages.retry(connection, user, message)


@pytest.mark.parametrize("action", ["get", "cancel", "change", "retry"])
async def test_charlie_does_nothing_with_alices(db: Database, rows: Rows, alice: UUID, action: str) -> None:
    message = await make(rows, "failed" if action == "retry" else "waiting")
    before = await rows.get(message)
    async with db.connection() as connection:
        assert not await act(connection, action, rows.users["charlie"], message)
        assert await rows.get(message) == before
        assert await act(connection, action, alice, message)


@pytest.mark.parametrize("state", STATES)
async def test_only_what_certainly_is_not_out_may_be_changed(db: Database, rows: Rows, alice: UUID, state: str) -> None:
    allowed = state == "waiting"
    for action in ("change", "cancel"):
        message = await make(rows, state)
        before = await rows.get(message)
        async with db.connection() as connection:
            assert await act(connection, action, alice, message) == allowed
        assert (await rows.get(message) == before) != allowed
    several = [await make(rows, state) for _ in range(2)]
    async with db.connection() as connection:
        assert await messages.cancel_all(connection, rows.users["charlie"], several) == 0
        assert await messages.cancel_all(connection, alice, several) == (2 if allowed else 0)


@pytest.mark.parametrize("state", STATES)
async def test_only_what_failed_may_be_retried(db: Database, rows: Rows, alice: UUID, state: str) -> None:
    message = await make(rows, state)
    before = await rows.get(message)
    async with db.connection() as connection:
        assert await act(connection, "retry", alice, message) == (state == "failed")
    assert (await rows.get(message) == before) == (state != "failed")


async def changed(rows: Rows, alice: UUID, **what: Any) -> tuple[dict[str, Any], list[str]]:
    """What a change of a message does to it: the columns that it changed, and the steps that it noted."""
    message = await make(rows)
    before = dict(await rows.get(message))
    async with rows.db.connection() as connection:
        assert await messages.change(connection, alice, message, **what)
        steps = [one.step for one in await messages.steps(connection, message)]
    after = dict(await rows.get(message))
    return {name: after[name] for name in after if after[name] != before[name]}, steps


async def test_a_change_changes_what_was_asked_and_no_more(rows: Rows, alice: UUID) -> None:
    moment = await rows.one("SELECT now() + interval '30 min'")
    assert await changed(rows, alice, due=moment) == ({"due": moment}, ["rescheduled"])
    limit = moment + 9 * HOUR
    assert await changed(rows, alice, expires_at=limit) == ({"expires_at": limit}, ["rescheduled"])
    words = {"text": "new", "original": "{new|other}", "changes": [{"rule": "s"}]}
    assert await changed(rows, alice, **words) == (words, ["rewritten"])
    assert await changed(rows, alice, text="new", original="new") == (
        {"text": "new", "original": "new", "changes": None},
        ["rewritten"],
    )
    both, steps = await changed(rows, alice, due=moment, **words)
    assert (both, sorted(steps)) == ({"due": moment, **words}, ["rescheduled", "rewritten"])


async def test_a_limit_lies_after_the_due_time(db: Database, rows: Rows, alice: UUID) -> None:
    message = await make(rows)
    due = (await rows.get(message))["due"]
    async with db.connection() as connection:
        with pytest.raises(messages.EXPIRES_TOO_EARLY):
            await messages.change(connection, alice, message, expires_at=due)
        with pytest.raises(messages.EXPIRES_TOO_EARLY):
            await messages.change(connection, alice, message, due=due + 3 * HOUR)


async def test_a_retry_is_asked_for_anew_with_as_much_time_as_before(db: Database, rows: Rows, alice: UUID) -> None:
    message = await make(rows, "failed")
    await rows.one("UPDATE message SET due = due - interval '9 days', expires_at = expires_at - interval '9 days'")
    async with db.connection() as connection:
        assert await messages.retry(connection, alice, message)
    row = await rows.get(message)
    assert await rows.one("SELECT now() - $1 BETWEEN '0 s' AND '10 s'", row["due"])
    assert row["expires_at"] - row["due"] == 2 * HOUR
    assert (row["status"], row["ended_at"], row["error_code"]) == ("waiting", None, None)


async def test_a_message_is_stored_once_and_only_for_the_sessions_own_user(
    db: Database, rows: Rows, alice: UUID
) -> None:
    sessions = {name: uuid4().bytes for name in ("alice", "charlie")}
    for name, sid_hash in sessions.items():
        await rows.one("INSERT INTO session (sid_hash, user_id) VALUES ($1, $2)", sid_hash, rows.users[name])
    account, moment = await rows.one("SELECT id FROM account"), await rows.one("SELECT now()")

    def new(sid_hash: bytes | None) -> NewRow:
        return NewRow(
            id=uuid7(), user_id=alice, account_id=account, prefix="msg", recipient_kind="phone", recipient="4915200001",
            text="hello", original="hello", modifications=None, changes=None, media_id=None, lane="normal",
            accepted_at=moment, due=moment, expires_at=None, wa_id=whatsapp_message_id(), sid_hash=sid_hash,
        )  # fmt: skip

    mine, charlies, ended, none = [new(one) for one in (sessions["alice"], sessions["charlie"], b"ended", None)]
    async with db.connection() as connection:
        for _ in range(2):  # the answer was lost
            stored = await messages.insert(connection, [mine, charlies, ended, none])
            assert stored.keys() == {mine.id, none.id}
    assert await rows.one("SELECT count(*) FROM message") == 2
