"""A stranger sends Alice what no app would. It costs that item alone: Bob, another tenant, notices nothing."""

import os
import random
import re

import pytest

from tests.e2e.house import a_number
from tests.hostile.scene import Scene, raw
from tests.hostile.wire import TEXTS, fuzzed, one_by_one, text
from tests.waiting import until

pytestmark = pytest.mark.anyio

LONG = os.environ.get("CHATWREN_TEST_HOSTILE") == "long"
FUZZED = 10_000 if LONG else 1_000
BATCH = 20
STAMPS = (0, -1, "-9223372036854775808", "9223372036854775807", 99999999999999, 253402300800, "soon", "")
LOG_BYTES = 2_000_000


async def test_each_field_of_a_message(scene: Scene) -> None:
    for name, messages in one_by_one():
        for message in messages:
            await scene.attack(message)
            if LONG:
                await scene.bob_works(name)
        await scene.bob_works(name)
    assert await scene.stored(scene.alice, "\N{REPLACEMENT CHARACTER}")
    assert await scene.stored(scene.alice, "a\N{REPLACEMENT CHARACTER}b")


async def test_each_attribute_of_a_message(scene: Scene) -> None:
    for name in ("id", "pushName", "type", "edit"):
        for value in TEXTS:
            await scene.attack(text(b"with a hostile " + name.encode()), **{name: raw(value)})
        await scene.bob_works(name)
    for stamp in STAMPS:
        await scene.attack(text(f"at {stamp}".encode()), timestamp=stamp)
    await scene.bob_works("stamps")

    async def aside() -> bool:
        return [kind for kind, _ in await scene.put_aside()].count("message") >= 4

    await until(aside, what="that the messages with ids that name nothing are put aside")
    for stamp in STAMPS[:-2]:
        assert await scene.stored(scene.alice, f"at {stamp}") == 1, stamp


async def test_receipts(scene: Scene) -> None:
    for value in TEXTS:
        for kind in ("", "read", "played", "server-error", "retry", value.decode("latin-1")):
            await scene.home.phones.receipt(scene.mallory, scene.alice.number, [raw(value)], type=kind)
        await scene.home.phones.receipt(scene.mallory, scene.alice.number, ["A", raw(value), "B"], type="read")
        await scene.bob_works("a receipt's id")
    for stamp in STAMPS:
        await scene.home.phones.receipt(scene.mallory, scene.alice.number, ["A"], timestamp=stamp)
    await scene.home.phones.receipt(scene.mallory, scene.alice.number, [f"A{n}" for n in range(20_000)], type="read")
    await scene.bob_works("receipts")


async def test_receipts_for_what_others_were_sent(scene: Scene) -> None:
    friend = a_number()
    await scene.home.phones.set(friend, receipts="none")
    sent = await scene.alice.send(friend, "for you alone")
    await scene.alice.until_message(sent, status="sent")
    (shown,) = await scene.home.phones.messages(friend, sender=scene.alice.number)
    await scene.home.phones.receipt(scene.mallory, scene.alice.number, [shown["id"]], type="read")
    await scene.home.phones.receipt(friend, scene.alice.number, [shown["id"]], type="")
    await scene.alice.until_message(sent, receipt="delivered")
    await scene.bob_works("receipts of a stranger")


async def test_names_of_groups(scene: Scene) -> None:
    groups = []
    for value in TEXTS:
        groups.append(await scene.home.phones.create_group(raw(value), scene.mallory, [scene.alice.number]))
        await scene.home.phones.rename_group(groups[-1], raw(value))
        await scene.home.phones.write_raw(scene.mallory, groups[-1], text(value))
    await scene.bob_works("groups")

    async def listed() -> bool:
        answer = await scene.alice.http.get("/api/whatsapp/groups")
        return answer.is_success and set(groups) <= {one["id"] for one in answer.json()}

    await until(listed, what="the list of Alice's groups")


async def test_the_own_name_and_a_new_connection(scene: Scene) -> None:
    for value in TEXTS:
        await scene.home.phones.set(scene.alice.number, name=raw(value))
        await scene.home.phones.fault("drop", phone=scene.alice.number)
        await scene.bob_works("an own name")
        shown = re.sub("[\0\ufffd]+", "\ufffd", value[:100].decode(errors="replace"))

        async def named(shown: str = shown) -> bool:
            rows = await scene.home.sql("SELECT name FROM account WHERE phone = $1", scene.alice.number)
            return str(rows[0][0]).startswith(shown)

        await until(named, what="that Alice's name is known")
        await until(scene.alice.connected, what="that Alice is connected again")


async def test_fuzzed_messages(scene: Scene) -> None:
    chance = random.Random(10)  # noqa: S311 - the same each time
    logged = scene.logged()
    for batch in range(FUZZED // BATCH):
        for _ in range(BATCH):
            await scene.attack(fuzzed(chance))
        await scene.bob_works(f"batch {batch}")
    assert scene.logged() - logged < LOG_BYTES


async def test_a_new_worker_has_nothing_to_repeat(scene: Scene) -> None:
    await scene.home.end_workers()
    await scene.home.worker()
    await until(scene.bob.connected, seconds=60, what="that Bob is connected again")
    await until(scene.alice.connected, seconds=60, what="that Alice is connected again")
    await scene.bob_works("a restart")
    friend = a_number()
    await scene.home.phones.write(friend, scene.alice.number, "Alice, are you there?")

    async def stored() -> bool:
        return bool(await scene.stored(scene.alice, "Alice, are you there?"))

    await until(stored, what="a message to Alice")
    await scene.alice.until_message(await scene.alice.send(friend, "I am"), receipt="read")
