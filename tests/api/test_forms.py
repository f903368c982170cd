"""Leniency: the many forms in which front ends send the same thing, and what cannot be read in any."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person, ahead

TO = "+1234567890"
TEXT = {"phoneId": TO, "message": "Hello!"}
BOUNDARY = "x-boundary-x"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
_END = b"--x-boundary-x--\r\n"


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account of an Indian number."""
    alice.link("919876543210")
    return alice.http


def _part(name: str, value: str | bytes, *, filename: str | None = None, content_type: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = disposition + (f"\r\nContent-Type: {content_type}" if content_type else "")
    body = value if isinstance(value, bytes) else value.encode()
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), head.encode(), body)


def _post(
    client: httpx.Client, route: str, *parts: bytes, end: bytes = _END, content_type: str = MULTIPART
) -> httpx.Response:
    return client.post(route, content=b"".join(parts) + end, headers={"content-type": content_type})


def _last(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/messages/queue").json()["messages"][0]
    return found


@pytest.mark.parametrize("route", ["/api/messages/send", "/api/messages/schedule", "/api/messages/send/"])
@pytest.mark.parametrize("form", ["json", "data", "files"])
def test_each_route_reads_each_form(route: str, form: str, shop: httpx.Client) -> None:
    fields = {**TEXT, "scheduledTime": ahead(hours=1), "unknown": "ignored"}
    if form == "json":
        answer = shop.post(route, json=fields)
    elif form == "data":
        answer = shop.post(route, data=fields)
    else:
        answer = shop.post(route, files={name: (None, value) for name, value in fields.items()})
    assert answer.status_code == 200, answer.text
    assert answer.json()["scheduledFor"] == fields["scheduledTime"]
    assert _last(shop)["message"] == "Hello!"


@pytest.mark.parametrize("value", ["", None, "null", "undefined"])
def test_what_counts_as_absent(value: str | None, shop: httpx.Client) -> None:
    optional = {"scheduledTime": value, "mediaFile": value, "aiModifications": value, "fields": value}
    assert shop.post("/api/messages/send", json={**TEXT, **optional}).status_code == 200
    parts = [_part(name, "" if one is None else one) for name, one in {**TEXT, **optional}.items()]
    assert _post(shop, "/api/messages/send", *parts).status_code == 200


@pytest.mark.parametrize("phone", [1234567890, 1234567890.0, "+1 (234) 567-890", "001234567890", "1234567890@c.us"])
def test_spellings_of_a_recipient(phone: object, alice: Person) -> None:
    alice.link("12025550123")
    assert alice.http.post("/api/messages/send", json={**TEXT, "phoneId": phone}).status_code == 200
    assert _last(alice.http)["to"] == TO


def test_a_national_number_is_refused_with_what_was_meant(shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/send", json={**TEXT, "phoneId": "9876543210"})
    assert answer.status_code == 400
    assert answer.json()["suggestion"] == "+919876543210"


def test_a_plus_that_an_urlencoded_form_lost(shop: httpx.Client) -> None:
    answer = shop.post(
        "/api/messages/send",
        content="phoneId=+1234567890&message=Hello!",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    assert _last(shop)["to"] == TO


def test_a_body_in_the_smallest_chunks_is_read(shop: httpx.Client) -> None:
    body = json.dumps(TEXT | {"unknown": "x" * 12_000}).encode()
    answer = shop.post(
        "/api/messages/send",
        content=(body[at : at + 1] for at in range(len(body))),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "parts",
    [
        [_part("mediaFile", "", filename="", content_type="application/octet-stream")],  # a browser's empty file input
        [_part("mediaFile", "undefined")],
        [_part("mediaFile", "")],
        [_part("thumbnail", "", filename="", content_type="application/octet-stream")],
    ],
)
def test_no_file(parts: list[bytes], shop: httpx.Client) -> None:
    answer = _post(shop, "/api/messages/send", *(_part(*one) for one in TEXT.items()), *parts)
    assert answer.status_code == 200, answer.text
    assert _last(shop)["media"] is None


def test_a_named_empty_file_is_a_mistake(shop: httpx.Client) -> None:
    answer = _post(
        shop, "/api/messages/send", *(_part(*one) for one in TEXT.items()), _part("mediaFile", "", filename="a.txt")
    )
    assert answer.status_code == 400
    assert answer.json()["message"] == "mediaFile is an empty file."
    assert answer.json()["errors"][0]["field"] == "mediaFile"


def test_a_file_may_stand_alone(shop: httpx.Client) -> None:
    answer = _post(shop, "/api/messages/send", _part("phoneId", TO), _part("mediaFile", "a,b\n", filename="prices.csv"))
    assert answer.status_code == 200, answer.text
    last = _last(shop)
    assert (last["message"], last["media"]["kind"], last["media"]["fileName"]) == ("", "document", "prices.csv")
    file = shop.get(f"/api/media/{last['media']['id']}")
    assert file.content == b"a,b\n"
    assert file.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in file.headers["content-security-policy"]


def test_a_large_file_comes_through_unharmed(shop: httpx.Client) -> None:
    content = b"%PDF-1.7\n" + bytes(range(256)) * 20_000
    answer = shop.post("/api/messages/send", data=TEXT, files={"mediaFile": ("big.pdf", content, "application/pdf")})
    assert answer.status_code == 200, answer.text
    assert shop.get(f"/api/media/{_last(shop)['media']['id']}").content == content


def test_a_field_sent_as_a_blob_is_a_field(shop: httpx.Client) -> None:
    modifications = _part("aiModifications", "{}", filename="blob", content_type="application/json")
    answer = _post(shop, "/api/messages/send", *(_part(*one) for one in TEXT.items()), modifications)
    assert answer.status_code == 200
    assert answer.json()["preview"] == "Hello!"


@pytest.mark.parametrize("as_text", [True, False])
def test_modifications_as_an_object_or_its_text(as_text: bool, shop: httpx.Client) -> None:  # noqa: FBT001
    asked = {"useSynonyms": "on", "addEmojis": 0, "shuffleSentences": None, "unknown": 1}
    body = {**TEXT, "aiModifications": json.dumps(asked) if as_text else asked}
    answer = shop.post("/api/messages/send", json=body)
    assert answer.status_code == 200
    assert isinstance(answer.json()["changes"], list)


def test_a_duplicate_is_refused_unless_it_says_the_same(shop: httpx.Client) -> None:
    same = [_part("phoneId", TO), _part("phoneId", TO), _part("message", "Hello!")]
    assert _post(shop, "/api/messages/send", *same).status_code == 200
    answer = _post(shop, "/api/messages/send", *same, _part("phoneId", "+919876543210"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "phoneId"
    two = [_part("mediaFile", "a", filename="a.txt"), _part("mediaFile", "b", filename="b.txt")]
    answer = _post(shop, "/api/messages/send", *same, *two)
    assert answer.json()["errors"][0]["field"] == "mediaFile"


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"null"),
        ("application/json", b'"text"'),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"phoneId": 1e999999}'),
        ("application/json", b'{"phoneId": ' + b"9" * 6000 + b"}"),
        ("application/x-www-form-urlencoded", b"phoneId=%FF%FE&message=x"),
        ("application/x-www-form-urlencoded", "phoneId=ü".encode()),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 1000)),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("multipart/form-data; boundary=other", _part("phoneId", TO) + b"--x-boundary-x--\r\n"),
        (MULTIPART, b""),
        (MULTIPART, b"no multipart at all"),
        (MULTIPART, _part("phoneId", TO)),
        (MULTIPART, _part("phoneId", TO)[:-30]),
        (MULTIPART, _part("phoneId", b"\xff\xfe") + b"--x-boundary-x--\r\n"),
        (MULTIPART, b"--x-boundary-x\r\nNo-Disposition: 1\r\n\r\nx\r\n--x-boundary-x--\r\n"),
        (MULTIPART, b"--x-boundary-x\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n--x-boundary-x--\r\n"),
    ],
)
def test_an_unreadable_body(content_type: str, content: bytes, shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/send", content=content, headers={"content-type": content_type})
    assert answer.status_code in {400, 413}, answer.text
    assert answer.json()["success"] is False


_WHOLE = [_part("lane", "urgent"), _part("phoneId", TO), _part("message", "Hello!"), _part("fields", '{"a": "b"}')]
_LINES = [b"-----x-boundary-x\r\n", b"-x-boundary-x\r\n", b"--X-boundary-x\r\n", b"--x-boundary-x--\r\n", b"\r\n", b""]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("line", _LINES)
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_part_whose_boundary_is_damaged_is_not_lost(
    number: int, line: bytes, pieces: int, shop: httpx.Client
) -> None:
    """As what comes before the first part, or after the last, or in the one before it."""
    parts = [*_WHOLE[:number], line + _WHOLE[number].partition(b"\r\n")[2], *_WHOLE[number + 1 :]]
    body = b"".join(parts) + b"--x-boundary-x--\r\n"
    content = (body[at : at + pieces] for at in range(0, len(body), pieces))
    answer = shop.post("/api/messages/send", content=content, headers={"content-type": MULTIPART})
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in {"malformed_body", "invalid"}, answer.text


def test_what_mail_programs_write_around_parts_is_passed_over(shop: httpx.Client) -> None:
    answer = _post(
        shop, "/api/messages/send", b"This is a message in parts.\r\n\r\n", *_WHOLE, end=_END + b"\r\nBye\r\n"
    )
    assert answer.status_code == 200, answer.text
    assert _last(shop)["message"] == "Hello!"


def test_names_that_nobody_sees_are_shown_by_escapes(shop: httpx.Client) -> None:
    answer = _post(shop, "/api/messages/send", *_WHOLE, _part("\x00\u202e", b"\xff\xfe"))
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("\\x00\\u202e is no text in UTF-8"), answer.text


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/xml", "", "garbage", "a/b; c=d"])
def test_another_type_is_415(content_type: str, shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/send", content=b'{"a": 1}', headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_compressed_body_is_415(shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/send", json=TEXT, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "answer_of",
    [
        lambda client: client.post("/api/messages/send", json={**TEXT, "unknown": "x" * 1_100_000}),
        lambda client: client.post("/api/messages/send", data={**TEXT, "message": "x" * 1_100_000}),
        lambda client: _post(client, "/api/messages/send", _part("message", "x" * 1_100_000)),
        lambda client: _post(client, "/api/messages/send", *[_part("a", "b")] * 200),
    ],
)
def test_too_large(answer_of: Any, shop: httpx.Client) -> None:
    assert answer_of(shop).status_code == 413


def test_many_small_mistakes_are_told_together(shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/schedule", json={"message": "", "aiModifications": "no", "phoneId": "x"})
    fields = [one["field"] for one in answer.json()["errors"]]
    assert sorted(fields) == ["aiModifications", "message", "phoneId", "scheduledTime"]
