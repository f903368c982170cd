"""Whatever a field holds: it is bounded, or refused by name, at once. Each documented field of each route is tried."""

import json
import time
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from msgspec import Struct

from chatwren.web.openapi import JSON, MULTIPART, Operation, Route, document, example, routes
from tests.api.conftest import Person
from tests.api.server import WebServer

MIB = 1024 * 1024
SLOW = 1.0  # seconds
ENDLESS = "/api/events"
LONG_TEXTS = ("message",)  # may be longer than 60,000 characters

ONE_MILLION = "x" * 1_000_000
MARKS = "a" + "\u0301" * 16_000 + "\u0316" * 16_000
HOSTILE: dict[str, Any] = {
    "a million letters": ONE_MILLION,
    "letters": "x" * 60_000,
    "marks": MARKS,
    "spaces": " " * 60_000,
    "digits": "9" * 60_000,
    "digits of another script": "٩" * 60_000,
    "brackets": "[" * 60_000,
    "brackets and zeros": "(0" * 30_000,
    "at": "a@" + "a." * 30_000,
    "nul": "a\0b",
    "half an emoji": "a\ud800b",
    "an object as text": '{"a":' * 12_000,
    "a long number": 10**4000,
    "a negative number": -(10**300),
    "beyond floats": float("inf"),
    "no number": float("nan"),
    "a fraction": 1e300,
    "deep": json.loads("[" * 500 + "]" * 500),
    "lists": [[]] * 2_000,
    "an object of many": {str(number): number for number in range(2_000)},
    "an object of long names": {"x" * 60_000: "y"},
    "an object of half an emoji": {"\ud800": "\ud800"},
    "true": True,
    "a list": ["x"],
    "null": None,
}
NEVER = ("a million letters", "nul", "half an emoji", "a long number", "deep", "lists", "an object of many")
"""No field takes these."""


@dataclass(frozen=True)
class Field:
    """A documented field. `within` an object that is a field."""

    route: Route
    name: str
    within: str | None

    def __str__(self) -> str:
        return f"{self.route.name}.{self.within + '.' if self.within else ''}{self.name}"


def _fields(route: Route, shape: type[Struct]) -> Iterator[Field]:
    for one in msgspec.structs.fields(shape):
        yield Field(route, one.encode_name, None)
        for kind in _kinds(one.type):
            if isinstance(kind, type) and issubclass(kind, Struct):
                yield from (Field(route, inner.encode_name, one.encode_name) for inner in msgspec.structs.fields(kind))
            elif typing.get_origin(kind) is dict:
                yield Field(route, "name", one.encode_name)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a union and its annotations are made of."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for one in typing.get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


def _body_fields(server: WebServer) -> list[Field]:
    return [one for route in routes(server.app) if route.operation.body for one in _fields(route, route.operation.body)]


def _good_body(server: WebServer, operation: Operation) -> dict[str, Any]:
    described = document(server.app, server=server.url)
    assert operation.body is not None
    schema = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
    made = example(schema, described["components"]["schemas"])
    assert isinstance(made, dict)
    return {name: value for name, value in made.items() if name not in ("mediaFile", "file")}


def _client(route: Route, shop: Person, stranger: httpx.Client) -> httpx.Client:
    """Who asks: to log in would end Alice's session."""
    return shop.http if route.operation.access else stranger


def _send(client: httpx.Client, method: str, path: str, **given: Any) -> tuple[httpx.Response, float]:
    """The answer and its seconds: of the quickest of three, where a busy machine made one slow."""
    quickest = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        answer = client.request(method, path, **given)
        quickest = min(quickest, time.perf_counter() - began)
        if quickest < SLOW:
            break
    return answer, quickest


def _check(answer: httpx.Response, seconds: float, what: str) -> None:
    assert answer.status_code < 500, f"{what}: {answer.text[:300]}"
    assert seconds < SLOW, f"{what}: {seconds:.2f} s"
    assert len(answer.content) < 100_000, f"{what} comes back"
    if answer.is_error:
        assert answer.json()["success"] is False


@pytest.fixture
def shop(alice: Person) -> Person:
    """Alice, with an account that need not wait for a worker."""
    alice.link("919876543210", groups=[])
    return alice


def test_no_field_takes_more_than_it_can_bear(shop: Person, http: httpx.Client) -> None:
    fields = _body_fields(shop.server)
    assert len(fields) > 40
    for field in fields:
        good = _good_body(shop.server, field.route.operation)
        path = field.route.path.replace("{message_id}", "msg_" + "0" * 32)
        client = _client(field.route, shop, http)
        for how, value in HOSTILE.items():
            body = good | {field.within or field.name: {field.name: value} if field.within else value}
            content = json.dumps(body)
            headers = {"content-type": JSON}
            answer, seconds = _send(client, field.route.method, path, content=content, headers=headers)
            what = f"{field} = {how}"
            _check(answer, seconds, what)
            named = {one["field"] for one in answer.json().get("errors", ())} if answer.is_error else set()
            refused = answer.status_code == 413 or any(
                name.startswith(field.within or field.name) or name == field.name for name in named
            )
            if field.name != "file" and (
                how in NEVER or (how == "letters" and str(field).partition(".")[2] not in LONG_TEXTS)
            ):
                assert refused, f"{what}: {answer.status_code} {answer.text[:300]}"


def test_nor_in_a_form(shop: Person, http: httpx.Client) -> None:
    texts = {how: HOSTILE[how] for how in ("a million letters", "marks", "nul", "an object as text")}
    for field in _body_fields(shop.server):
        if field.within:
            continue
        good = {name: value for name, value in _good_body(shop.server, field.route.operation).items() if value}
        good = {name: value if isinstance(value, str) else json.dumps(value) for name, value in good.items()}
        path = field.route.path.replace("{message_id}", "msg_" + "0" * 32)
        client = _client(field.route, shop, http)
        for how, value in texts.items():
            body = good | {field.name: value}
            if MULTIPART in field.route.operation.body_types:
                parts = {name: (None, one) for name, one in body.items()}
                answer, seconds = _send(client, field.route.method, path, files=parts)
                _check(answer, seconds, f"{field} = {how}, multipart")
            answer, seconds = _send(client, field.route.method, path, data=body)
            _check(answer, seconds, f"{field} = {how}, url-encoded")
            if how in NEVER and field.name != "file":
                assert answer.is_error, f"{field} = {how}"


def test_nor_in_a_query(shop: Person) -> None:
    for route in routes(shop.server.app):
        for field in _fields(route, route.operation.query) if route.operation.query else ():
            path = route.path.replace("{bulk_id}", "bulk_" + "0" * 32)
            for how, value in HOSTILE.items():
                if isinstance(value, str) and "\ud800" not in value:
                    query = f"{field.name}={quote(value)[:30_000]}"
                    answer, seconds = _send(shop.http, route.method, f"{path}?{query}")
                    _check(answer, seconds, f"{field} = {how}")
                    if how in NEVER:
                        assert answer.is_error, f"{field} = {how}"


@pytest.mark.parametrize(
    "value", ["x" * 20_000, "%00", "%F0%9F", "msg_" + "0" * 32 + "%0A", "..", "%2e%2e", "-", "٩" * 9]
)
def test_nor_in_a_path(value: str, shop: Person) -> None:
    for route in routes(shop.server.app):
        for name in route.operation.path:
            path = route.path.replace(f"{{{name}}}", value).replace("{token}", "token").replace("{name}", "1.svg")
            answer, seconds = _send(shop.http, route.method, path, json={"message": "x"})
            _check(answer, seconds, f"{route.name} {name}")
            assert answer.status_code in (404, 405, 431), f"{route.name} {name}: {answer.status_code}"


@pytest.mark.parametrize(
    "header", ["idempotency-key", "cookie", "accept", "origin", "content-type", "user-agent", "host"]
)
@pytest.mark.parametrize(
    "value", [b"x" * 30_000, b";" * 30_000, b"=" * 30_000, b'"' * 30_000, b"\xff\xfe", b"a\x7fb", b",a" * 15_000, b""]
)
def test_nor_in_a_header(header: str, value: bytes, shop: Person) -> None:
    headers = {"cookie": shop.cookie, header: value} | {"content-type": JSON} if header != "content-type" else {}
    answer, seconds = _send(
        shop.http, "POST", "/api/messages/send", content=b'{"phoneId": "+1234567890", "message": "x"}', headers=headers
    )
    _check(answer, seconds, f"{header}: {value[:9]!r}")


@pytest.mark.parametrize(
    "file_name", ["a\0b.txt", "\u202etxt.exe", "x" * 3_000, "../../etc/passwd", "a\r\nb", "\ud7ff", " ", "." * 3_000]
)
@pytest.mark.parametrize("content_type", ["text/plain", "x" * 900, "a/b; " + "c=" * 400, "text/\0"])
def test_nor_in_a_files_name_or_type(file_name: str, content_type: str, shop: Person) -> None:
    head = f'Content-Disposition: form-data; name="mediaFile"; filename="{file_name}"\r\nContent-Type: {content_type}'
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}' for n, v in {"phoneId": "+1234567890"}.items()
    ]
    body = "\r\n".join([*parts, f"--b\r\n{head}\r\n\r\nhello", "--b--\r\n"]).encode()
    answer, seconds = _send(
        shop.http,
        "POST",
        "/api/messages/send",
        content=body,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    _check(answer, seconds, f"{file_name[:9]!r} {content_type[:9]!r}")
    if answer.is_success:
        media = shop.http.get("/api/messages/queue").json()["messages"][0]["media"]
        assert len(media["fileName"]) <= 300
        assert shop.http.get(f"/api/media/{media['id']}").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MIB,
        b'{"a":' * (MIB // 5),
        b"{" + b",".join(b'"%x":1' % number for number in range(100_000)) + b"}",
        b'{"a":[' + b",".join([b"[]"] * 340_000) + b"]}",
        b'{"a":' + b"9" * 900_000 + b"}",
        b'{"a":1e' + b"9" * 900_000 + b"}",
        b'{"a":"' + b'\\"' * 500_000,
        b'"' * MIB,
        b'{"a":"\\ud800",' + b",".join(b'"%x":1' % number for number in range(100_000)) + b"}",
    ],
)
def test_a_large_body_costs_next_to_nothing_before_it_is_refused(body: bytes, shop: Person) -> None:
    began = time.thread_time()
    answers = [
        shop.http.post("/api/auth/login", content=body, headers={"content-type": JSON}).status_code for _ in range(2)
    ]
    assert set(answers) <= {400, 413}
    assert time.thread_time() - began < SLOW


def test_what_a_user_named_wrongly_comes_back_short(shop: Person) -> None:
    names = ["x" * 5_000, "\ud800", *(f"wrong{number}" for number in range(500))]
    answer = shop.http.post(
        "/api/messages/cancel", content=json.dumps(dict.fromkeys(names, 1)), headers={"content-type": JSON}
    )
    assert answer.status_code == 400
    assert len(answer.content) < 3_000
