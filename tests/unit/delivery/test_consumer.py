"""The worker's end of the stream of events: how much it holds, what it acknowledges, and whom it tells."""

import asyncio
import contextlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from chatwren.channels.engine import convert
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.facts import Offline
from chatwren.delivery import consumer
from chatwren.store.database import OF_USERS, Database, Topic
from tests.rows import Rows
from tests.unit.delivery.consuming import BAD, Scene, at_work, blocked
from tests.unit.fake_engine import message, receipt, state
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return await at_work(db, rows, monkeypatch)


async def test_what_was_read_and_is_not_yet_stored_is_bounded(scene: Scene) -> None:
    """The engine keeps the rest: its stream does not take more."""
    each = 256 << 10
    async with scene.following(), scene.db.transaction() as lock:
        await lock.execute("LOCK TABLE inbound")
        await scene.engine.say(message(scene.alice, "FIRST"))
        await until(lambda: blocked(scene))
        await scene.engine.say(*[message(scene.alice, raw=bytes(each)) for _ in range(200)])
        most = consumer.MAX_WAITING_BYTES // each
        await until(lambda: scene.engine.sent >= most)
        before = -1
        while before != scene.engine.sent:  # until it stands still
            before = scene.engine.sent
            await asyncio.sleep(0.3)
        assert most <= before <= most + 40, "some lie in the connection's buffers"
        await lock.execute("ROLLBACK; BEGIN")
        await until(lambda: not scene.engine.waiting(), seconds=30)
    assert len(await scene.stored(scene.alice)) == 201


async def test_many_small_ones_are_bounded_by_their_number(scene: Scene) -> None:
    came = consumer._Came()
    filling = asyncio.create_task(fill(came, scene.alice, consumer.MAX_WAITING + 1))
    await until(lambda: len(came._events) == consumer.MAX_WAITING)
    assert not filling.done()
    assert len(await came.take()) == 200
    await filling


async def test_what_was_taken_makes_room(scene: Scene) -> None:
    came = consumer._Came()
    large = convert.event(message(scene.alice, raw=bytes(consumer.MAX_WAITING_BYTES // 2 - 1000)).SerializeToString())
    for _ in range(3):
        async with asyncio.timeout(5):
            await came.put(large)
            await came.put(large)
        assert len(await came.take()) == 2


async def test_a_receipt_that_names_many_messages_goes_alone(scene: Scene) -> None:
    came = consumer._Came()
    many = [f"MANY{number}" for number in range(900)]
    for made in (message(scene.alice), receipt(scene.alice, *many), receipt(scene.alice, *many), message(scene.alice)):
        await came.put(convert.event(made.SerializeToString()))
    assert [len(await came.take()) for _ in range(2)] == [2, 2]


@pytest.fixture
def ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts would wait for others without end."""
    monkeypatch.setattr(consumer, "_TOGETHER_SECONDS", 3600.0)


async def put(came: Any, *events: pb.Event) -> None:
    for event in events:
        await came.put(convert.event(event.SerializeToString()))


async def test_receipts_soon_after_others_are_taken_together() -> None:
    account, came = uuid4(), consumer._Came()
    await put(came, receipt(account, "ONE"))
    assert len(await came.take()) == 1, "a lone one waits for nobody"
    await put(came, receipt(account, "TWO"))
    taking = asyncio.create_task(came.take())
    await asyncio.sleep(0)
    await put(came, receipt(account, "THREE"))
    assert len(await taking) == 2


@pytest.mark.usefixtures("ages")
@pytest.mark.parametrize("what", ["a message", "a group's receipt", "many", "one without room", "the end"])
async def test_what_has_to_be_stored_at_once_takes_receipts_with_it(what: str) -> None:
    account, came = uuid4(), consumer._Came()
    one, group = receipt(account, "TWO"), receipt(account, "THREE")
    group.receipt.chat = "1203@g.us"
    large = receipt(account, "LARGE" * (consumer.MAX_WAITING_BYTES // 5))
    await put(came, one)
    async with asyncio.timeout(5):
        await came.take()
    await put(came, one)
    taking = asyncio.create_task(came.take())
    await asyncio.sleep(0.05)
    assert not taking.done()
    coming = {
        "a message": [message(account)],
        "a group's receipt": [group],
        "many": [one] * 199,
        "one without room": [large],
        "the end": [],
    }[what]
    putting = asyncio.create_task(put(came, *coming))
    if what == "the end":
        came.end()
    async with asyncio.timeout(5):
        assert len(await taking) == {"many": 200, "one without room": 1, "the end": 1}.get(what, 2)
        await putting


@pytest.mark.usefixtures("ages")
async def test_what_is_too_much_for_a_batch_does_not_wait() -> None:
    account, came = uuid4(), consumer._Came()
    await put(came, *[receipt(account, "ONE")] * 300)
    async with asyncio.timeout(5):
        assert [len(await came.take()) for _ in range(2)] == [200, 100]


async def fill(came: Any, account: UUID, number: int) -> None:
    event = convert.event(message(account).SerializeToString())
    for _ in range(number):
        await came.put(event)


async def test_a_stream_that_ends_is_followed_again_and_nothing_is_stored_twice(scene: Scene) -> None:
    async with scene.following():
        async with scene.db.transaction() as lock:
            await lock.execute("LOCK TABLE inbound")
            await scene.engine.say(message(scene.alice, "ONE"), message(scene.alice, "TWO"))
            await until(lambda: blocked(scene))
            scene.engine.end_stream()
            await until(lambda: scene.engine.sent >= 2)
        await until(lambda: scene.engine.streams >= 2)
        await scene.say(message(scene.alice, "THREE"))
    assert await scene.rows.one("SELECT count(*) FROM inbound") == 3
    assert scene.engine.acks[-1] == (3, True)


async def test_what_needs_no_ack_gets_none(scene: Scene) -> None:
    name = pb.Event(account=str(scene.alice), push_name=pb.Event.PushName(name="Alice & Sons"))
    async with scene.following():
        await scene.engine.say(name)

        async def named() -> bool:
            return bool((await scene.account(scene.alice))["name"] == "Alice & Sons")

        await until(named)
        await scene.engine.say(message(scene.alice))
        await until(lambda: scene.engine.acks)
    assert scene.engine.acks == [(2, True)]


async def test_the_users_concerned_get_a_hint_and_no_other_does(scene: Scene, database_url: str) -> None:
    heard: set[tuple[Topic, UUID]] = set()
    listening = asyncio.Event()
    async with Database.connect(database_url, size=1) as ear:

        def hear(topic: Topic, users: set[UUID]) -> None:
            heard.update((topic, one) for one in users)

        task = asyncio.create_task(ear.listen(OF_USERS, hear, on_gap=listening.set))
        await listening.wait()
        async with scene.following():
            name = pb.Event(account=str(scene.alice), needs_ack=True, push_name=pb.Event.PushName(name="A"))
            for topic, event in (
                (Topic.INBOX, message(scene.alice, "ONE")),
                (Topic.ACCOUNT, state(scene.alice, "DISCONNECTED")),
                (Topic.ACCOUNT, name),
            ):
                heard.clear()
                await scene.say(event)
                await until(lambda: heard)
                assert heard == {(topic, scene.rows.users["alice"])}
            heard.clear()
            await scene.say(message(scene.alice, "ONE"))  # known already
            await scene.say(message(scene.bob, "TWO"))
            await until(lambda: heard)
            assert heard == {(Topic.INBOX, scene.rows.users["bob"])}
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_callbacks_are_called_once_and_only_for_what_is_stored(scene: Scene) -> None:
    await scene.plant(when=f"NEW.wa_id = '{BAD}' AND nextval('tries') < 3")
    async with scene.following():
        await scene.engine.say(message(scene.alice, BAD))
        await scene.say(state(scene.bob, "DISCONNECTED"))
    assert scene.states == [(scene.bob, Offline("connection_lost", None, 0, ""))]
    assert len(scene.recorded) <= 2


async def test_receipts_are_stored_when_what_is_known_of_their_accounts_messages_is_on_disk(scene: Scene) -> None:
    scene.recorded_all.clear()
    async with scene.following():
        await scene.engine.say(receipt(scene.alice, "ONE"), receipt(scene.alice, "TWO"))
        await until(lambda: scene.asked_of == {scene.alice})
        assert not scene.engine.acks
        scene.recorded_all.set()
        await until(lambda: len(scene.engine.acks) == 2)
