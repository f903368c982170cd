"""One event that cannot be stored costs that event alone: it is put aside. Nothing is acknowledged that is nowhere."""

import pytest

from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.domain.storable import name
from chatwren.store import dead_letters
from chatwren.store.database import Database
from tests.rows import Rows
from tests.unit import hostile
from tests.unit.delivery.consuming import BAD, REFUSED, Scene, acked, at_work, blocked, claimed
from tests.unit.fake_engine import message, receipt, state
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return await at_work(db, rows, monkeypatch)


@pytest.mark.parametrize("fails", ["at once", "at commit"])
async def test_one_that_cannot_be_stored_costs_itself_alone(scene: Scene, fails: str) -> None:
    await scene.plant(at_commit=fails == "at commit")
    good = [message(scene.bob, f"GOOD{number}") for number in range(50)]
    bad = message(scene.alice, BAD, text="what it says")
    numbers = await scene.engine.say(*good[:20], bad, *good[20:])  # before it listens: one batch
    async with scene.following():
        await until(lambda: not scene.engine.waiting())
    acked(scene, numbers)
    assert await scene.stored(scene.bob) == {f"GOOD{number}" for number in range(50)}
    assert await scene.stored(scene.alice) == set()
    (letter,) = await scene.letters()
    assert (letter["account_id"], letter["kind"]) == (scene.alice, "message")
    assert pb.Event.FromString(letter["event"]) == bad
    assert letter["size"] == len(bad.SerializeToString())
    assert letter["reason"].startswith("RaiseError: planted")
    assert 3 <= await scene.tries() <= 3 + 6, "three of its own, and one in each half that it was in"


async def test_what_is_stored_beside_one_that_cannot_be_is_told_of(scene: Scene) -> None:
    """A batch is one transaction: nothing of it is on disk already, and silent, when it is done again in parts."""
    sent = await claimed(scene, scene.alice)
    await scene.rows.one("UPDATE message SET wa_id = 'SAME'")
    await scene.plant()
    async with scene.following():
        async with scene.db.transaction() as lock:
            await lock.execute("LOCK TABLE inbound")
            await scene.engine.say(message(scene.bob, "FIRST"))
            await until(lambda: blocked(scene))
            await scene.engine.say(
                receipt(scene.alice, "SAME"), message(scene.bob, BAD)
            )  # these two are the next batch
            await until(lambda: scene.engine.sent == 3)
        await until(lambda: not scene.engine.waiting())
    assert await scene.rows.status(sent) == "sent"
    assert [one.users for one in scene.recorded if scene.alice in one.pauses] == [{scene.rows.users["alice"]}]


async def test_what_its_session_does_not_survive_is_put_aside(scene: Scene) -> None:
    """The database answers, so that it is not away; waiting for it would be for ever."""
    await scene.plant("PERFORM pg_terminate_backend(pg_backend_pid())")
    async with scene.following():
        numbers = await scene.say(message(scene.alice, BAD), message(scene.bob, "GOOD"))
    acked(scene, numbers)
    assert await scene.stored(scene.bob) == {"GOOD"}
    assert [letter["account_id"] for letter in await scene.letters()] == [scene.alice]


async def test_a_clash_is_repeated(scene: Scene) -> None:
    await scene.plant("IF try <= 5 THEN RAISE EXCEPTION 'clash' USING ERRCODE = '40P01'; END IF")
    async with scene.following():
        await scene.say(message(scene.alice, BAD))
    assert await scene.stored(scene.alice) == {BAD}
    assert await scene.letters() == []
    assert await scene.tries() == 6


async def test_a_clash_without_end_is_put_aside(scene: Scene) -> None:
    await scene.plant("RAISE EXCEPTION 'clash' USING ERRCODE = '40001'")
    async with scene.following():
        await scene.say(message(scene.alice, BAD), message(scene.bob, "GOOD"))
    assert await scene.stored(scene.bob) == {"GOOD"}
    assert len(await scene.letters()) == 1


async def test_what_passes_at_the_second_try_is_stored(scene: Scene) -> None:
    await scene.plant(f"IF try = 1 THEN {REFUSED}; END IF")
    async with scene.following():
        await scene.say(message(scene.alice, BAD))
    assert await scene.stored(scene.alice) == {BAD}
    assert await scene.letters() == []


async def test_nothing_is_acknowledged_that_is_nowhere(scene: Scene) -> None:
    """Neither what it is nor the dead letter can be stored: it waits, and so does what came after it."""
    await scene.plant(when=f"TG_TABLE_NAME = 'dead_letter' OR to_jsonb(NEW)->>'wa_id' = '{BAD}'")
    await scene.rows.one("CREATE TRIGGER planted BEFORE INSERT ON dead_letter FOR EACH ROW EXECUTE FUNCTION planted()")
    async with scene.following():
        (number,) = await scene.engine.say(message(scene.alice, BAD))
        await until(lambda: tried(scene, 12))
        assert scene.engine.waiting() == {number}
        await scene.rows.one("DROP TRIGGER planted ON dead_letter")
        await until(lambda: not scene.engine.waiting())
    acked(scene, [number])
    assert len(await scene.letters()) == 1


async def tried(scene: Scene, times: int) -> bool:
    return await scene.tries() >= times


async def test_no_ack_before_the_commit_and_none_when_the_database_goes_away(scene: Scene) -> None:
    async with scene.following(), scene.db.transaction() as lock:
        await lock.execute("LOCK TABLE inbound")
        (number,) = await scene.engine.say(message(scene.alice, "ONE"))
        first = await until(lambda: blocked(scene))
        await scene.rows.one("SELECT pg_terminate_backend($1)", first)

        async def another() -> int | None:
            pid = await blocked(scene)
            return pid if pid != first else None

        await until(another)
        assert scene.engine.acks == []
        await lock.execute("SELECT 1")
        assert scene.engine.waiting() == {number}
        await lock.execute("ROLLBACK; BEGIN")
        await until(lambda: not scene.engine.waiting())
    acked(scene, [number])
    assert await scene.stored(scene.alice) == {"ONE"}
    assert await scene.letters() == []


# --- what cannot be read ----------------------------------------------------------------------------------------------


async def test_what_the_engine_could_not_read_is_put_aside_with_its_bytes(scene: Scene) -> None:
    what = pb.Event.Unreadable(kind="message", detail="it is too large", raw=b"\xff\x00")
    event = pb.Event(account=str(scene.alice), needs_ack=True, unreadable=what)
    async with scene.following():
        numbers = await scene.say(message(scene.bob, "GOOD"), event)
    acked(scene, numbers)
    (letter,) = await scene.letters()
    assert (letter["kind"], letter["reason"]) == ("message", "it is too large")
    assert pb.Event.FromString(letter["event"]).unreadable.raw == b"\xff\x00"
    assert await scene.stored(scene.bob) == {"GOOD"}


async def test_what_is_no_protobuf_of_ours_is_put_aside(scene: Scene) -> None:
    event = message(scene.alice, text="a letter")
    event.seq = 1
    bad = event.SerializeToString().replace(b"a letter", b"a \xed\xa0\x80 er")
    async with scene.following():
        await scene.engine.say_bytes(bad)
        await scene.say(message(scene.bob, "GOOD"))
    acked(scene, [1, 2])
    (letter,) = await scene.letters()
    assert (letter["account_id"], letter["kind"], letter["event"]) == (scene.alice, "event", bad)


async def test_a_kind_that_is_not_known_is_put_aside(scene: Scene) -> None:
    async with scene.following():
        await scene.say(pb.Event(account=str(scene.alice), needs_ack=True))
    assert [letter["kind"] for letter in await scene.letters()] == ["event"]


@pytest.mark.parametrize("account", ["01a2228b-9a7f-7792-8864-d9def4c5153d", "nobody", ""])
async def test_what_belongs_to_nobody_is_passed_over(scene: Scene, account: str) -> None:
    stray = [message(scene.alice), receipt(scene.alice, "X"), state(scene.alice, "CONNECTED")]
    stray.append(pb.Event(needs_ack=True, unreadable=pb.Event.Unreadable(kind="message")))
    for event in stray:
        event.account = account
    async with scene.following():
        numbers = await scene.say(*stray, message(scene.bob, "GOOD"))
    acked(scene, numbers)
    assert await scene.stored(scene.bob) == {"GOOD"}
    assert await scene.letters() == []


async def test_no_stranger_stops_bob(scene: Scene) -> None:
    """Every field of every event with every hostile value, and with bytes that are no UTF-8."""
    numbers: list[int] = []
    async with scene.following():
        for path, event in hostile.messages(pb.Event.DESCRIPTOR):
            assert isinstance(event, pb.Event)
            event.account, event.needs_ack = event.account if path == "account" else str(scene.alice), True
            numbers += await scene.engine.say(event)
        for path, raw in hostile.not_utf8(pb.Event.DESCRIPTOR):
            if path != "account":
                head = pb.EventHead(seq=numbers[-1] + 1, account=str(scene.alice), needs_ack=True)
                numbers += await scene.engine.say_bytes(raw + head.SerializeToString())
        numbers += await scene.engine.say(message(scene.bob, "GOOD"))
        await until(lambda: not scene.engine.waiting(), seconds=60)
    acked(scene, numbers)
    assert len(numbers) > 200
    assert await scene.stored(scene.bob) == {"GOOD"}
    letters = await scene.letters()
    assert {letter["account_id"] for letter in letters} == {scene.alice}
    unreadable = {"event", "kind", *map(name, hostile.STRINGS)}
    assert {letter["kind"] for letter in letters} <= unreadable, "nothing was put aside that could be read"


async def test_ids_that_are_too_long_for_an_index_stay_different(scene: Scene) -> None:
    long = {"chat": hostile.LONG_ID, "sender": hostile.LONG_ID, "chat_phone": hostile.LONG_ID}
    async with scene.following():
        await scene.say(*[message(scene.alice, hostile.LONG_ID + end, **long) for end in "112"])
    assert len(await scene.stored(scene.alice)) == 2
    assert await scene.letters() == []


async def test_who_writes_from_the_future_wrote_now(scene: Scene) -> None:
    async with scene.following():
        await scene.say(message(scene.alice, at=2**63 - 1))
    assert await scene.rows.one("SELECT at > now() + interval '1 year' FROM inbound")
    assert await scene.rows.one("SELECT wrote_at <= now() FROM contact")


# --- the bounds of what is put aside ----------------------------------------------------------------------------------


async def test_an_account_has_room_for_so_many_and_the_oldest_stay(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_LETTERS", 3)
    unreadable = [
        pb.Event(
            account=str(account), needs_ack=True, unreadable=pb.Event.Unreadable(kind="message", detail=str(number))
        )
        for account in (scene.alice, scene.bob)
        for number in range(3 if account == scene.bob else 5)
    ]
    async with scene.following():
        numbers = await scene.say(*unreadable)
    acked(scene, numbers)
    assert [(letter["account_id"], letter["reason"], letter["not_kept"]) for letter in await scene.letters()] == [
        (scene.alice, "0", 0), (scene.alice, "1", 0), (scene.alice, "2", 2),
        (scene.bob, "0", 0), (scene.bob, "1", 0), (scene.bob, "2", 0),
    ]  # fmt: skip


async def test_bytes_are_bounded_each_and_together(scene: Scene) -> None:
    large = pb.Event.Unreadable(kind="message", raw=bytes(2 << 20))
    event = pb.Event(account=str(scene.alice), needs_ack=True, unreadable=large)
    async with scene.following():
        for _ in range(17):
            await scene.say(event)
    letters = await scene.letters()
    assert len(letters) == 16
    assert all(len(letter["event"]) == 1 << 20 for letter in letters)
    assert all(letter["size"] > 2 << 20 for letter in letters)
    assert letters[-1]["not_kept"] == 1
