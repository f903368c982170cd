"""A linked phone, and messages of every kind to and from it."""

import asyncio
import hashlib
import io
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from tests.e2e.house import House, Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def shown(home: House, number: str, text: str) -> dict[str, Any]:
    """The message with this text, once the phone shows it."""

    async def found() -> dict[str, Any] | None:
        return next((one for one in await home.phones.messages(number) if one["text"] == text), None)

    message: dict[str, Any] | None = await until(found, what=f"the arrival of {text!r}")
    assert message is not None
    return message


async def test_a_text_is_sent_delivered_and_read(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    message_id = await alice.send(friend, "Hello from Alice")
    message = await alice.until_message(message_id, receipt="read")
    assert (message["status"], message["attempts"], message["reason"]) == ("sent", 1, None)
    assert message["acceptedAt"] <= message["sentAt"] <= message["deliveredAt"] <= message["readAt"]
    (arrived,) = await home.phones.messages(friend)
    assert (arrived["text"], arrived["from"], arrived["deliveries"]) == ("Hello from Alice", alice.number, 1)


async def test_the_account_is_shown_with_its_own_name(alice: Person) -> None:
    await alice.link()

    async def named() -> bool:
        return bool((await alice.status())["name"] == f"Phone {alice.number[-4:]}")

    await until(named, what="the account's name")


async def test_receipts_come_as_the_recipient_gives_them(home: House, alice: Person) -> None:
    await alice.link()
    silent, unread = a_number(), a_number()
    await home.phones.set(silent, receipts="none")
    await home.phones.set(unread, receipts="delivered")
    to_silent, to_unread = await alice.send(silent, "no answer"), await alice.send(unread, "one tick more")
    assert (await alice.until_message(to_silent, status="sent"))["receipt"] is None
    assert (await alice.until_message(to_unread, receipt="delivered"))["readAt"] is None


async def test_a_scheduled_message_goes_when_it_is_due(alice: Person) -> None:
    await alice.link()
    friend, due = a_number(), datetime.now(UTC) + timedelta(seconds=3)
    answer = await alice.http.post(
        "/api/messages/schedule", json={"phoneId": f"+{friend}", "message": "later", "scheduledTime": due.isoformat()}
    )
    message_id = answer.json()["messageId"]
    assert (await alice.message(message_id))["status"] == "scheduled"
    message = await alice.until_message(message_id, receipt="read")
    late = datetime.fromisoformat(message["sentAt"]) - due
    assert timedelta(0) < late < timedelta(seconds=3)


def a_picture() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(picture, "JPEG")
    return picture.getvalue()


def a_sound() -> bytes:
    """One second of AMR: silence, frame by frame."""
    return b"#!AMR\n" + bytes([0x7C, *bytes(31)]) * 50


def a_film() -> bytes:
    """The shortest thing that calls itself an MP4."""
    kind = b"isom" + struct.pack(">I", 512) + b"isommp42"
    return struct.pack(">I", 8 + len(kind)) + b"ftyp" + kind + struct.pack(">I", 16) + b"mdat" + bytes(8)


@pytest.mark.parametrize(
    ("name", "content", "mimetype"),
    [
        ("photo.jpg", a_picture(), "image/jpeg"),
        ("film.mp4", a_film(), "video/mp4"),
        ("notes.txt", b"what we said\n" * 1000, "text/plain"),
    ],
    ids=["image", "video", "document"],
)
async def test_a_file_arrives_with_its_caption(
    home: House, alice: Person, name: str, content: bytes, mimetype: str
) -> None:
    await alice.link()
    friend = a_number()
    message_id = await alice.send(friend, "look at this", file=(name, content))
    await alice.until_message(message_id, receipt="read")
    (arrived,) = await home.phones.messages(friend)
    assert arrived["text"] == "look at this"
    assert arrived["media"]["mimetype"].startswith(mimetype)
    assert (arrived["media"]["size"], arrived["media"]["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


async def test_audio_goes_before_its_text(home: House, alice: Person) -> None:
    await alice.link()
    friend, sound = a_number(), a_sound()
    message_id = await alice.send(friend, "listen", file=("voice.amr", sound))
    await alice.until_message(message_id, receipt="read")
    audio, text = await home.phones.messages(friend)
    assert (audio["text"], audio["media"]["sha256"]) == ("", hashlib.sha256(sound).hexdigest())
    assert (text["text"], text["media"]) == ("listen", None)


async def test_a_text_longer_than_a_caption_comes_after_its_picture(home: House, alice: Person) -> None:
    await alice.link()
    friend, picture, words = a_number(), a_picture(), "Grüße! " * 147 + "Alice"
    message_id = await alice.send(friend, words, file=("photo.jpg", picture))
    await alice.until_message(message_id, receipt="read")
    photo, text = await home.phones.messages(friend)
    assert (photo["text"], photo["media"]["mimetype"]) == ("", "image/jpeg")
    assert (text["text"], text["media"]) == (words, None)


async def test_groups_are_listed_and_written_to(home: House, alice: Person) -> None:
    await alice.link()
    bea, cem = a_number(), a_number()
    group = await home.phones.create_group("Family", alice.number, [bea, cem])

    async def listed() -> Any:
        return await alice.get("/api/whatsapp/groups", refresh="true")

    (found,) = await until(listed, what="the group in the list")
    assert (found["id"], found["name"], found["size"]) == (group, "Family", 3)
    assert set(found["participants"]) == {f"+{number}" for number in (alice.number, bea, cem)}
    message_id = await alice.send(group, "dear all")
    await alice.until_message(message_id, status="sent")
    for number in (bea, cem):
        assert (await shown(home, number, "dear all"))["from"] == alice.number


async def test_the_list_of_groups_follows_what_happens(home: House, alice: Person) -> None:
    await alice.link()
    group = await home.phones.create_group("Before", alice.number, [a_number()])

    async def names() -> list[str]:
        return [one["name"] for one in await alice.get("/api/whatsapp/groups")]

    assert await until(names) == ["Before"]
    await home.phones.rename_group(group, "After")

    async def renamed() -> bool:
        return await names() == ["After"]

    await until(renamed, what="the new name")


async def test_a_number_that_is_not_on_whatsapp_fails(home: House, alice: Person) -> None:
    await alice.link()
    nobody, friend = a_number(), a_number()
    await home.phones.set(nobody, registered=False)
    message_id = await alice.send(nobody, "anybody there?")
    after = await alice.send(friend, "and you?")
    message = await alice.until_message(message_id, status="failed")
    assert message["reason"]["code"] == "not_on_whatsapp"
    await alice.until_message(after, receipt="read")
    await home.phones.set(nobody, registered=True)
    await alice.until_message(await alice.send(nobody, "now?"), receipt="read")


async def test_what_arrives_is_stored_once(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    await home.phones.write(friend, alice.number, "How much is it?")
    await home.phones.write(friend, alice.number, "And when?")

    async def stored() -> list[tuple[str, str | None]]:
        rows = await home.sql(
            "SELECT i.text, i.sender_phone FROM inbound i JOIN account a ON a.id = i.account_id"
            " WHERE a.phone = $1 ORDER BY i.received_at, i.at",
            alice.number,
        )
        return [tuple(row) for row in rows] if len(rows) >= 2 else []

    assert sorted(await until(stored)) == sorted([("How much is it?", friend), ("And when?", friend)])


async def test_three_users_at_once_see_only_their_own(home: House, alice: Person, bob: Person, charlie: Person) -> None:
    cast = {"alice": alice, "bob": bob, "charlie": charlie}
    await asyncio.gather(*(person.link() for person in cast.values()))
    friend = a_number()

    async def write(name: str, person: Person) -> list[str]:
        return [await person.send(friend, f"{name} {number}") for number in range(5)]

    ids = dict(zip(cast, await asyncio.gather(*(write(*one) for one in cast.items())), strict=True))
    for name, person in cast.items():
        for message_id in ids[name]:
            await person.until_message(message_id, receipt="read")
        queue = await person.get("/api/messages/queue", limit=100)
        assert [one["id"] for one in queue["messages"]] == ids[name][::-1]
        arrived = [one["text"] for one in await home.phones.messages(friend, sender=person.number)]
        assert arrived == [f"{name} {number}" for number in range(5)]
    for message_id in ids["alice"]:
        assert (await charlie.http.get(f"/api/messages/{message_id}")).status_code == 404
