"""Multipart of clients that are no browser, and what was asked for under another name: read, or refused by name."""

import base64
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person

ROWS = b"name,price\nSoap,20\n"
BOUNDARY = b"x-boundary-x"
TO = ("phoneId", "+1234567890")
TEXT = (TO, ("message", "Hello!"))


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account of an Indian number."""
    alice.link("919876543210")
    return alice.http


def part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    lines = (b"Content-Disposition: form-data; " + disposition, *headers)
    return b"--" + BOUNDARY + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n"


def fields(*given: tuple[str, str]) -> bytes:
    return b"".join(part(b'name="%s"' % name.encode(), value.encode()) for name, value in given)


def post(
    shop: httpx.Client,
    body: bytes,
    *,
    content_type: str = "multipart/form-data; boundary=x-boundary-x",
    to: str = "send",
) -> httpx.Response:
    return shop.post(
        f"/api/messages/{to}", content=body + b"--" + BOUNDARY + b"--\r\n", headers={"content-type": content_type}
    )


def last(shop: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = shop.get("/api/messages/queue").json()["messages"][0]
    return found


def refused(answer: httpx.Response, field: str) -> str:
    assert answer.status_code == 400, answer.text
    assert {one["field"] for one in answer.json()["errors"]} == {field}
    message: str = answer.json()["message"]
    return message


@pytest.mark.parametrize(
    ("disposition", "headers", "name"),
    [
        (
            b"name=mediaFile; filename=\"=?utf-8?B?4KSVLmNzdg==?=\"; filename*=utf-8''%E0%A4%95.csv",
            (b"Content-Type: text/csv",),
            "क.csv",
        ),
        (b"name=\"mediaFile\"; filename*=utf-8''%E0%A4%95.csv", (b"Content-Type: text/csv",), "क.csv"),
        (b"name=\"mediaFile\"; filename*=utf-8''%E0%A4%95.csv", (), "क.csv"),
        (b'name="mediaFile"; filename="caf\xe9.csv"', (b"Content-Type: text/csv",), "café.csv"),
        (
            b'name="mediaFile"; filename="a.csv"',
            (b"Content-Type: text/csv", b"Content-Transfer-Encoding: binary", b"Content-Length: 3"),
            "a.csv",
        ),
    ],
)
def test_a_file_arrives_under_its_name(
    disposition: bytes, headers: tuple[bytes, ...], name: str, shop: httpx.Client
) -> None:
    answer = post(shop, fields(TO) + part(disposition, ROWS, *headers))
    assert answer.status_code == 200, answer.text
    media = last(shop)["media"]
    assert media["fileName"] == name
    assert shop.get(f"/api/media/{media['id']}").content == ROWS


@pytest.mark.parametrize("content_type", [b"text/csv", b"application/octet-stream", b"application/pdf"])
def test_a_part_with_a_type_and_no_file_name_is_a_file(content_type: bytes, shop: httpx.Client) -> None:
    answer = post(shop, fields(*TEXT) + part(b'name="mediaFile"', ROWS, b"Content-Type: " + content_type))
    assert answer.status_code == 200, answer.text
    assert last(shop)["media"]["size"] == len(ROWS)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff", b"https://example.com/a.png"])
@pytest.mark.parametrize("headers", [(), (b"Content-Type: text/plain",)])
def test_what_may_be_no_file_is_refused_by_name(content: bytes, headers: tuple[bytes, ...], shop: httpx.Client) -> None:
    answer = post(shop, fields(*TEXT) + part(b'name="mediaFile"', content, *headers))
    assert refused(answer, "mediaFile").startswith("mediaFile must be a file")


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
@pytest.mark.parametrize("times", [1, 100_000])
def test_base64_is_read(encode: Any, times: int, shop: httpx.Client) -> None:
    content = (ROWS * times)[: -(times % 3) or None]
    how = b"Content-Transfer-Encoding: base64"
    body = part(b'name="phoneId"', base64.b64encode(TO[1].encode()), how)
    answer = post(shop, body + part(b'name="mediaFile"; filename="a.csv"', encode(content), how))
    assert answer.status_code == 200, answer.text
    media = last(shop)["media"]
    assert media["size"] == len(content)
    assert shop.get(f"/api/media/{media['id']}").content == content


@pytest.mark.parametrize("how", [b"base64", b"quoted-printable", b"x-uuencode"])
def test_an_encoding_that_is_not_read_is_refused_by_name(how: bytes, shop: httpx.Client) -> None:
    head = b"Content-Transfer-Encoding: " + how
    answer = post(shop, fields(*TEXT) + part(b'name="mediaFile"; filename="a.csv"', b"=3D!", head))
    assert "Content-Transfer-Encoding" in refused(answer, "mediaFile")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ("Olé café".encode("latin-1"), b"text/plain; charset=ISO-8859-1"),
        ("Olé café".encode("latin-1"), b'text/plain; charset="iso-8859-1"'),
        ("Olé café".encode("cp1252"), b"text/plain;charset=windows-1252"),
        ("Olé café".encode(), b"text/plain; charset=UTF-8"),
        ("Olé café".encode("utf-16"), b"text/plain; charset=utf-16"),
        ("Olé café".encode("utf-16-le"), b"text/plain; charset=utf-16le"),
        ('"Olé café"'.encode(), b"application/json; charset=UTF-8"),
    ],
)
def test_the_charset_and_the_type_of_a_text(content: bytes, content_type: bytes, shop: httpx.Client) -> None:
    answer = post(shop, fields(TO) + part(b'name="message"', content, b"Content-Type: " + content_type))
    assert answer.status_code == 200, answer.text
    assert last(shop)["message"] == "Olé café"


@pytest.mark.parametrize(("text", "charset"), [("Hello", "utf-16le"), ("注文", "iso-2022-jp"), ("Hello", "x-ours")])
def test_bytes_that_look_like_ascii(text: str, charset: str, shop: httpx.Client) -> None:
    content = text.encode(charset if charset != "x-ours" else "ascii")
    body = fields(TO) + part(b'name="message"', content, b"Content-Type: text/plain; charset=" + charset.encode())
    assert post(shop, body).status_code == 200
    assert last(shop)["message"] == text


def test_half_an_emoji_in_a_text_as_json_is_refused_by_name(shop: httpx.Client) -> None:
    body = fields(TO) + part(b'name="message"', b'"Hi \\ud83d"', b"Content-Type: application/json")
    assert "half of a surrogate pair" in refused(post(shop, body), "message")


def test_a_form_may_name_one_charset_for_all(shop: httpx.Client) -> None:
    text = part(b'name="message"', "café".encode("latin-1"))
    named = "multipart/form-data; charset=ISO-8859-1; boundary=x-boundary-x"
    assert post(shop, fields(TO) + text, content_type=named).status_code == 200
    assert last(shop)["message"] == "café"
    assert post(shop, fields(TO, ("_charset_", "iso-8859-1")) + text).status_code == 200
    assert last(shop)["message"] == "café"


@pytest.mark.parametrize("content_type", [b"text/plain", b"text/plain; charset=utf-8", b"text/plain; charset=rot13"])
def test_a_text_in_no_charset_is_refused_by_name(content_type: bytes, shop: httpx.Client) -> None:
    answer = post(shop, fields(TO) + part(b'name="message"', b"caf\xe9", b"Content-Type: " + content_type))
    assert "message is no text in" in refused(answer, "message")


def test_a_body_that_breaks_off_names_the_part(shop: httpx.Client) -> None:
    content_type = {"content-type": "multipart/form-data; boundary=x-boundary-x"}
    body = fields(*TEXT) + part(b'name="mediaFile"; filename="a.csv"', ROWS)
    answer = shop.post("/api/messages/send", content=body[:-5], headers=content_type)
    assert answer.json()["code"] == "malformed_body"
    assert "mediaFile" in refused(answer, "mediaFile")


@pytest.mark.parametrize(
    "body",
    [
        fields(TO).replace(b"\r\n", b"\n"),
        fields(TO).replace(b"form-data", b"attachment"),
        fields(TO).replace(b"Content-Disposition", b"Content-Type"),
    ],
)
def test_a_body_that_is_no_form_says_what_one_is(body: bytes, shop: httpx.Client) -> None:
    answer = post(shop, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert "Lines end with CR LF." in answer.json()["message"]


@pytest.mark.parametrize("name", [b"message", b"mediaFile", b"files"])
def test_parts_within_a_part_are_refused_by_name(name: bytes, shop: httpx.Client) -> None:
    inner = b'--inner\r\nContent-Disposition: file; filename="a.csv"\r\n\r\n' + ROWS + b"\r\n--inner--"
    body = fields(*TEXT) + part(b'name="%s"' % name, inner, b"Content-Type: multipart/mixed; boundary=inner")
    assert "several parts in one" in refused(post(shop, body), name.decode())


def sent_as(form: str, given: dict[str, str], shop: httpx.Client) -> httpx.Response:
    """The answer to these fields, in one of the three forms."""
    if form == "json":
        return shop.post("/api/messages/send", json=given)
    if form == "urlencoded":
        return shop.post("/api/messages/send", data=given)
    return post(shop, fields(*given.items()))


@pytest.mark.parametrize("form", ["multipart", "urlencoded", "json"])
@pytest.mark.parametrize("way", ["{}[{}]", "{}.{}"])
def test_members_under_names_of_their_own(form: str, way: str, shop: httpx.Client) -> None:
    given = {
        **dict(TEXT),
        "message": "Thank you for your order, {{name}}!",
        way.format("fields", "name"): "Asha",
        way.format("aiModifications", "useSynonyms"): "true",
        way.format("aiModifications", "seed"): "s1",
        way.format("unknown", "name"): "ignored",
    }
    answer = sent_as(form, given, shop)
    assert answer.status_code == 200, answer.text
    assert "Asha!" in answer.json()["preview"]
    modifications = {"useSynonyms": True, "seed": "s1"}
    whole = {**dict(TEXT), "message": given["message"], "fields": {"name": "Asha"}, "aiModifications": modifications}
    assert shop.post("/api/messages/send", json=whole).json()["preview"] == answer.json()["preview"]


@pytest.mark.parametrize("name", ["phoneId[]", "message[text]", "message.text", "scheduledTime[0]", "lane[]"])
@pytest.mark.parametrize("form", ["multipart", "urlencoded", "json"])
def test_a_bracket_after_a_name_that_takes_none_is_refused(name: str, form: str, shop: httpx.Client) -> None:
    base = name.replace(".", "[").partition("[")[0]
    given = {**{key: value for key, value in TEXT if key != base}, name: dict(TEXT).get(base, "urgent")}
    answer = sent_as(form, given, shop)
    assert name in refused(answer, base)


def test_a_list_where_an_object_belongs_is_refused(shop: httpx.Client) -> None:
    answer = post(shop, fields(*TEXT, ("aiModifications[]", "useSynonyms")))
    assert "aiModifications[]" in refused(answer, "aiModifications")
    answer = post(shop, fields(*TEXT, ("fields[a]", "x"), ("fields[a]", "y")))
    refused(answer, "fields.a")


@pytest.mark.parametrize("to", ["send", "schedule"])
@pytest.mark.parametrize(
    ("disposition", "headers"),
    [
        (b'name="file"; filename="a.png"', (b"Content-Type: image/png",)),
        (b'name="file"; filename="a.txt"', (b"Content-Type: text/plain",)),
        (b'name="file"; filename="a.txt"', ()),
        (b'name="file"', (b"Content-Type: image/png",)),
        (b'name="mediaFile[]"; filename="a.png"', (b"Content-Type: image/png",)),
        (b'name="mediaFile[]"; filename="a.txt"', (b"Content-Type: text/plain",)),
        (b'name="mediaFile[0]"; filename="a.png"', (b"Content-Type: image/png",)),
        (b'name="mediafile"; filename="empty.png"', (b"Content-Type: image/png",)),
        (b'filename="a.png"', (b"Content-Type: image/png",)),
    ],
)
def test_an_unknown_file_is_refused_with_the_name_that_takes_one(
    disposition: bytes, headers: tuple[bytes, ...], to: str, shop: httpx.Client
) -> None:
    answer = post(shop, fields(*TEXT, ("scheduledTime", "2100")) + part(disposition, b"x" * 9, *headers), to=to)
    assert answer.status_code == 400
    assert "mediaFile" in [one["field"] for one in answer.json()["errors"]]
    assert "A file goes as mediaFile." in answer.json()["message"]


def test_a_route_without_files_says_so(shop: httpx.Client) -> None:
    body = fields(("message", "Hello!")) + part(b'name="mediaFile"; filename="a.png"', b"x", b"Content-Type: image/png")
    assert "takes no file" in refused(post(shop, body, to="preview"), "mediaFile")


def test_a_text_as_a_file_under_a_name_that_takes_none_is_refused(shop: httpx.Client) -> None:
    body = fields(TO) + part(b'name="message"; filename="blob"', b"Hello!", b"Content-Type: text/plain")
    assert post(shop, body).status_code == 200
    body = fields(TO) + part(b'name="message"; filename="blob"', b"Hello!", b"Content-Type: application/octet-stream")
    assert "must be a text" in refused(post(shop, body), "message")
