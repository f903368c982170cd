"""What a worker does for its accounts: opens, gives up, pairs, logs out, and when again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from chatwren.channels.engine.client import EngineError, NoDevice
from chatwren.channels.engine.connections import EngineConnections
from chatwren.channels.engine.model import Group
from chatwren.channels.facts import Connected, Offline, Restricted, State, Unlinked
from chatwren.delivery.fence import Fence, uptime
from chatwren.delivery.ownership import Ownership
from chatwren.domain import clock
from chatwren.service import linking
from chatwren.settings import Settings
from chatwren.store import accounts
from chatwren.store.database import Database
from tests.rows import Rows
from tests.unit.channels.engine.told_engine import OneEngine, ToldEngine
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Scene:
    """What a worker owns, and its connections, beside an engine of the test's."""

    def __init__(self, db: Database, rows: Rows, settings: Settings) -> None:
        self.db, self.rows, self.settings = db, rows, settings
        self.fence = Fence(600)
        self.fence.renewed(uptime())
        self.engine = ToldEngine()
        self.engines = OneEngine(self.engine)
        self.busy: set[UUID] = set()
        self.ready: list[UUID] = []
        self.running: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        self.worker = await self.rows.worker()
        self.connections = EngineConnections(
            self.db,
            self.worker,
            engines=self.engines,
            lease_left=lambda: self.fence.remaining,
            look=lambda: self.accounts.look(),  # noqa: PLW0108 - it is made below
        )
        self.accounts = Ownership(
            self.db,
            self.worker,
            fence=self.fence,
            connections=self.connections,
            settings=self.settings,
            is_busy=lambda account: account in self.busy,
            on_ready=self.ready.extend,
        )
        self.running = [asyncio.create_task(one) for one in (self.accounts.run(), self.connections.renew_leases())]

    async def end(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def opened(self, account: UUID, times: int = 1) -> None:
        """Wait until the engine was asked to open it so often."""
        await until(lambda: self.engine.count("open", account) >= times)
        assert self.engine.count("open", account) == times

    def happened(self, account: UUID, state: State) -> None:
        self.accounts.state_stored(account, state)

    async def owned(self) -> int:
        count: int = await self.rows.one("SELECT count(*) FROM lease WHERE worker_id = $1", self.worker)
        return count


@pytest.fixture
async def scene(db: Database, rows: Rows, settings: Settings) -> AsyncIterator[Scene]:
    scene = Scene(db, rows, settings)
    yield scene
    await scene.end()


async def test_a_linked_account_is_claimed_and_opened(scene: Scene) -> None:
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    assert list(scene.accounts.may_send()) == [account]
    scene.happened(account, Connected(None))
    assert scene.ready == [account]


async def test_behind_the_fence_nothing_is_claimed(scene: Scene) -> None:
    account = await scene.rows.account()
    scene.fence.renewed(uptime() - 1000)
    await scene.begin()
    for _ in range(20):
        scene.accounts.look()
        await asyncio.sleep(0.02)
    assert await scene.owned() == 0
    scene.fence.renewed(uptime())
    await scene.opened(account)


FENCED = Offline("fenced", timedelta(), 0, "")


@pytest.mark.parametrize("state", [Unlinked("logged_out", "unlinked_on_phone", 401, ""), FENCED])
async def test_what_ended_at_the_engine_is_opened_again_if_it_is_still_wanted(scene: Scene, state: State) -> None:
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    scene.happened(account, state)
    await scene.opened(account, 2)


async def test_when_the_engine_has_ended_all_are_offline_and_opened_again(scene: Scene) -> None:
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    await scene.rows.one("UPDATE account SET connected = true, offline_reason = NULL")
    scene.engines.engine = None
    scene.connections.engine_down()
    await until(lambda: scene.rows.one("SELECT offline_reason = 'engine_restarts' FROM account"))
    scene.engines.engine = scene.engine
    scene.accounts.look()
    await scene.opened(account, 2)


async def test_a_banned_account_is_left_alone_until_the_ban_is_over(scene: Scene) -> None:
    for_long, for_a_second, other = [await scene.rows.account(name) for name in ("alice", "bob", "charlie")]
    await scene.begin()
    for account in (for_long, for_a_second, other):
        await scene.opened(account)
    scene.happened(for_long, Restricted(101, None, ""))
    scene.happened(for_a_second, Restricted(101, clock.now() + timedelta(seconds=1), ""))
    scene.happened(other, FENCED)
    await scene.opened(other, 2)  # in the same look
    assert [scene.engine.count("open", one) for one in (for_long, for_a_second)] == [1, 1]
    await scene.opened(for_a_second, 2)
    assert scene.engine.count("open", for_long) == 1


async def test_what_is_too_much_here_is_given_up_when_nothing_of_it_is_under_way(scene: Scene) -> None:
    both = {await scene.rows.account(name) for name in ("alice", "bob")}
    await scene.begin()
    for account in both:
        await scene.opened(account)
    scene.busy = set(both)
    other = await scene.rows.worker()  # it should have one of them
    await scene.rows.one("UPDATE worker SET heartbeat_at = now() + interval '1 min' WHERE id = $1", other)
    scene.accounts.look()
    await until(lambda: len(scene.accounts.may_send()) == 1)
    (kept,) = scene.accounts.may_send()
    for times in (2, 3):  # whole looks later
        scene.happened(kept, FENCED)
        await scene.opened(kept, times)
    assert await scene.owned() == 2
    assert list(scene.accounts.may_send()) == [kept]
    assert scene.engine.count("close") == 0
    scene.busy.clear()
    scene.accounts.look()
    await until(lambda: scene.engine.count("close"))
    await until(lambda: _is_one(scene))
    scene.happened(kept, FENCED)
    await scene.opened(kept, 4)
    assert await scene.owned() == 1
    assert list(scene.accounts.may_send()) == [kept]


async def _is_one(scene: Scene) -> bool:
    return await scene.owned() == 1


async def test_a_new_epoch_begins_anew(scene: Scene) -> None:
    """It lost the account and got it back between two looks."""
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    await scene.rows.one("UPDATE lease SET epoch = epoch + 1")
    scene.accounts.look()
    await scene.opened(account, 2)
    await until(lambda: scene.engine.count("close"))
    assert [epoch for name, _, epoch in scene.engine.asked if name == "open"] == [1, 2]
    assert [epoch for name, _, epoch in scene.engine.asked if name == "close"] == [1]


async def test_a_job_that_fails_is_tried_again_ever_more_slowly(scene: Scene) -> None:
    account = await scene.rows.account()
    scene.engine.errors = {"open": [EngineError("not now"), EngineError("not now")]}
    await scene.begin()
    await scene.opened(account, 3)
    first, second, third = scene.engine.at
    assert second - first >= 0.5
    assert third - second >= 1


async def test_a_device_that_is_gone_is_logged_out(scene: Scene) -> None:
    await scene.rows.account()
    scene.engine.errors = {"open": [NoDevice("gone")]}
    await scene.begin()
    await until(lambda: scene.rows.one("SELECT status = 'logged_out' FROM account"))
    assert await scene.rows.one("SELECT status_reason FROM account") == "device_gone"


async def test_a_logout_that_was_asked_for_is_done(scene: Scene) -> None:
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    async with scene.db.connection() as connection:
        await accounts.want_logout(connection, account)
    scene.accounts.look()
    await until(lambda: scene.rows.one("SELECT status = 'logged_out' FROM account"))
    assert await scene.rows.one("SELECT status_reason FROM account") == "by_user"
    assert scene.engine.count("logout", account) == 1


async def test_groups_that_were_asked_for_are_stored_with_numbers_as_the_api_shows_them(scene: Scene) -> None:
    account = await scene.rows.account()
    scene.engine.known_groups = [Group("1203@g.us", "Friends", ("4915200001",), 7)]
    await scene.begin()
    await scene.opened(account)
    await scene.rows.one("UPDATE account SET connected = true")
    async with scene.db.connection() as connection:
        await accounts.want_groups(connection, account)
    scene.accounts.look()
    await until(lambda: scene.rows.one("SELECT groups IS NOT NULL FROM account"))
    async with scene.db.connection() as connection:
        known, _ = await accounts.groups(connection, account)
    assert known == [{"id": "1203@g.us", "name": "Friends", "participants": ["+4915200001"], "size": 7}]


async def test_a_pairing_that_another_replaces_makes_way(scene: Scene) -> None:
    account = await scene.rows.new_account()

    async def ask(phone: str | None) -> None:
        async with scene.db.transaction() as connection:
            await linking.start_or_join(
                connection, account_id=account, user_id=scene.rows.users["alice"], phone=phone, allowed=99
            )

    await ask(None)
    await scene.begin()
    await until(lambda: scene.engine.count("pair"))
    await ask("4915100007777")
    scene.accounts.look()
    await until(lambda: scene.engine.count("pair") == 2)
    assert [phone for name, _, phone in scene.engine.asked if name == "pair"] == [None, "4915100007777"]


async def test_the_engine_is_told_of_each_renewal_and_says_what_it_has_lost(scene: Scene) -> None:
    account = await scene.rows.account()
    await scene.begin()
    await scene.opened(account)
    await until(lambda: _renewal(scene) == {account: 1})
    scene.engine.unknown = {account}
    scene.connections.lease_renewed()
    await scene.opened(account, 2)


def _renewal(scene: Scene) -> dict[UUID, int]:
    """What the engine was last told of."""
    scene.connections.lease_renewed()
    return scene.engine.renewed[-1] if scene.engine.renewed else {}
