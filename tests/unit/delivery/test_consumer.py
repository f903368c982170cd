"""The worker's end of the engine's stream of events, against a real PostgreSQL.

Nothing is acknowledged that is nowhere, and one event that cannot be stored costs that event alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chatwren.channels.engine import convert
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.facts import Offline, State
from chatwren.delivery import consumer
from chatwren.delivery.consumer import Consumer
from chatwren.domain.outcomes import Recorded
from chatwren.domain.pacing import Pacing
from chatwren.domain.storable import name
from chatwren.settings import Settings
from chatwren.store import dead_letters
from chatwren.store.database import OF_USERS, Database, Topic
from tests.rows import NO_CAP, Rows
from tests.unit import hostile
from tests.unit.delivery.test_claim import claim
from tests.unit.fake_engine import FakeEngine, message, receipt, state
from tests.waiting import until

pytestmark = pytest.mark.anyio

BAD = "BAD"
REFUSED = "RAISE EXCEPTION 'planted'"


class Scene:
    """A worker's consumer at work, with Alice's and Bob's accounts, which the worker owns."""

    def __init__(self, db: Database, rows: Rows, engine: FakeEngine) -> None:
        self.db = db
        self.rows = rows
        self.engine = engine
        self.recorded: list[Recorded] = []
        self.states: list[tuple[UUID, State]] = []
        self.worker: UUID
        self.alice: UUID
        self.bob: UUID

    async def begin(self) -> None:
        self.alice, self.bob = await self.rows.account("alice"), await self.rows.account("bob")
        self.worker = await self.rows.worker()
        await self.rows.own(self.worker)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        settings = Settings(_env_file=None, expire_after_hours=1)
        at_work = Consumer(
            self.db,
            self.worker,
            settings=settings,
            on_recorded=self.recorded.append,
            on_state=lambda account, state: self.states.append((account, state)),
        )
        async with self.engine.running() as engine:
            task = asyncio.create_task(at_work.follow(engine))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def plant(
        self,
        what: str = REFUSED,
        *,
        table: str = "inbound",
        when: str = f"NEW.wa_id = '{BAD}'",
        at_commit: bool = False,
    ) -> None:
        """Have PostgreSQL do this for a row. `tries` counts how often, whatever becomes of the transaction."""
        kind = "CONSTRAINT TRIGGER planted AFTER" if at_commit else "TRIGGER planted BEFORE"
        await self.rows.one("CREATE SEQUENCE tries")
        await self.rows.one(
            "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE try bigint; BEGIN"
            f" IF {when} THEN try := nextval('tries'); {what}; END IF; RETURN NEW; END $$"
        )
        await self.rows.one(
            f"CREATE {kind} INSERT ON {table} {'DEFERRABLE INITIALLY DEFERRED' * at_commit}"
            " FOR EACH ROW EXECUTE FUNCTION planted()"
        )

    async def tries(self) -> int:
        return int(await self.rows.one("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries"))

    async def say(self, *events: pb.Event) -> list[int]:
        """Send events and wait until all are acknowledged. Returns their numbers."""
        numbers = await self.engine.say(*events)
        await until(lambda: not self.engine.waiting())
        return numbers

    async def stored(self, account: UUID) -> set[str]:
        ids: list[str] | None = await self.rows.one(
            "SELECT array_agg(wa_id) FROM inbound WHERE account_id = $1", account
        )
        return set(ids or ())

    async def letters(self) -> list[asyncpg.Record]:
        async with self.db.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM dead_letter ORDER BY id")
            return rows

    async def account(self, account: UUID) -> asyncpg.Record:
        async with self.db.connection() as connection:
            row: asyncpg.Record = await connection.fetchrow("SELECT * FROM account WHERE id = $1", account)
            return row


@pytest.fixture
async def scene(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(consumer, "_PAUSE_SECONDS", 0.02)
    made = Scene(db, rows, FakeEngine())
    await made.begin()
    return made


def acked(scene: Scene, numbers: list[int]) -> None:
    """Each of these once, and as stored."""
    assert sorted(one for one in scene.engine.acks if one[0] in numbers) == [(number, True) for number in numbers]


# --- one that cannot be stored ----------------------------------------------------------------------------------------


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


async def blocked(scene: Scene) -> int | None:
    """The session that waits for a lock."""
    pid: int | None = await scene.rows.one(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return pid


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


async def fill(came: Any, account: UUID, number: int) -> None:
    event = convert.event(message(account).SerializeToString())
    for _ in range(number):
        await came.put(event)


# --- the stream -------------------------------------------------------------------------------------------------------


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


# --- messages and receipts --------------------------------------------------------------------------------------------


async def test_one_id_in_two_accounts_is_two_messages(scene: Scene) -> None:
    async with scene.following():
        await scene.say(message(scene.alice, "SAME", text="to Alice"), message(scene.bob, "SAME", text="to Bob"))
        await scene.say(message(scene.alice, "SAME", text="again"))
    assert await scene.rows.one("SELECT text FROM inbound WHERE account_id = $1", scene.alice) == "to Alice"
    assert await scene.rows.one("SELECT text FROM inbound WHERE account_id = $1", scene.bob) == "to Bob"
    assert await scene.rows.one("SELECT count(*) FROM inbound") == 2


async def test_all_that_a_message_says_is_stored(scene: Scene) -> None:
    media = pb.Media(mimetype="image/png", handle=pb.MediaHandle(url="u"))
    written = message(
        scene.alice, "ONE", chat="1@g.us", chat_phone="", sender="2@lid", sender_phone="3", group=True, from_me=True,
        at=1_700_000_000_123, text="ä", raw=b"\0", media=media,
    )  # fmt: skip
    async with scene.following():
        await scene.say(written, message(scene.bob, push_name="", sender_phone="", group=True))
    async with scene.db.connection() as connection:
        row = dict(await connection.fetchrow("SELECT * FROM inbound WHERE account_id = $1", scene.alice))
        other = await connection.fetchrow(
            "SELECT push_name, sender_phone, media, is_group, from_me FROM inbound WHERE account_id = $1", scene.bob
        )
    assert row.pop("id").version == 7
    del row["received_at"]
    assert row == {
        "account_id": scene.alice, "chat": "1@g.us", "sender": "2@lid", "wa_id": "ONE", "chat_phone": None,
        "sender_phone": "3", "push_name": "Dora", "from_me": True, "is_group": True, "text": "ä", "raw": b"",
            "size": 500 + 2 + len(media.SerializeToString()),
        "at": datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC), "media": media.SerializeToString(),
    }  # fmt: skip
    assert tuple(other) == (None, None, None, True, False)


async def test_a_receipt_settles_its_own_accounts_message_only(scene: Scene) -> None:
    ours = await claimed(scene, scene.alice)
    others = await claimed(scene, scene.bob)
    await scene.rows.one("UPDATE message SET wa_id = 'SAME'")
    await scene.rows.pace(scene.alice, Pacing(timedelta(seconds=7), timedelta(), NO_CAP))
    async with scene.following():
        await scene.say(receipt(scene.alice, "SAME", "UNKNOWN"))
        row = await scene.rows.get(ours)
        assert (row["status"], row["delivered_at"] is None, row["read_at"]) == ("sent", False, None)
        assert await scene.rows.status(others) == "sending"
        (recorded,) = scene.recorded
        assert recorded.users == {scene.rows.users["alice"]}
        assert timedelta(seconds=5) < recorded.pauses[scene.alice] < timedelta(seconds=7)
        await scene.say(receipt(scene.alice, "SAME", kind="READ"), receipt(scene.bob, "SAME", kind="PLAYED"))
    assert (await scene.rows.get(ours))["read_at"] is not None
    assert (await scene.rows.get(others))["read_at"] is not None


@pytest.mark.parametrize("kind", ["SERVER_ERROR", "RETRY", "TYPE_UNSPECIFIED"])
async def test_other_receipts_settle_nothing(scene: Scene, kind: str) -> None:
    ours = await claimed(scene, scene.alice)
    await scene.rows.one("UPDATE message SET wa_id = 'SAME'")
    async with scene.following():
        await scene.say(receipt(scene.alice, "SAME", kind=kind))
    assert await scene.rows.status(ours) == "sending"
    assert await scene.letters() == []


async def claimed(scene: Scene, account: UUID) -> UUID:
    await scene.rows.message(account)
    (one,) = await claim(scene.db, scene.worker, account)
    return one.id


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


# --- states -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (("DISCONNECTED",), ("linked", "connection_lost")),
        (("REPLACED",), ("linked", "replaced")),
        (("OUTDATED",), ("linked", "outdated")),
        (("FENCED",), ("linked", "fenced")),
        (("CONNECT_FAILURE", 503), ("linked", "connect_failure_503")),
        (("BANNED", 101), ("linked", "restricted")),
        (("LOGGED_OUT", 401), ("logged_out", None)),
        (("LOGGED_OUT", 403), ("logged_out", None)),
        (("LOGGED_OUT", 406), ("banned", None)),
    ],
)
async def test_a_connection_that_ends(scene: Scene, event: Any, expected: tuple[str, str | None]) -> None:
    kind, code = (*event, 0)[:2]
    async with scene.following():
        await scene.say(state(scene.alice, kind, code=code))
    row = await scene.account(scene.alice)
    assert (row["connected"], row["status"], row["offline_reason"]) == (False, *expected)
    reasons = {401: "unlinked_on_phone", 403: "locked", 406: "banned"}
    assert row["status_reason"] == (reasons[code] if kind == "LOGGED_OUT" else None)
    assert (await scene.account(scene.bob))["connected"]
    assert scene.states[0][0] == scene.alice


@pytest.mark.parametrize("expires_in", [0, 600])
async def test_a_ban_for_a_time(scene: Scene, expires_in: int) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=expires_in)
    async with scene.following():
        await scene.say(
            state(scene.alice, "BANNED", code=101, expires_at=int(ends.timestamp() * 1000) * bool(expires_in))
        )
        row = await scene.account(scene.alice)
        expected = ends if expires_in else ends + timedelta(hours=1)
        assert abs(row["restricted_until"] - expected) < timedelta(seconds=10)
        assert row["restriction_code"] == 101
        await scene.say(state(scene.alice, "CONNECTED"))
    assert (await scene.account(scene.alice))["restricted_until"] is None


async def test_what_is_too_late_expires_when_the_account_is_connected(scene: Scene) -> None:
    async with scene.following():
        await scene.say(state(scene.alice, "DISCONNECTED"), state(scene.bob, "DISCONNECTED"))
        late, timely = await scene.rows.message(scene.alice, due_in=-2 * 3600), await scene.rows.message(scene.alice)
        others = await scene.rows.message(scene.bob, due_in=-2 * 3600)
        await scene.rows.one("UPDATE outage SET began_at = now() - interval '2 hours' WHERE ended_at IS NULL")
        await scene.say(state(scene.alice, "CONNECTED", push_name="Alice & Sons"))
    assert [await scene.rows.status(one) for one in (late, timely, others)] == ["expired", "waiting", "waiting"]
    row = await scene.account(scene.alice)
    assert (row["connected"], row["name"]) == (True, "Alice & Sons")


async def test_states_of_accounts_that_it_does_not_own_count_for_nothing(scene: Scene) -> None:
    before = await scene.account(scene.alice)
    late = await scene.rows.message(scene.alice, due_in=-2 * 3600)
    await scene.rows.one(
        "UPDATE lease SET worker_id = $1 WHERE account_id = $2", await scene.rows.worker(), scene.alice
    )
    kinds = ("DISCONNECTED", "BANNED", "LOGGED_OUT", "CONNECT_FAILURE", "CONNECTED")
    name = pb.Event(account=str(scene.alice), push_name=pb.Event.PushName(name="x"), needs_ack=True)
    change = pb.Event(account=str(scene.alice), group_change=pb.Event.GroupChange(), needs_ack=True)
    await scene.rows.one("UPDATE account SET groups_at = now()")
    async with scene.following():
        numbers = await scene.say(*[state(scene.alice, kind) for kind in kinds], name, change)
        await scene.say(message(scene.alice, "A FACT"))
    acked(scene, numbers)
    after = await scene.account(scene.alice)
    assert {**after, "groups_at": None} == dict(before)
    assert await scene.rows.status(late) == "waiting"
    assert await scene.stored(scene.alice) == {"A FACT"}
    assert scene.recorded[0].users == frozenset()


async def test_a_change_of_groups_has_them_asked_for_again(scene: Scene) -> None:
    change = pb.Event(account=str(scene.alice), group_change=pb.Event.GroupChange(), needs_ack=True)
    async with scene.following():
        await scene.say(change)
        assert (await scene.account(scene.alice))["groups_wanted_at"] is None, "nobody has ever asked"
        await scene.rows.one("UPDATE account SET groups_at = now()")
        await scene.say(change)
    assert (await scene.account(scene.alice))["groups_wanted_at"] is not None
    assert (await scene.account(scene.bob))["groups_wanted_at"] is None
