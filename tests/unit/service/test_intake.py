"""Accepting what many requests bring at once: one statement for all, and each is answered for itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.cable import cable
from tests.rows import Rows
from tests.unit.service.conftest import SignIn, hello, intake_of
from tests.waiting import until

from chatwren.domain import clock
from chatwren.domain.errors import Conflict, Invalid, NotAuthenticated
from chatwren.domain.times import ParsedTime
from chatwren.service.intake import Intake
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def intake(db: Database, tmp_path: Path) -> Intake:
    return intake_of(db, tmp_path)


async def texts(rows: Rows, name: str) -> list[str]:
    async with rows.db.connection() as connection:
        found = await connection.fetch("SELECT text FROM message WHERE user_id = $1 ORDER BY id", rows.users[name])
    return [row[0] for row in found]


async def test_one_bad_row_does_not_fail_its_neighbours(
    db: Database, rows: Rows, intake: Intake, sign_in: SignIn
) -> None:
    alice, bob, charlie = [await sign_in(name) for name in ("alice", "bob", "charlie")]
    async with db.connection() as connection:
        await connection.execute("DELETE FROM account WHERE user_id = $1", rows.users["bob"])
    before, bad, after = await asyncio.gather(
        intake.accept(alice, alice.account, hello("before")),
        intake.accept(bob, bob.account, hello("bad")),
        intake.accept(charlie, charlie.account, hello("after")),
        return_exceptions=True,
    )
    assert isinstance(bad, asyncpg.ForeignKeyViolationError)
    assert not isinstance(before, BaseException)
    assert not isinstance(after, BaseException)
    assert [await texts(rows, name) for name in ("alice", "bob", "charlie")] == [["before"], [], ["after"]]


async def test_a_session_that_ended_meanwhile_accepts_nothing(
    db: Database, rows: Rows, intake: Intake, sign_in: SignIn
) -> None:
    alice, bob = await sign_in("alice"), await sign_in("bob")
    async with db.connection() as connection:
        await connection.execute("DELETE FROM session WHERE user_id = $1", rows.users["alice"])
    plain, keyed, other = await asyncio.gather(
        intake.accept(alice, alice.account, hello()),
        intake.accept(alice, alice.account, hello(), idempotency_key="a key"),
        intake.accept(bob, bob.account, hello()),
        return_exceptions=True,
    )
    assert isinstance(plain, NotAuthenticated)
    assert isinstance(keyed, NotAuthenticated)
    assert not isinstance(other, BaseException)
    assert [await texts(rows, name) for name in ("alice", "bob")] == [[], ["hello"]]
    assert not await rows.one("SELECT count(*) FROM idempotency")


async def test_of_one_batch_each_is_told_for_itself(db: Database, rows: Rows, intake: Intake, sign_in: SignIn) -> None:
    alice, bob, charlie = [await sign_in(name) for name in ("alice", "bob", "charlie")]
    async with db.transaction() as connection:
        await connection.execute("LOCK TABLE message IN EXCLUSIVE MODE")
        first = asyncio.create_task(intake.accept(charlie, charlie.account, hello()))
        await rows.until_blocked()
        others = [asyncio.create_task(intake.accept(one, one.account, hello())) for one in (alice, bob)]
        await asyncio.sleep(0.1)  # both wait for the first, and go together
        await rows.one("DELETE FROM session WHERE user_id = $1", rows.users["alice"])
    await first
    ended, accepted = await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(ended, NotAuthenticated)
    assert not isinstance(accepted, BaseException)
    assert [await texts(rows, name) for name in ("alice", "bob")] == [[], ["hello"]]


@pytest.mark.parametrize("status", ["new", None])
async def test_without_an_account_that_was_linked_nothing_is_accepted(
    rows: Rows, intake: Intake, sign_in: SignIn, status: str | None
) -> None:
    alice = await sign_in("alice")
    assert alice.account is not None
    account = replace(alice.account, status=status) if status else None
    with pytest.raises(Conflict) as refused:
        await intake.accept(alice, account, hello())
    assert refused.value.code == "never_linked"
    assert await texts(rows, "alice") == []


async def test_a_database_lost_after_the_commit_is_asked_again_and_stores_once(
    db: Database, database_url: str, rows: Rows, sign_in: SignIn, tmp_path: Path
) -> None:
    alice = await sign_in("alice")
    async with cable(database_url) as way, Database.connect(way.url, size=1) as far:
        intake = intake_of(far, tmp_path)
        # The statement for more than one is prepared: what is lost is the answer to a commit.
        await asyncio.gather(*(intake.accept(alice, alice.account, hello("zero")) for _ in range(2)))
        async with db.transaction() as connection:
            await connection.execute("LOCK TABLE message IN EXCLUSIVE MODE")
            accepting = [
                asyncio.create_task(intake.accept(alice, alice.account, hello(text))) for text in ("one", "two")
            ]
            await rows.until_blocked(*accepting)
            way.silence()
        await until(lambda: rows.one("SELECT count(*) = 4 FROM message"))
        await way.cut()
        await way.mend()
        accepted = [await one for one in accepting]
    assert await texts(rows, "alice") == ["zero", "zero", "one", "two"]
    async with db.connection() as connection:
        stored = {row[0].hex for row in await connection.fetch("SELECT id FROM message WHERE text <> 'zero'")}
    assert {one.id.removeprefix("msg_") for one in accepted} == stored


async def test_a_request_that_is_repeated_when_its_time_has_passed_is_answered_as_before(
    rows: Rows, intake: Intake, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await sign_in("alice")
    soon = clock.now() + timedelta(minutes=1)
    new = replace(hello(), due=ParsedTime(soon, None, "a warning"), expires=ParsedTime(soon + timedelta(hours=1), None))
    first = await intake.accept(alice, alice.account, new, idempotency_key="once")
    assert (first.scheduled_for, first.warnings[-1:]) == (soon, ("a warning",))
    monkeypatch.setattr(clock, "_shift", timedelta(hours=2))
    assert await intake.accept(alice, alice.account, new, idempotency_key="once") == first
    with pytest.raises(Invalid, match="in the past"):
        await intake.accept(alice, alice.account, new, idempotency_key="twice")
    assert await texts(rows, "alice") == ["hello"]
