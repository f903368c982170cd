"""Workers that are proved to be dead: removed before their leases are over, and nobody else is."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatwren.delivery.burial import bury
from chatwren.machine import lifeline
from chatwren.machine.lives import Lives
from chatwren.store.database import Database
from chatwren.store.fenced import workers
from tests.rows import Rows

pytestmark = pytest.mark.anyio


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lives:
    monkeypatch.setenv(lifeline.VARIABLE, "0")
    return Lives(tmp_path)


async def dead(lives: Lives, rows: Rows) -> UUID:
    """A worker whose process has ended without a word, just after it had renewed."""
    worker = await rows.worker()
    with lives.marked(worker):
        pass
    return worker


async def test_the_accounts_of_the_dead_are_free_at_once_and_those_of_others_stay(
    db: Database, rows: Rows, lives: Lives
) -> None:
    one = await dead(lives, rows)
    theirs = await rows.account("alice")
    await rows.own(one)
    living, elsewhere = await rows.worker(), await rows.worker()
    with lives.marked(living):
        for owner, name in ((living, "bob"), (elsewhere, "charlie")):
            await rows.account(name)
            await rows.own(owner)
        await bury(db, lives)
    owners = await rows.one("SELECT array_agg(worker_id) FROM lease WHERE account_id <> $1", theirs)
    assert set(owners) == {living, elsewhere}
    assert await rows.one("SELECT worker_id IS NULL FROM lease WHERE account_id = $1", theirs)
    assert await rows.one("SELECT NOT connected FROM account WHERE id = $1", theirs)
    assert lives.ended() == [living]  # its context is over


async def test_one_that_is_locked_is_tried_again(db: Database, rows: Rows, lives: Lives) -> None:
    one = await dead(lives, rows)
    async with db.transaction() as other:
        await other.execute("SELECT FROM worker WHERE id = $1 FOR KEY SHARE", one)
        await bury(db, lives)
    assert lives.ended() == [one]
    await bury(db, lives)
    assert lives.ended() == []
    assert await rows.one("SELECT count(*) FROM worker") == 0


async def test_one_whose_row_is_gone_is_forgotten(db: Database, lives: Lives) -> None:
    with lives.marked(uuid4()):
        pass
    await bury(db, lives)
    assert lives.ended() == []


async def test_what_is_left_of_its_sessions_is_ended_first(
    database_url: str, db: Database, rows: Rows, lives: Lives
) -> None:
    """A transaction in which it died would hold up whoever takes over."""
    one = await dead(lives, rows)
    async with (
        Database.connect(database_url, application_name=f"{workers.WORKER}{one}") as far,
        far.connection() as left,
    ):
        await left.execute("BEGIN")
        await left.execute("SELECT FROM worker WHERE id = $1 FOR KEY SHARE", one)
        await bury(db, lives)
    assert await rows.one("SELECT count(*) FROM worker") == 0
