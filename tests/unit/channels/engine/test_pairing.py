"""A worker runs a pairing: codes into the row, the new device into the account, or out again."""

from datetime import timedelta
from typing import Any

import pytest

from chatwren.channels.engine import jobs, pairing
from chatwren.channels.engine.client import EngineError, NoDevice
from chatwren.channels.engine.model import Codes, Confirm, PairEvent, PairingFailed, PasskeyWanted, Success, TypedCode
from chatwren.channels.engine.pairing import phone_of
from chatwren.service import linking
from chatwren.store.database import Database
from chatwren.store.fenced import leases
from tests.rows import Rows
from tests.unit.channels.engine.told_engine import Steps, ToldEngine

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
PHONE = "4915100007777"
JID = f"{PHONE}:3@s.whatsapp.net"


class Scene:
    """Alice's account, which was never linked, its worker, and the pairing that she has asked for."""

    def __init__(self, db: Database, rows: Rows) -> None:
        self.db, self.rows, self.engine = db, rows, ToldEngine()

    async def begin(self) -> "Scene":
        self.account, user = await self.rows.new_account(), self.rows.users["alice"]
        async with self.db.transaction() as connection:
            asked = await linking.start_or_join(
                connection, account_id=self.account, user_id=user, phone=None, allowed=99
            )
        self.pairing = asked.id
        self.worker = await self.rows.worker()
        await self.rows.own(self.worker)
        return self

    async def run(self, *steps: PairEvent) -> tuple[bool, Steps]:
        """Whether the account is linked then, and the pairing as the engine saw it."""
        made = Steps(*steps)
        self.engine.pairings = [made]
        return await pairing.pair(self.db, self.engine, self.worker, 1, self.pairing), made

    async def row(self) -> Any:
        async with self.db.connection() as connection:
            return await connection.fetchrow("SELECT * FROM pairing WHERE id = $1", self.pairing)

    async def status(self) -> str:
        return str(await self.rows.one("SELECT status FROM account WHERE id = $1", self.account))

    async def left(self) -> str | None:
        """The device that the worker is to log out."""
        async with self.db.connection() as connection:
            (owned,) = await leases.owned(connection, self.worker)
        assert owned.wanted is (owned.linked or owned.left is not None)
        return owned.left

    async def end_device(self) -> None:
        await jobs.end_device(self.db, self.engine, self.worker, self.account, JID, epoch=1)

    def logged_out(self) -> list[object]:
        return [jid for name, _, jid in self.engine.asked if name == "logout"]


@pytest.fixture
async def scene(db: Database, rows: Rows) -> Scene:
    return await Scene(db, rows).begin()


async def test_a_device_that_scans_is_linked(scene: Scene) -> None:
    linked, seen = await scene.run(Codes((("a", 60 * SECOND),)), Confirm(JID), Success(JID, "1@lid"))
    assert (linked, seen.confirmed) == (True, [True])
    row = await scene.row()
    assert (row["state"], row["jid"], row["codes"]) == ("linked", JID, None)
    assert await scene.status() == "linked"
    assert await scene.rows.one("SELECT phone FROM account") == PHONE
    assert not scene.logged_out()


async def test_a_number_of_another_user_is_refused_and_says_why(scene: Scene) -> None:
    await scene.rows.account("bob")
    await scene.rows.one("UPDATE account SET phone = $1 WHERE status = 'linked'", PHONE)
    linked, seen = await scene.run(Confirm(JID), PairingFailed("refused", ""))
    assert (linked, seen.confirmed) == (False, [False])
    assert (await scene.row())["failure"] == "linked_elsewhere"
    assert await scene.status() == "new"


async def test_a_device_that_turns_out_to_be_anothers_is_to_be_logged_out(scene: Scene) -> None:
    bobs = await scene.rows.account("bob")

    class MeanwhileBobs(Steps):
        async def confirm(self, *, accept: bool) -> None:
            await super().confirm(accept=accept)
            await scene.rows.one("UPDATE account SET phone = $2 WHERE id = $1", bobs, PHONE)

    made = MeanwhileBobs(Confirm(JID), Success(JID, "1@lid"))
    scene.engine.pairings = [made]
    assert not await pairing.pair(scene.db, scene.engine, scene.worker, 1, scene.pairing)
    assert made.confirmed == [True]
    assert await scene.left() == JID
    assert (await scene.row())["failure"] == "linked_elsewhere"
    assert await scene.status() == "new"


async def test_a_device_that_a_pairing_leaves_is_to_be_logged_out_until_that_is_done(scene: Scene) -> None:
    await scene.run(Confirm(JID), PairingFailed("disconnected", ""))
    assert await scene.left() == JID
    scene.engine.errors["logout"] = [EngineError("not now")]
    with pytest.raises(EngineError):
        await scene.end_device()
    assert await scene.left() == JID
    await scene.end_device()
    assert await scene.left() is None
    assert await scene.rows.one("SELECT status_reason FROM account") is None


@pytest.mark.parametrize(("status", "reason"), [("logged_out", "not_told"), ("linked", None)])
async def test_a_device_of_which_whatsapp_could_not_be_told_is_remembered(
    scene: Scene, status: str, reason: str | None
) -> None:
    await scene.run(Confirm(JID), PairingFailed("disconnected", ""))
    await scene.rows.one(f"UPDATE account SET status = '{status}', jid = 'x', phone = '1'")
    scene.engine.told = False
    await scene.end_device()
    assert await scene.left() is None
    assert await scene.rows.one("SELECT status_reason FROM account") == reason


async def test_a_device_that_was_not_saved_needs_no_logout(scene: Scene) -> None:
    await scene.run(Confirm(JID), PairingFailed("disconnected", ""))
    scene.engine.errors["logout"] = [NoDevice("no keys")]
    await scene.end_device()
    assert await scene.left() is None
    assert await scene.rows.one("SELECT status_reason FROM account") is None


@pytest.mark.parametrize(
    ("last", "failure"), [(PairingFailed("timeout", ""), "timeout"), (PasskeyWanted(), "passkey_required")]
)
async def test_a_pairing_that_fails_says_why(scene: Scene, last: PairEvent, failure: str) -> None:
    linked, _ = await scene.run(TypedCode("ABCD", 180 * SECOND), last)
    row = await scene.row()
    assert (linked, row["state"], row["failure"], row["phone_code"]) == (False, "failed", failure, None)


async def test_a_device_that_an_earlier_worker_confirmed_is_logged_out_first(scene: Scene) -> None:
    await scene.rows.one("UPDATE pairing SET jid = $1", JID)
    await scene.run(PairingFailed("timeout", ""))
    assert scene.logged_out() == [JID]
    assert [name for name, _, _ in scene.engine.asked] == ["logout", "pair"]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("UPDATE pairing SET expires_at = now()", "failed"),
        ("UPDATE account SET status = 'linked', jid = 'x', phone = '1'", "linked"),
        ("UPDATE pairing SET state = 'failed', failure = 'timeout', ended_at = now()", "failed"),
    ],
    ids=["overdue", "linked already", "ended"],
)
async def test_what_there_is_nothing_to_pair_for_ends(scene: Scene, change: str, state: str) -> None:
    await scene.rows.one(change)
    linked, _ = await scene.run(PairingFailed("wrong", ""))
    assert not linked
    assert not scene.engine.asked
    row = await scene.row()
    assert (row["state"], row["failure"]) == (state, "timeout" if state == "failed" else None)


@pytest.mark.parametrize(
    "jid", ["4915112345678:7@s.whatsapp.net", "4915112345678@s.whatsapp.net", "4915112345678.0:7@s.whatsapp.net"]
)
def test_the_number_of_a_device(jid: str) -> None:
    assert phone_of(jid) == "4915112345678"
