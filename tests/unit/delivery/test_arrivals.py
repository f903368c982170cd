"""What messages, receipts and states change in the database when the worker hears of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.domain.pacing import Pacing
from chatwren.store.database import Database
from tests.rows import NO_CAP, Rows
from tests.unit.delivery.consuming import Scene, acked, at_work, claimed
from tests.unit.fake_engine import message, receipt, state

pytestmark = pytest.mark.anyio


@pytest.fixture
async def scene(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return await at_work(db, rows, monkeypatch)


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
