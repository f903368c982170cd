"""Linking, logging out, linking again."""

import signal

import pytest

from tests.e2e.house import House, Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_logout_and_relink(alice: Person) -> None:
    await alice.link()
    friend = a_number()
    assert (await alice.http.post("/api/whatsapp/logout")).is_success

    async def logged_out() -> bool:
        return bool((await alice.status())["status"] == "logged_out")

    await until(logged_out)
    waiting = await alice.send(friend, "sent when I am back")
    assert (await alice.message(waiting))["reason"]["code"] == "logged_out"
    await alice.link()
    await alice.until_message(waiting, receipt="read")


async def test_a_linked_account_has_a_name_at_every_moment(home: House, alice: Person) -> None:
    await home.phones.scan(alice.number, await alice.code())
    names: list[str | None] = []

    async def known() -> bool:
        status = await alice.status()
        if status["status"] == "authenticated":
            names.append(status["name"])
        return bool(names and names[-1] == f"Phone {alice.number[-4:]}")

    await until(known)
    assert set(names) <= {f"+{alice.number}", names[-1]}


async def test_unlinked_on_the_phone(home: House, alice: Person) -> None:
    await alice.link()
    await home.phones.fault("unlink", phone=alice.number)

    async def logged_out() -> bool:
        return bool((await alice.status())["status"] == "logged_out")

    await until(logged_out)
    await alice.link()
    await alice.until_message(await alice.send(a_number(), "back again"), receipt="read")


async def test_another_number_holds_what_waits(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    assert (await alice.http.post("/api/whatsapp/logout")).is_success

    async def logged_out() -> bool:
        return bool((await alice.status())["status"] == "logged_out")

    await until(logged_out)
    waiting = await alice.send(friend, "from which number?")
    other = a_number()
    await alice.link(number=other)
    assert (await alice.status())["phoneNumber"] == f"+{other}"
    message = await alice.message(waiting)
    assert (message["status"], message["reason"]["code"]) == ("queued", "held")
    assert (await alice.http.post("/api/whatsapp/release")).is_success
    await alice.until_message(waiting, receipt="read")
    assert [one["from"] for one in await home.phones.messages(friend)] == [other]


async def test_a_number_that_another_user_has_linked_is_refused(home: House, alice: Person, bob: Person) -> None:
    await alice.link()
    assert await home.phones.refused(alice.number, await bob.code())

    async def refused() -> bool:
        reason = (await bob.status())["reason"]
        return bool(reason and reason["code"] == "linked_elsewhere")

    await until(refused)
    assert (await bob.status())["status"] == "disconnected"
    await alice.until_message(await alice.send(a_number(), "still mine"), receipt="read")


async def test_a_phone_code(home: House, alice: Person) -> None:
    answer = await alice.http.post("/api/whatsapp/paircode", json={"phoneNumber": f"+{alice.number}"})
    assert answer.is_success, answer.text
    await home.phones.type_code(alice.number, answer.json()["code"])
    await until(alice.connected, what="the connection")
    assert (await alice.status())["phoneNumber"] == f"+{alice.number}"


async def test_the_code_that_was_asked_for_last_links(home: House, alice: Person) -> None:
    code = ""
    for number in (a_number(), alice.number):  # the first was mistyped
        answer = await alice.http.post("/api/whatsapp/paircode", json={"phoneNumber": f"+{number}"})
        assert answer.is_success, answer.text
        code = answer.json()["code"]
    await home.phones.type_code(alice.number, code)
    await until(alice.connected, what="the connection")
    assert (await alice.status())["phoneNumber"] == f"+{alice.number}"


async def test_a_message_that_may_be_out_does_not_go_again_from_another_number(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    await home.phones.set(friend, receipts="none")
    await home.phones.fault("no_ack", phone=alice.number)
    message_id = await alice.send(friend, "from the old number")
    await until(lambda: home.phones.messages(friend), what="the arrival")
    await home.phones.fault("unlink", phone=alice.number)

    async def logged_out() -> bool:
        return bool((await alice.status())["status"] == "logged_out")

    await until(logged_out)
    await alice.link(number=a_number())
    message = await alice.until_message(message_id, status="failed")
    assert message["reason"]["code"] == "outcome_unknown"
    await alice.until_message(await alice.send(friend, "from the new one"), status="sent")
    assert len(await home.phones.messages(friend)) == 2


async def test_a_device_whose_user_is_gone_is_unlinked(own_house: House) -> None:
    worker = await own_house.worker()
    async with own_house.person("erin") as erin:
        await erin.link()
    assert await own_house.phones.devices(erin.number) == 1
    await worker.end()
    await own_house.sql("DELETE FROM app_user WHERE id = (SELECT user_id FROM account WHERE phone = $1)", erin.number)
    await own_house.worker()

    async def unlinked() -> bool:
        return await own_house.phones.devices(erin.number) == 0

    await until(unlinked, seconds=60, what="the end of the device")


@pytest.mark.parametrize("end", ["the session ends", "the worker is killed"])
async def test_a_pairing_that_ends_before_the_first_login_leaves_no_device(own_house: House, end: str) -> None:
    worker = await own_house.worker()
    async with own_house.person("erin") as erin:
        code = await erin.code()
        await own_house.phones.fault("drop", phone=erin.number, milliseconds=6000)
        await own_house.phones.scan(erin.number, code)
        assert await own_house.phones.devices(erin.number) == 1
        if end == "the session ends":
            assert (await erin.http.post("/api/auth/logout")).is_success
        else:
            worker.signal(signal.SIGKILL)
            await worker.process.wait()
            own_house.workers.remove(worker)
            await own_house.worker()

        async def unlinked() -> bool:
            keys = await own_house.sql("SELECT 1 FROM whatsmeow.whatsmeow_device WHERE jid ^@ $1", erin.number)
            return not keys and await own_house.phones.devices(erin.number) == 0

        await until(unlinked, seconds=60, what="the end of the device")


async def test_codes_are_wiped_when_a_pairing_ends(home: House, alice: Person) -> None:
    await alice.link()
    rows = await home.sql(
        "SELECT p.state::text, p.codes, p.phone_code FROM pairing p JOIN account a ON a.id = p.account_id"
        " WHERE a.phone = $1",
        alice.number,
    )
    assert [tuple(row) for row in rows] == [("linked", None, None)]
