"""What dies, freezes or misbehaves: every message arrives once, in order, and nobody acts for what is another's."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LEASE
from tests.e2e.house import House, Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio

TAKEOVER = float(LEASE["CHATWREN_LEASE_SECONDS"]) + 1


def runs(pid: int) -> bool:
    """Whether a process exists and has not ended; a zombie has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


async def all_arrive(person: Person, phones: Any, friend: str, texts: list[str], *, seconds: float = 60) -> None:
    """Wait until the friend's phone shows all texts; each once and in order."""

    async def there() -> bool:
        return len(await phones.messages(friend, sender=person.number)) >= len(texts)

    await until(there, seconds=seconds, what="the arrival of all")
    assert [one["text"] for one in await phones.messages(friend, sender=person.number)] == texts


@pytest.fixture
async def dora(own_house: House) -> AsyncIterator[Person]:
    """Somebody with a linked phone in a house of one worker."""
    async with own_house.person("dora") as person:
        yield person


async def test_the_signals_of_log_rotation_end_no_worker(own_house: House, dora: Person) -> None:
    worker = await own_house.worker()
    await dora.link()
    engine = await worker.engine()
    for one in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        worker.signal(one)
        os.kill(engine, one)
    await dora.until_message(await dora.send(a_number(), "after the logs were rotated"), receipt="read")
    assert await worker.engine() == engine
    assert len(worker.lives()) == 1


async def test_a_worker_killed_while_it_sends(own_house: House, dora: Person) -> None:
    first = await own_house.worker()
    await dora.link()
    friend = a_number()
    await own_house.phones.set(friend, receipts="none")
    await own_house.phones.fault("no_ack", phone=dora.number)
    message_id = await dora.send(friend, "is it out?")
    after = await dora.send(friend, "the next")
    await until(lambda: own_house.phones.messages(friend), what="the arrival")
    assert (await dora.message(message_id))["status"] == "sending"
    first.signal(signal.SIGKILL)
    refused = await dora.http.delete(f"/api/messages/{message_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "outcome_unknown")
    await own_house.worker()
    assert (await dora.until_message(message_id, status="sent", seconds=60))["attempts"] == 2
    await dora.until_message(after, status="sent")
    shown = await own_house.phones.messages(friend)
    assert [(one["text"], one["deliveries"]) for one in shown] == [("is it out?", 2), ("the next", 1)]


async def test_a_lost_acknowledgement_is_made_good_by_a_receipt(own_house: House, dora: Person) -> None:
    await own_house.worker()
    await dora.link()
    await own_house.phones.fault("no_ack", phone=dora.number)
    message = await dora.until_message(await dora.send(a_number(), "did it arrive?"), receipt="read")
    assert (message["status"], message["attempts"]) == ("sent", 1)


async def test_a_sound_and_its_text_each_arrive_once_however_often_they_go(own_house: House, dora: Person) -> None:
    await own_house.worker(CHATWREN_SEND_TIMEOUT_SECONDS="2")
    await dora.link()
    friend = a_number()
    await own_house.phones.set(friend, receipts="none")
    await own_house.phones.fault("no_ack", phone=dora.number)
    sound = ("voice.amr", b"#!AMR\n" + bytes([0x7C, *bytes(31)]) * 50)
    message_id = await dora.send(friend, "listen", file=sound)
    message = await dora.until_message(message_id, status="sent", seconds=40)
    assert message["attempts"] == 2
    audio, text = await own_house.phones.messages(friend)
    assert (audio["deliveries"], audio["text"]) == (2, "")
    assert (text["deliveries"], text["text"]) == (1, "listen")


async def test_what_is_never_acknowledged_fails_and_may_still_turn_out_well(own_house: House, dora: Person) -> None:
    await own_house.worker(CHATWREN_SEND_TIMEOUT_SECONDS="1", CHATWREN_MAX_RESENDS="1")
    await dora.link()
    friend = a_number()
    await own_house.phones.fault("late_receipts", phone=friend, milliseconds=15000, count=4)
    await own_house.phones.fault("no_ack", phone=dora.number, count=2)
    message_id = await dora.send(friend, "hello?")
    failed = await dora.until_message(message_id, status="failed", seconds=40)
    assert failed["reason"]["code"] == "outcome_unknown"
    assert (await dora.until_message(message_id, status="sent", seconds=40))["reason"] is None
    (shown,) = await own_house.phones.messages(friend)
    assert shown["deliveries"] == 2


async def test_the_engine_ends_with_its_worker(own_house: House, dora: Person) -> None:
    worker = await own_house.worker()
    engine = await worker.engine()
    await dora.link()
    worker.signal(signal.SIGKILL)

    async def gone() -> bool:
        return not runs(engine)

    await until(gone, seconds=5, what="the engine's end")


async def test_another_worker_takes_over_within_the_lease(own_house: House, dora: Person) -> None:
    first = await own_house.worker()
    await dora.link()
    (before,) = await own_house.owners([dora])
    second = await own_house.worker()
    await second.engine()
    friend = a_number()
    texts = [f"number {number}" for number in range(40)]
    for text in texts[:20]:
        await dora.send(friend, text)
    victim, heir = (first, second) if await own_house.owners([dora]) == [before] else (second, first)
    victim.signal(signal.SIGKILL)

    async def taken() -> bool:
        return await own_house.owners([dora]) not in ([before], [None])

    await until(taken, seconds=TAKEOVER + 5, what="the takeover")
    for text in texts[20:]:
        await dora.send(friend, text)
    await all_arrive(dora, own_house.phones, friend, texts)
    assert heir.process.returncode is None


async def test_an_engine_that_no_longer_answers_is_replaced(own_house: House, dora: Person) -> None:
    worker = await own_house.worker()
    await dora.link()
    frozen = await worker.engine()
    os.kill(frozen, signal.SIGSTOP)
    message_id = await dora.send(a_number(), "anybody in there?")
    await dora.until_message(message_id, status="sent", seconds=90)
    assert await worker.engine() != frozen


async def test_a_worker_that_is_asked_to_end_leaves_its_accounts_to_others(own_house: House, dora: Person) -> None:
    first = await own_house.worker()
    await dora.link()
    friend = a_number()
    texts = [f"number {number}" for number in range(20)]
    for text in texts[:10]:
        await dora.send(friend, text)
    await own_house.worker()
    assert await first.end() == 0
    for text in texts[10:]:
        await dora.send(friend, text)
    await all_arrive(dora, own_house.phones, friend, texts)
    assert {one["deliveries"] for one in await own_house.phones.messages(friend)} == {1}


async def test_a_pairing_whose_worker_died_starts_over(own_house: House, dora: Person) -> None:
    first = await own_house.worker()
    old = await dora.code()
    first.signal(signal.SIGKILL)
    await own_house.worker()

    async def another() -> bool:
        return await dora.code() != old

    await until(another, seconds=60, what="another code")
    await dora.link()


async def test_a_ban_for_a_time_ends_by_itself(own_house: House, dora: Person) -> None:
    await own_house.worker()
    await dora.link()
    await own_house.phones.fault("failure", phone=dora.number, code=402, milliseconds=4000)

    async def restricted() -> bool:
        return bool((await dora.status())["health"] == "restricted")

    await until(restricted, what="the restriction")
    message_id = await dora.send(a_number(), "after the ban")
    assert (await dora.message(message_id))["reason"]["code"] == "restricted"
    await dora.until_message(message_id, status="sent", seconds=30)
    assert (await dora.status())["health"] == "ok"


async def test_a_refusal_of_new_contacts_holds_them_and_nobody_else(own_house: House, dora: Person) -> None:
    await own_house.worker()
    await dora.link()
    known, stranger, other = a_number(), a_number(), a_number()
    await dora.until_message(await dora.send(known, "hello"), status="sent")
    await own_house.phones.fault("reject", phone=dora.number, code=463)
    refused = await dora.send(stranger, "do I know you?")

    async def held() -> Any:
        message = await dora.message(refused)
        return message if message["reason"] and message["reason"]["code"] == "cold_refused" else None

    assert (await until(held))["status"] == "queued"
    waits = await dora.send(other, "nor you")
    assert (await dora.message(waits))["reason"]["code"] == "new_contacts_refused"
    await dora.until_message(await dora.send(known, "still here"), status="sent")
    # Who writes may be answered at once.
    await own_house.phones.write(stranger, dora.number, "yes you do")
    await dora.until_message(refused, status="sent")
    assert (await dora.http.delete(f"/api/messages/{waits}")).is_success


async def test_a_connection_that_another_took_comes_back(own_house: House, dora: Person) -> None:
    await own_house.worker()
    await dora.link()
    await own_house.phones.fault("stream_error", phone=dora.number, code=409)

    async def offline() -> bool:
        return not await dora.connected()

    await until(offline, what="the loss of the connection")
    await dora.until_message(await dora.send(a_number(), "back"), status="sent", seconds=30)
