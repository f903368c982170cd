"""The ten routes as the API document has them: each row is sent as printed, by somebody who has just signed up."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatwren.domain.clock import now
from chatwren.domain.ids import uuid7
from chatwren.store.pairings import LIFETIME
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer

TABLE = tomllib.loads((Path(__file__).parent / "contract.toml").read_text())["row"]
ROWS = {row["title"]: row for row in TABLE}
REGISTER = ROWS["Register a New User"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c63606060f80f0001040100"
    "5fe5c34b0000000049454e44ae426082"
)


@pytest.fixture
def john(http: httpx.Client) -> httpx.Client:
    """John Doe, who has just registered as the document does. The client keeps his cookie."""
    answer = _send(http, REGISTER)
    assert answer.status_code == 200, answer.text
    return http


def test_the_table_has_each_route_of_the_document() -> None:
    document = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
    documented = set(re.findall(r"^(?:GET|POST)\n(/api/\S+)$", document, re.MULTILINE))
    assert documented == {row["route"].partition(" ")[2] for row in TABLE}
    assert len(documented) == 10


def test_each_sample_is_the_document_s() -> None:
    document = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
    for row in TABLE:
        assert row["answer"].strip() in document, row["title"]
        if "request" in row:
            assert row["request"].strip().replace("{ahead}", "2025-05-16T10:00:00.000Z") in document, row["title"]


def test_register_as_printed(http: httpx.Client) -> None:
    _check(_send(http, REGISTER), REGISTER)


def test_register_with_a_space_where_the_web_page_has_a_no_break_space(http: httpx.Client) -> None:
    _check(_send(http, {**REGISTER, "request": REGISTER["request"].replace("\u00a0", " ")}), REGISTER)


@pytest.mark.parametrize("title", [title for title, row in ROWS.items() if row is not REGISTER])
def test_row_by_row(title: str, john: httpx.Client, server: WebServer) -> None:
    row = ROWS[title]
    user_id = server.sql("SELECT id FROM app_user")[0][0]
    person = Person("johndoe", user_id, "", john, server)
    if row.get("linked"):
        person.link(
            "1234567890",
            name="John's WhatsApp",
            groups=[
                {"id": "1@g.us", "name": "Family Group", "participants": ["+1234567890", "+1987654321"], "size": 2},
                {"id": "2@g.us", "name": "Work Team", "participants": ["+1234567890", "+15556667777"], "size": 3},
            ],
            groups_at=now(),
        )
    if title == "Generate QR Code":
        _codes(server, user_id)
    if text := row.get("sent"):
        accepted = john.post("/api/messages/send", data={"phoneId": "+1234567890", "message": text}).json()
        person.sent(accepted["messageId"])
    _check(_send(john, row), row)


@pytest.mark.parametrize("route", ["/api/messages/send", "/api/messages/schedule"])
def test_the_document_s_own_time_is_past_and_refused(route: str, john: httpx.Client) -> None:
    body = {"phoneId": "+1234567890", "message": "Hello!", "scheduledTime": "2025-05-16T10:00:00.000Z"}
    answer = john.post(route, json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "scheduledTime"
    assert now().date().isoformat() in answer.json()["message"]


def test_after_logging_out_the_session_is_gone(john: httpx.Client) -> None:
    cookie = john.cookies["connect.sid"]
    _send(john, ROWS["Logout"])
    assert "connect.sid" not in john.cookies  # as a browser does with the clearing line
    again = john.get("/api/users/me", headers={"cookie": f"connect.sid={cookie}"})
    assert again.status_code == 401


def _send(client: httpx.Client, row: dict[str, Any]) -> httpx.Response:
    method, _, path = row["route"].partition(" ")
    if row.get("content_type") == "multipart/form-data":
        fields = {name: value.replace("{ahead}", ahead(hours=1)) for name, value in row["form"].items()}
        parts: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
        if "file" in row:
            parts[row["file"]] = ("picture.png", _PICTURE, "image/png")
        return client.request(method, path, files=parts)
    content = row.get("request", "").replace("{ahead}", ahead(hours=1)).encode()
    headers = {"content-type": row["content_type"]} if content else {}
    return client.request(method, path, content=content, headers=headers)


def _check(answer: httpx.Response, row: dict[str, Any]) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    sample = json.loads(row["answer"])
    got = answer.json()
    if row.get("literal"):
        assert got == sample
    _same_kind(sample, got, where=row["title"], same=row.get("same", []))
    if "set_cookie" in row:
        (line,) = answer.headers.get_list("set-cookie")
        pattern = re.escape(row["set_cookie"]).replace(re.escape("{value}"), r"[\w-]{43}\.[\w%-]{40,}")
        assert re.fullmatch(pattern, line), line
    else:
        assert "set-cookie" not in answer.headers


def _same_kind(sample: Any, got: Any, *, where: str, same: list[str]) -> None:
    """Whether `got` has the sample's members, with values of its kind, and of those in `same` its very values."""
    assert type(got) is type(sample), f"{where}: {got!r}"
    if isinstance(sample, dict):
        for name, value in sample.items():
            assert name in got, f"{where}.{name}"
            _same_kind(value, got[name], where=f"{where}.{name}", same=same)
            if name in same:
                assert got[name] == value, f"{where}.{name}"
    elif isinstance(sample, list):
        assert len(got) == len(sample), where
        for one, other in zip(sample, got, strict=True):
            _same_kind(one, other, where=f"{where}[]", same=same)
    elif isinstance(sample, str):
        for pattern in (_TIME, re.compile(r"https?://.+"), re.compile(r"msg_\w+"), re.compile(r"sched_\w+")):
            assert bool(pattern.fullmatch(sample)) == bool(pattern.fullmatch(got)), f"{where}: {got!r}"


def _codes(server: WebServer, user_id: Any) -> None:
    """A pairing that runs and has its codes, as a worker would write them."""
    account, start = uuid7(), now()
    server.sql("INSERT INTO account (id, user_id) VALUES ($1, $2)", account, user_id)
    server.sql(
        "INSERT INTO pairing (id, account_id, user_id, token, state, codes, expires_at)"
        " VALUES ($1, $2, $3, 'a-token', 'waiting', $4, $5)",
        uuid7(),
        account,
        user_id,
        [{"text": "2@code", "from": start.isoformat(), "until": (start + LIFETIME).isoformat()}],
        start + LIFETIME,
    )
