"""Every failure has the documented form, whatever it is and whoever asks."""

import contextlib
import gc
import json
import secrets
import socket
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from chatwren.store.database import Database
from chatwren.web.http.protocol import MAX_HEAD_BYTES
from tests.api.conftest import Person
from tests.api.server import WebServer
from tests.api.wire import rest
from tests.waiting import wait_until

MEMBERS = {"type", "title", "status", "detail", "instance", "success", "code", "message", "error", "errors"}


def _is_documented(answer: httpx.Response, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = answer.json()
    assert body.keys() >= MEMBERS
    assert body["success"] is False
    assert body["status"] == status
    assert body["message"] == body["error"] == body["detail"] != ""
    if code is not None:
        assert body["code"] == code


@pytest.mark.parametrize("kind", ["columns", "fields"])
def test_what_a_refused_request_held_is_given_back_at_once(alice: Person, kind: str) -> None:
    """The garbage collector comes seldom, and what refused requests leave until then would fill the memory."""
    mark = f"marked {secrets.token_hex(8)}"
    if kind == "columns":
        content, content_type = ",".join(["phoneId", *[mark] * 10_000]) + "\n", "text/csv"
    else:
        content, content_type = json.dumps({"phoneId": "x", "fields": [mark] * 100}), "application/json"
    alice.link("919876543210")
    path = "/api/messages/bulk" if kind == "columns" else "/api/messages/send"
    gc.collect()
    gc.disable()
    try:
        answer = alice.http.post(path, content=content, headers={"content-type": content_type})
        assert answer.status_code == 400, answer.text
        # The answer may be here before the server has left the request's last frame.
        # And it computes in a thread of the same interpreter: between two looks it has its turn.
        wait_until(lambda: not [one for one in gc.get_objects() if isinstance(one, list) and mark in one], every=0.05)
    finally:
        gc.enable()


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/users/you", "/api/messages/", "/%00", "/%FF", "/docs/x"])
def test_nothing_there(path: str, alice: Person) -> None:
    _is_documented(alice.http.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/auth/login"), ("PUT", "/api/users/me"), ("POST", "/api/messages/queue"), ("DELETE", "/docs")],
)
def test_another_method(method: str, path: str, alice: Person) -> None:
    answer = alice.http.request(method, path)
    _is_documented(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


def test_a_trailing_slash_does_not_matter(alice: Person) -> None:
    assert alice.http.get("/api/users/me/").status_code == 200


def test_problem_json_for_whoever_asks(http: httpx.Client) -> None:
    answer = http.get("/api/users/me", headers={"accept": "application/json;q=0.5, application/problem+json"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_authenticated"


VALUES: list[Any] = [
    None,
    "",
    " ",
    0,
    -1,
    True,
    [],
    {},
    [[]],
    "\u0000",
    "\ud800",
    "x" * 70_000,
    1e300,
    "null",
    {"a": {"b": []}},
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("method", "path", "good"),
    [
        (
            "POST",
            "/api/auth/register",
            {
                "name": "Dora",
                "phone": "+1234567890",
                "email": "d@example.com",
                "username": "dora",
                "password": "securePassword123",
                "gst": "",
            },
        ),
        ("POST", "/api/auth/login", {"username": "nobody", "password": "securePassword123"}),
        ("PATCH", "/api/users/me", {"timeZone": "Asia/Kolkata"}),
        ("POST", "/api/whatsapp/paircode", {"phoneNumber": "+1234567890"}),
        (
            "POST",
            "/api/messages/send",
            {
                "phoneId": "+1234567890",
                "message": "x",
                "scheduledTime": "",
                "aiModifications": {"useSynonyms": True, "seed": "x"},
                "fields": {"a": "b"},
                "mediaFile": "",
            },
        ),
        (
            "POST",
            "/api/messages/schedule",
            {"phoneId": "+1234567890", "message": "x", "scheduledTime": "2027-05-16T10:00", "aiModifications": {}},
        ),
    ],
)
def test_no_value_of_any_field_is_our_fault(
    method: str, path: str, good: dict[str, Any], value: Any, alice: Person
) -> None:
    alice.link("919876543210")
    for name in good:
        body = json.dumps({**good, name: value})
        answer = alice.http.request(method, path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 500, f"{name}={value!r}: {answer.text}"
        if answer.is_error:
            _is_documented(answer, answer.status_code)


def test_the_unexpected_is_told_apart_by_an_id_and_nothing_else(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("chatwren.service.accounts.status", fail)
    answer = alice.http.get("/api/whatsapp/status")
    _is_documented(answer, 500, "internal")
    assert "secret detail" not in answer.text
    assert answer.json()["instance"].startswith("urn:uuid:")
    assert answer.json()["instance"].removeprefix("urn:uuid:") in answer.json()["message"]


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError("no"), TimeoutError(), OSError(28, "No space left on device")]
)
def test_a_database_that_is_away_is_503(error: Exception, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Database) -> None:
        raise error

    monkeypatch.setattr(Database, "connection", away)
    monkeypatch.setattr(Database, "transaction", away)
    for answer in (alice.http.get("/api/users/me"), alice.http.get("/health/ready")):
        _is_documented(answer, 503, "database_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert alice.http.get("/health/live").status_code == 200


def test_sessions_survive_that_the_database_ends_all_connections(alice: Person, server: WebServer) -> None:
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    answers = [alice.http.get("/api/users/me").status_code for _ in range(4)]
    assert set(answers) <= {200, 503}
    assert answers[-1] == 200


def _raw(server: WebServer, sent: bytes) -> bytes:
    """What the server answers to these bytes, until it closes the connection."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        with contextlib.suppress(ConnectionError):  # refused half-way
            connection.sendall(sent)
        return rest(connection)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_400(sent: bytes, server: WebServer) -> None:
    got = _raw(server, sent)
    assert got.startswith(b"HTTP/1.1 400 "), got
    assert b'"success":false' in got


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /?" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 1_000_000,
    ],
)
def test_headers_without_end_are_431(sent: bytes, server: WebServer) -> None:
    got = _raw(server, sent)
    assert got.startswith(b"HTTP/1.1 431 "), got[:200]
    assert b"headers_too_large" in got


def test_a_body_too_large_is_refused_before_it_comes(server: WebServer, alice: Person) -> None:
    head = (
        f"POST /api/messages/send HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {alice.cookie}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 999999999999\r\n\r\n"
    )
    assert _raw(server, head.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("path", "content_type", "said"),
    [
        ("messages/send", "multipart/form-data; boundary=x", "a file may have 100 MB, the rest 1 MiB."),
        ("messages/schedule", "multipart/form-data; boundary=x", "a file may have 100 MB, the rest 1 MiB."),
        ("messages/bulk", "multipart/form-data; boundary=x", "a file may have 32 MiB, the rest 16 KiB."),
        ("messages/bulk", "text/csv", "larger than 32 MiB."),
        ("messages/send", "application/json", "larger than 1 MiB."),
        ("messages/preview", "application/json", "larger than 1 MiB."),
        ("auth/login", "application/x-www-form-urlencoded", "larger than 16 KiB."),
    ],
)
def test_sizes_are_told_as_people_say_them(path: str, content_type: str, said: str, alice: Person) -> None:
    head = (
        f"POST /api/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {alice.cookie}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: 105000000\r\n\r\n"
    )
    answer = _raw(alice.server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert said in json.loads(answer.partition(b"\r\n\r\n")[2])["message"]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_ends_the_connection(
    sent: bytes, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.protocol._HEAD_SECONDS", 0.3)
    assert _raw(server, sent).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_does_not_come_ends_the_request(
    server: WebServer, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.bodies._SILENCE_SECONDS", 0.3)
    head = f"PATCH /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {alice.cookie}\r\n"
    got = _raw(server, f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode())
    assert got.startswith(b"HTTP/1.1 408 "), got


def test_metrics_and_log_name_routes_and_no_secrets(
    alice: Person, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs([merge_contextvars]) as events:
        http.get("/qr/an-unguessable-token/1.svg?secret=query")
        alice.http.get("/api/users/me")
        metrics = http.get("/metrics").text
    assert 'route="/qr/{token}/{name}",status="404"' in metrics
    logged = f"{events}{caplog.text}"
    assert "/api/users/me" in logged
    for text in (metrics, logged):
        for secret in ("an-unguessable-token", "query", alice.cookie[15:40], "alice"):
            assert secret not in text


def test_metrics_count_dead_letters_and_are_told_without_the_database(
    alice: Person, http: httpx.Client, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.observe._LETTERS_SECONDS", 0)
    alice.link("919876543210")
    server.sql(
        "INSERT INTO dead_letter (account_id, kind, reason, event, size, not_kept)"
        " SELECT id, kind, '', '', 0, 3 FROM account, unnest(ARRAY['message', 'message', 'receipt']) AS kind"
    )
    counted = http.get("/metrics").text
    assert 'chatwren_dead_letters{kind="message"} 2.0' in counted
    assert 'chatwren_dead_letters_not_kept{kind="receipt"} 3.0' in counted
    server.sql("DELETE FROM dead_letter WHERE kind = 'message'")
    assert 'kind="message"' not in http.get("/metrics").text

    async def away(_: Database) -> None:
        raise TimeoutError

    monkeypatch.setattr("chatwren.web.api.health.dead_letters.count", away)
    answer = http.get("/metrics")
    assert (answer.status_code, "chatwren_http_requests_total" in answer.text) == (200, True)


def test_health(http: httpx.Client, server: WebServer) -> None:
    assert http.get("/health/live").json() == http.get("/health/ready").json() == {"status": "ok"}
    ((version,),) = server.sql("SELECT version_num FROM alembic_version")
    server.sql("UPDATE alembic_version SET version_num = 'another'")
    try:
        answer = http.get("/health/ready")
        _is_documented(answer, 503)
        assert "chatwren migrate" in answer.json()["message"]
    finally:
        server.sql("UPDATE alembic_version SET version_num = $1", version)
