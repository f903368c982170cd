"""What users of other products have reported, as a phone shows it here: docs/field-reports.md."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, Person, a_number
from tests.e2e.test_main_job import a_picture
from tests.waiting import until

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parents[1] / "unit" / "media" / "samples"
PDF = b"%PDF-1.4\n%%EOF\n"
FILM = b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data\0\0\0\x18ftypmp42 a film"


async def arrived(home: House, person: Person, message_id: str, friend: str) -> list[dict[str, Any]]:
    await person.until_message(message_id, status="sent")
    return await home.phones.messages(friend, sender=person.number)


@pytest.mark.parametrize("name", ["cbr.mp3", "vbr.mp3", "sound.aac", "tagged.aac", "sound.amr"])
async def test_a_sound_shows_its_length(home: House, alice: Person, name: str) -> None:
    await alice.link()
    friend = a_number()
    message_id = await alice.send(friend, file=(name, (SAMPLES / name).read_bytes()))
    (shown,) = await arrived(home, alice, message_id, friend)
    assert shown["media"]["seconds"] == 2


@pytest.mark.parametrize(
    ("name", "content", "shown_as"),
    [
        ("null", PDF, ("file.pdf", "application/pdf")),
        ("backup.tgz", b"\x1f\x8b\x08" + bytes(20), ("backup.tgz", "application/gzip")),
        ("invoice.pdf", b"\nWarning: nothing\n" + PDF, ("invoice.pdf", "application/pdf")),
        ("a.ogg", b"OggS" + bytes(24) + b"\1vorbis", ("a.ogg", "audio/ogg")),
        ("film.mpg", b"\0\0\x01\xba" + bytes(20), ("film.mpg", "video/mpeg")),
    ],
)
async def test_a_document_has_its_name_and_type(
    home: House, alice: Person, name: str, content: bytes, shown_as: tuple[str, str]
) -> None:
    await alice.link()
    friend = a_number()
    (shown,) = await arrived(home, alice, await alice.send(friend, file=(name, content)), friend)
    assert (shown["text"], shown["media"]["fileName"], shown["media"]["mimetype"]) == ("", *shown_as)


async def test_a_film_behind_a_photo_stays_here(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    (shown,) = await arrived(home, alice, await alice.send(friend, file=("photo.jpg", a_picture() + FILM)), friend)
    assert shown["media"]["mimetype"] == "image/jpeg"
    media = (await alice.get("/api/messages/queue"))["messages"][0]["media"]
    assert FILM not in (await alice.http.get(f"/api/media/{media['id']}")).content


@pytest.mark.parametrize(
    "given",
    [
        {"message": "Hi {{name}, it is ready"},
        {"message": "Hi {name}}, it is ready"},
        {"message": "Hi {name}", "fields": {"name": "Bob"}},
        {"message": "Hi {{name}}", "fields": {"name": None}},
        {"message": "Hi {{name}}", "fields": {"name": "undefined"}},
        {"message": "{{name}}", "fields": {"name": ""}},
        {"message": "\u200b"},
    ],
)
async def test_nothing_of_these_reaches_a_phone(home: House, alice: Person, given: dict[str, Any]) -> None:
    await alice.link()
    friend = a_number()
    answer = await alice.http.post("/api/messages/send", json={"phoneId": f"+{friend}", **given})
    assert (answer.status_code, bool(answer.json()["errors"])) == (400, True)
    assert await home.phones.messages(friend) == []


async def test_a_line_break_that_is_none_goes_with_a_warning(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    answer = await alice.http.post("/api/messages/send", data={"phoneId": f"+{friend}", "message": r"Hi \n there"})
    assert "line break" in answer.json()["warnings"][0]
    (shown,) = await arrived(home, alice, answer.json()["messageId"], friend)
    assert shown["text"] == r"Hi \n there"


async def test_one_person_of_a_list_is_written_to_once(home: House, alice: Person) -> None:
    await alice.link()
    digits = f"55{a_number()[-8:]}"
    numbers = [f"521{digits}", f"52{digits}"]
    body = "phoneId,message\n" + "".join(f"'+{one},hello\n" for one in numbers)
    answer = await alice.http.post(
        "/api/messages/bulk",
        content=body,
        headers={"content-type": "text/csv"},
        params={"duplicates": "skip"},
    )
    bulk = answer.json()["bulkId"]

    async def accepted() -> bool:
        return bool((await alice.get(f"/api/messages/bulk/{bulk}"))["status"] == "accepted")

    await until(accepted, what="the bulk's rows")
    (queued,) = (await alice.get("/api/messages/queue", bulkId=bulk))["messages"]
    assert queued["to"] == f"+{numbers[0]}"
    assert len(await arrived(home, alice, queued["id"], numbers[0])) == 1
