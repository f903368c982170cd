"""Nothing is left of a user who is deleted: no row, no file, no key, and no device on the phone."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from chatwren.store import exports
from tests.e2e import traces
from tests.e2e.house import House, Person, Program, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def erin_with_all(home: House) -> AsyncIterator[tuple[Person, list[str | UUID]]]:
    """Somebody with some of everything, linked, and what must not be found of them afterwards."""
    own_phone, friend = a_number(), a_number()
    sent, later_text, in_bulk, received, file = (
        f"{words} {a_number()}" for words in ("erin sent", "erin sends later", "erin's bulk", "a friend wrote", "in it")
    )
    async with home.person("erin", phone=f"+{own_phone}") as erin:
        await erin.link()
        group = await home.phones.create_group(f"family of {erin.username}", erin.number, [friend])
        await erin.until_message(
            await erin.send(friend, sent, file=("a.csv", f"{file}\n".encode())), receipt="read", seconds=60
        )
        await erin.until_message(await erin.send(group, sent), status="sent")
        later = await erin.send(friend, later_text, scheduledTime=await _tomorrow(home))
        answer = await erin.http.post(
            "/api/messages/send",
            data={"phoneId": f"+{friend}", "message": later_text, "scheduledTime": await _tomorrow(home)},
            headers={"Idempotency-Key": f"key of {erin.username}"},
        )
        assert answer.is_success, answer.text
        row = {"phoneId": f"+{friend}", "message": in_bulk, "scheduledTime": await _tomorrow(home)}
        answer = await erin.http.post(
            "/api/messages/bulk", content=json.dumps(row), headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.is_success, answer.text
        await erin.get("/api/whatsapp/groups")
        await home.phones.write(friend, erin.number, received)

        async def stored() -> Any:
            return await home.sql("SELECT 1 FROM inbound WHERE text = $1", received)

        await until(stored, what="the message from the friend")
        ((user, account),) = await home.sql(
            "SELECT u.id, a.id FROM app_user u JOIN account a ON a.user_id = u.id WHERE username = $1", erin.username
        )
        files = [row[0] for row in await home.sql("SELECT id FROM media WHERE user_id = $1", user)]
        lid = await _lid(home, erin)
        left: list[str | UUID] = [own_phone, erin.number, friend, lid, erin.username, group, sent, later_text, in_bulk]
        left += [received, file, user, account, UUID(later.partition("_")[2]), *files]
        yield erin, left


async def _lid(home: House, person: Person) -> str:
    ((lid,),) = await home.sql(
        "SELECT substring(lid FROM '^[0-9]+') FROM whatsmeow.whatsmeow_device WHERE jid ^@ $1", person.number
    )
    return str(lid)


async def _tomorrow(home: House) -> str:
    ((at,),) = await home.sql("SELECT (now() + interval '1 day')::text")
    return str(at).replace(" ", "T").replace("+00", "Z")


async def _found(home: House, left: list[str | UUID]) -> list[str]:
    return [
        *await traces.in_database(home.environment["DATABASE_URL"], left),
        *await traces.in_folder(home.folder / "media", left),
    ]


async def _delete(home: House, person: Person) -> Program:
    return await home.start("delete", sys.executable, "-m", "chatwren", "users", "delete", person.username, "--yes")


async def _ended(program: Program) -> str:
    assert await program.process.wait() == 0, program.log.read_text()
    return program.log.read_text()


async def test_the_export_holds_what_whatsapp_told_of_contacts(own_house: House) -> None:
    await own_house.worker()
    async with erin_with_all(own_house) as (erin, _):
        said = await own_house.start("export", sys.executable, "-m", "chatwren", "users", "export", erin.username)
        rows = [json.loads(line) for line in (await _ended(said)).splitlines()]
        ((jid,),) = await own_house.sql("SELECT jid FROM account WHERE phone = $1", erin.number)
        own = await own_house.sql("SELECT their_jid FROM whatsmeow.whatsmeow_contacts WHERE our_jid = $1", jid)
        assert own
        assert {row["their_jid"] for row in rows if row["type"] == "address_book"} == {row[0] for row in own}
        told = await own_house.sql("SELECT pn FROM whatsmeow.chatwren_lid_map WHERE our_jid = $1", jid)
        assert told
        assert {row["pn"] for row in rows if row["type"] == "other_address"} == {row[0] for row in told}
        types = {row["type"] for row in rows}
        assert types > {"session", "pairing", "file", "message", "inbound", "bulk", "bulk_row", "answer"}
        tables = await own_house.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'whatsmeow'")
        assert {row[0] for row in tables} - exports.EXPORTED - set(exports.NOT_EXPORTED) == set()


async def test_nothing_is_left(own_house: House) -> None:
    await own_house.worker()
    async with own_house.person("bob") as bob, erin_with_all(own_house) as (erin, left):
        await bob.link()
        friend = a_number()
        sent = await bob.send(friend, "bob's own")
        await bob.until_message(sent, receipt="read")
        own = (await _lid(own_house, bob), bob.number)
        for lid, number in (own, (await _lid(own_house, erin), erin.number)):
            await own_house.sql("INSERT INTO whatsmeow.whatsmeow_lid_map (lid, pn) VALUES ($1, $2)", lid, number)
        before = await _found(own_house, left)
        assert {one.rpartition(" in ")[0] for one in before} == {str(one) for one in left}, "the search sees all"
        assert "is deleted." in await _ended(await _delete(own_house, erin))
        assert await _found(own_house, left) == []
        assert await own_house.phones.devices(erin.number) == 0
        assert (await erin.http.get("/api/users/me")).status_code == 401
        assert (await bob.message(sent))["message"] == "bob's own"
        await bob.until_message(await bob.send(friend, "and goes on"), receipt="read")
        assert await own_house.sql("SELECT 1 FROM whatsmeow.chatwren_lid_map WHERE pn = $1", friend)
        of_an_older_release = await own_house.sql("SELECT lid, pn FROM whatsmeow.whatsmeow_lid_map")
        assert [tuple(row) for row in of_an_older_release] == [own]


async def test_nothing_is_left_once_a_worker_runs(own_house: House) -> None:
    worker = await own_house.worker()
    async with erin_with_all(own_house) as (erin, left):
        await worker.end()
        own_house.workers.remove(worker)
        assert "No worker runs" in await _ended(await _delete(own_house, erin))
        assert (await erin.http.get("/api/users/me")).status_code == 401
        assert await own_house.phones.devices(erin.number) == 1
        await own_house.worker()

        async def gone() -> bool:
            return not await own_house.sql("SELECT 1 FROM app_user WHERE username = $1", erin.username)

        await until(gone, seconds=60, what="the end of the deletion")

        async def nothing_left() -> bool:
            return await _found(own_house, left) == []

        await until(nothing_left)
        assert await own_house.phones.devices(erin.number) == 0


@pytest.mark.parametrize(("unreached", "told"), [(12_000, True), (60_000, False)])
async def test_between_linked_and_the_first_login(own_house: House, unreached: int, *, told: bool) -> None:
    """The phone lists a device that never logged in: it is unlinked, or the command says that it is not."""
    await own_house.worker()
    async with own_house.person("erin") as erin:
        code = await erin.code()
        await own_house.phones.fault("drop", phone=erin.number, milliseconds=unreached)
        await own_house.phones.scan(erin.number, code)
        assert await own_house.phones.devices(erin.number) == 1
        lid = await _lid(own_house, erin)
        said = await _ended(await _delete(own_house, erin))
        await own_house.phones.end_faults()
        assert "is deleted." in said
        assert ("WhatsApp could not be told" not in said) is told
        assert await own_house.phones.devices(erin.number) == (0 if told else 1)
        assert await _found(own_house, [erin.number, lid, erin.username]) == []


async def test_whatsapp_out_of_reach(own_house: House) -> None:
    """The keys go all the same, and the command says that the phone was not told."""
    await own_house.worker()
    async with erin_with_all(own_house) as (erin, left):
        await own_house.phones.fault("drop", phone=erin.number, milliseconds=60_000)
        said = await _ended(await _delete(own_house, erin))
        await own_house.phones.end_faults()
        assert "WhatsApp could not be told" in said
        assert await _found(own_house, left) == []
