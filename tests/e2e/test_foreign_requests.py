"""Requests as other people's programs make them: what reaches the phone is what was meant, or it is refused by name.

Numbers, parts of forms, members, placeholders and times. Files are in test_foreign_files, lists and wordings in
test_foreign_lists.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.at_phone import SCHEDULE, SEND, arrived, bulk, post_all, refusals, refused
from tests.e2e.house import House, Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio

# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("919876543210.0", "919876543210"),
        (919876543210.0, "919876543210"),
        ("+91-98765-43210.0", "919876543210"),
        ("+44 07911 123456", "447911123456"),
        ("0044 07911 123456", "447911123456"),
        ("4407911123456@c.us", "447911123456"),
        ("+62 0812 3456 7890", "6281234567890"),
        ("+39 06 12345678", "390612345678"),
        ("+225 01 23 45 67 89", "2250123456789"),
        ("+919876500007@c.us", "919876500007"),
        ("tel:+91-98765-00007", "919876500007"),
        ("tel:%2B919876500007", "919876500007"),
        ("whatsapp:+919876500007", "919876500007"),
        ("https://wa.me/919876500007?text=Hi", "919876500007"),
        ("https://api.whatsapp.com/send?phone=%2B919876500007&text=Hi", "919876500007"),
        ("+33 6.12.34.56.78", "33612345678"),
        ("\u202a+९१ ९८७६५ ४३२१०\u202c", "919876543210"),
        ("+51 991 234 567", "51991234567"),
        ("55 51 99123-4567", "5551991234567"),
    ],
)
async def test_a_number_is_whom_it_names(home: House, brazil: Person, written: object, to: str) -> None:
    text = secrets.token_hex(8)
    for answer in await post_all(brazil, {"phoneId": written, "message": text}):
        await arrived(home, brazil, answer)
    assert [one["text"] for one in await home.phones.messages(to)].count(text) == 3


@pytest.mark.parametrize(
    ("written", "code", "suggestions"),
    [
        ("(51) 99123-4567", "ambiguous_number", ["+5551991234567", "+51991234567"]),
        (51991234567, "ambiguous_number", ["+5551991234567", "+51991234567"]),
        ("51991234567.0", "ambiguous_number", ["+5551991234567", "+51991234567"]),
        ("tel:51991234567", "ambiguous_number", ["+5551991234567", "+51991234567"]),
        ("051 99123-4567", "invalid", "+5551991234567"),
        ("(11) 98765-4321", "invalid", "+5511987654321"),
        ("https://wa.me/11987654321", "invalid", "+5511987654321"),
        ("919876543210.5", "invalid", None),
        ("919876543210.00", "invalid", None),
        ("919876543210.000", "invalid", None),
        ("9.19876543210E+11", "invalid", None),
        ("+919876543210/11", "invalid", None),
        ("+919876543210;ext=5", "invalid", None),
    ],
)
async def test_a_number_that_may_be_anothers_reaches_nobody(
    brazil: Person, written: object, code: str, suggestions: object
) -> None:
    for answer in await post_all(brazil, {"phoneId": written, "message": "Olá!"}):
        told = refused(answer, "phoneId")
        assert (told["code"], told.get("suggestions", told.get("suggestion"))) == (code, suggestions)


async def test_every_route_reads_numbers_alike(brazil: Person) -> None:
    for path, field in (("/api/whatsapp/paircode", "phoneNumber"), (SCHEDULE, "phoneId")):
        for written in ("919812345678.5", "51991234567"):
            soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            body = {field: written, "message": "x", "scheduledTime": soon}
            refused(await brazil.http.post(path, json=body), field)


# --- parts of forms ---------------------------------------------------------------------------------------------------

ROWS = b"name,price\nSoap,20\n"
CSV = b"Content-Type: text/csv"
A_FILE = b'name="mediaFile"; filename="a.csv"'
UTF_8_NAME = b"filename*=utf-8''%E0%A4%95.csv"


def part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    head = b"\r\n".join((b"Content-Disposition: form-data; " + disposition, *headers))
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


async def post_parts(sender: Person, to: str, *parts: bytes) -> Any:
    body = part(b'name="phoneId"', f"+{to}".encode()) + b"".join(parts) + b"--b--\r\n"
    return await sender.http.post(SEND, content=body, headers={"content-type": "multipart/form-data; boundary=b"})


@pytest.mark.parametrize(
    ("disposition", "headers", "name"),
    [
        (b'name=mediaFile; filename="=?utf-8?B?4KSVLmNzdg==?="; ' + UTF_8_NAME, (CSV,), "क.csv"),
        (b'name=mediaFile; filename="=?utf-8?B?4KSVLmNzdg==?="', (CSV,), "क.csv"),
        (b'name=mediaFile; filename="=?iso-8859-1?Q?caf=E9_1.csv?="', (CSV,), "café 1.csv"),
        (b'name="mediaFile"; ' + UTF_8_NAME, (), "क.csv"),
        (b"name=\"mediaFile\"; filename*=ISO-8859-1'en'caf%E9.csv", (), "café.csv"),
        (b"name=\"mediaFile\"; filename*0*=utf-8''caf%C3; filename*1*=%A9.csv", (), "café.csv"),
        (b'name="mediaFile"; filename="caf\xe9.csv"', (CSV,), "café.csv"),
        (b'name="mediaFile"; filename="caf\xc3\xa9; 1.csv"', (CSV,), "café; 1.csv"),
        (b'name="mediaFile"; filename="%E0%A4%95.csv"', (CSV,), "क.csv"),
        (b'name="mediaFile"; filename="100%25.csv"', (CSV,), "100%25.csv"),
        (b'name="mediaFile"; filename="say %22hi%22.csv"', (CSV,), 'say "hi".csv'),
        (b'name="mediaFile"; filename="C:\\Users\\nina\\a.csv"', (CSV,), "a.csv"),
        (b"filename=price list.csv; NAME=mediaFile", (CSV,), "price list.csv"),
        (b'name="mediaFile"', (CSV,), "file.csv"),
        (b'name="mediaFile"', (b"Content-Type: application/octet-stream",), "file.txt"),
        (b'name="mediaFile"; filename=""', (CSV,), "file.csv"),
    ],
)
async def test_a_part_of_another_client_arrives_under_its_name(
    home: House, india: Person, disposition: bytes, headers: tuple[bytes, ...], name: str
) -> None:
    answer = await post_parts(india, a_number(), part(disposition, ROWS, *headers))
    ((media),) = [one["media"] for one in await arrived(home, india, answer)]
    assert (media["fileName"], media["size"], "error" in media) == (name, len(ROWS), False)
    assert media["mimetype"] == ("text/plain" if name.endswith(".txt") else "text/csv")


@pytest.mark.parametrize("charset", ["ISO-8859-1", '"iso-8859-15"', "windows-1252", "utf-16", "UTF8"])
async def test_a_text_in_another_charset_is_that_text(home: House, india: Person, charset: str) -> None:
    said, kind = "Olé, café à 5 $", b"Content-Type: text/plain; charset=" + charset.encode()
    text = part(b'name="message"', said.encode(charset.strip('"')), kind)
    assert [one["text"] for one in await arrived(home, india, await post_parts(india, a_number(), text))] == [said]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((part(b'name="mediaFile"', b"\x89PNG\r\n\x1a\n\xff"),), "mediaFile"),
        ((part(b'name="mediaFile"', b"https://example.com/a.png"),), "mediaFile"),
        ((part(A_FILE, b"=3D", b"Content-Transfer-Encoding: quoted-printable"),), "mediaFile"),
        ((part(b'name="file"; filename="a.csv"', ROWS, CSV),), "mediaFile"),
        ((part(b'name="mediaFile[]"; filename="a.csv"', ROWS, CSV),), "mediaFile"),
        ((part(b'name="documents[0][file]"; filename="a.csv"', ROWS, CSV),), "mediaFile"),
        ((part(b'filename="a.csv"', ROWS, CSV),), "mediaFile"),
        ((part(A_FILE, ROWS, CSV), part(A_FILE, ROWS, CSV)), "mediaFile"),
        ((part(b'name="lane"; filename="a.csv"', ROWS, CSV),), "lane"),
    ],
)
async def test_a_file_that_would_be_dropped_is_refused(
    home: House, india: Person, parts: tuple[bytes, ...], field: str
) -> None:
    friend = a_number()
    refused(await post_parts(india, friend, part(b'name="message"', b"Our prices"), *parts), field)
    text = part(b'name="message"', b"Ol\xe9", b"Content-Type: text/plain; charset=x-none")
    refused(await post_parts(india, friend, text), "message")
    assert await home.phones.messages(friend) == []


# --- members ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"fields[name]": "Asha"},
        {"fields.name": "Asha"},
        {"fields{}": '{"name": "Asha"}'},
        {"fields": '{"name": "Asha"}', "unknown[x]": "y"},
        {"fields[name]": "Asha", "fields[age]": "7", "un.known": "z"},
    ],
)
async def test_members_under_names_of_their_own_fill_placeholders(
    home: House, india: Person, fields: dict[str, str]
) -> None:
    friend = a_number()
    for answer in await post_all(india, {"phoneId": f"+{friend}", "message": "Hi {{name}}", **fields}):
        shown = await arrived(home, india, answer)
    assert [one["text"] for one in shown] == ["Hi Asha"] * 3


@pytest.mark.parametrize("form", ["aiModifications[{}]", "aiModifications.{}"])
async def test_switches_under_names_of_their_own_vary_the_words(home: House, india: Person, form: str) -> None:
    said, friend = "Thank you for your order! We look forward to seeing you.", a_number()
    switches = {form.format("useSynonyms"): "true", form.format("seed"): "s1"}
    for answer in await post_all(india, {"phoneId": f"+{friend}", "message": said, **switches}):
        shown = await arrived(home, india, answer)
        assert shown[-1]["text"] == answer.json()["preview"] != said
    assert len({one["text"] for one in shown}) == 1


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"phoneId[]": "+919876543210"}, ["phoneId"]),
        ({"message[text]": "x"}, ["message"]),
        ({"scheduledTime.date": "2027-01-01"}, ["scheduledTime"]),
        ({"lane[]": "urgent"}, ["lane"]),
        ({"mediaFile[url]": "https://example.com/a.png"}, ["mediaFile"]),
        ({"mediaFile": "a.png"}, ["mediaFile"]),
        ({"fields[]": "Asha"}, ["fields"]),
        ({"fields": "[object Object]"}, ["fields"]),
        ({"fields[name][first]": "Asha"}, ["fields.name"]),
        ({"fields[name]": "Asha", "fields": '{"name": "Bea"}'}, ["fields"]),
        ({"aiModifications": "true"}, ["aiModifications"]),
        ({"aiModifications[useSynonyms]": "perhaps"}, ["aiModifications.useSynonyms"]),
    ],
)
async def test_members_of_what_has_none_are_refused(
    home: House, india: Person, given: dict[str, str], fields: list[str]
) -> None:
    friend = a_number()
    for answer in await post_all(india, {"phoneId": f"+{friend}", "message": "Hello!", **given}):
        refused(answer, *fields)
    assert await home.phones.messages(friend) == []


# --- placeholders -----------------------------------------------------------------------------------------------------


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def schedule(sender: Person, to: str, text: str, **more: Any) -> Any:
    body = {"phoneId": f"+{to}", "message": text, "scheduledTime": in_an_hour(), **more}
    return await sender.http.post(SCHEDULE, json=body)


def row(to: str, text: str, **more: Any) -> dict[str, Any]:
    return {"phoneId": f"+{to}", "message": text, **more}


VALUES = {"name": "Asha", "coupon": "SAVE {{20}}", "First Name": "आशा", "c": "{a|b}"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi {{name}} / {{ First Name }}", "Hi Asha / आशा"),
        ("```{{coupon}}``` *{{c}}*", "```SAVE {{20}}``` *{a|b}*"),
        (r"`{{coupon}}` \{\{name\}\}", "`SAVE {{20}}` {{name}}"),
        ("https://example.com/{{c}}?n={{name}}", "https://example.com/{a|b}?n=Asha"),
    ],
)
async def test_a_placeholder_is_filled_whichever_way_it_comes(
    home: House, india: Person, text: str, shown: str
) -> None:
    friend = a_number()
    answer = await india.http.post(SEND, json=row(friend, text, fields=VALUES))
    now = datetime.now(UTC).isoformat()
    scheduled = await india.http.post(SCHEDULE, json=row(friend, text, fields=VALUES, scheduledTime=now))
    changed = await schedule(india, friend, "Later, {{name}}", fields=VALUES)
    path = f"/api/messages/{changed.json()['messageId']}"
    assert (await india.http.patch(path, json={"message": text, "scheduledTime": now})).is_success
    rows = json.dumps(row(friend, text, fields=VALUES))
    assert refusals(await bulk(india, rows, kind="application/x-ndjson")) == {}
    for one in (answer, scheduled, changed):
        await arrived(home, india, one)
    assert [one["text"] for one in await home.phones.messages(friend)] == [shown] * 4


@pytest.mark.parametrize(
    ("text", "fields", "field"),
    [
        ("Hi {{name}}", None, "fields.name"),
        ("Hi {{name}}", {}, "fields.name"),
        ("Hi {{name}}", {"Name": "Asha"}, "fields.name"),
        ("Hi {{name}}", {"name": None}, "fields.name"),
        ("```{{coupon}}```", None, "fields.coupon"),
        ("https://example.com/{{id}}", None, "fields.id"),
        ("{Hi|Hello {{name}}}", None, "fields.name"),
        ("{{c | upper}}", VALUES, "message"),
        ("`{{c|upper}}`", VALUES, "message"),
        ("Hi {{{name}}}", VALUES, "message"),
        ("Hi {{name}, welcome", VALUES, "message"),
        ("Hi {name}}, welcome", None, "message"),
        ("{{#if name}}Hi{{/if}}", VALUES, "fields.#if name"),
        ("Hi {{}}", VALUES, "message"),
    ],
)
async def test_a_placeholder_that_nothing_fills_reaches_nobody(
    home: House, india: Person, text: str, fields: Any, field: str
) -> None:
    friend = a_number()
    for path in (SEND, SCHEDULE):
        refused(await india.http.post(path, json=row(friend, text, fields=fields, scheduledTime=in_an_hour())), field)
    waiting = (await schedule(india, friend, "Later", fields=fields)).json()["messageId"]
    refused(await india.http.patch(f"/api/messages/{waiting}", json={"message": text}), field)
    assert (await india.message(waiting))["message"] == "Later"
    rows = "\n".join(json.dumps(row(friend, one, fields=fields)) for one in ("Now", text))
    assert refusals(await bulk(india, rows, kind="application/x-ndjson")) == {2: field}
    assert [one["text"] for one in await home.phones.messages(friend)] == ["Now"]


# --- times and names --------------------------------------------------------------------------------------------------


async def test_the_end_of_a_day_is_a_time(home: House, india: Person) -> None:
    """24:00 where it is midnight now."""
    now, friend = datetime.now(UTC), a_number()
    ahead = (24 * 60 - now.hour * 60 - now.minute) % (24 * 60)
    sign, ahead = ("+", ahead) if ahead <= 14 * 60 else ("-", 24 * 60 - ahead)
    day = now.date() if sign == "+" and ahead else now.date() - timedelta(days=1)
    at = f"{day}T24:00{sign}{ahead // 60:02}:{ahead % 60:02}"
    answer = await india.http.post(SCHEDULE, json=row(friend, "Good night", scheduledTime=at))
    assert [one["text"] for one in await arrived(home, india, answer)] == ["Good night"]
    wrong = await india.http.post(SCHEDULE, json=row(friend, "x", scheduledTime="2027-01-01T24:01Z"))
    refused(wrong, "scheduledTime")


async def test_an_account_has_a_name_from_the_first_moment(home: House, charlie: Person) -> None:
    seen: list[str | None] = []

    async def named() -> bool:
        status = await charlie.status()
        if status["status"] == "authenticated":
            seen.append(status["name"])
        return bool(seen) and seen[-1] == f"Phone {charlie.number[-4:]}"

    await home.phones.scan(charlie.number, await charlie.code())
    await until(named, what="the account's own name")
    assert set(seen) <= {f"+{charlie.number}", f"Phone {charlie.number[-4:]}"}
    assert not [one for one in home.said() if one.get("level") == "error" and "app state" in json.dumps(one)]
