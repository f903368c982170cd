"""What one connection carries: requests one after the other, and what comes around a body."""

import contextlib
import re
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatwren.web.http.protocol import (
    MAX_AHEAD_BYTES,
    MAX_BLANK_BYTES,
    MAX_BLANK_LINES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_UNREAD_BYTES,
    BoundedProtocol,
)
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer
from tests.api.wire import read_until, rest
from tests.waiting import wait_until

SOON = 5.0
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
WRONG = b'{"username": "nobody", "password": "wrong"}'


def _head(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers, "", "")).encode()


LOGIN = _head("POST /api/auth/login", f"Content-Length: {len(WRONG)}") + WRONG


def _chunked(line: str, *headers: str, body: bytes = WRONG, trailer: bytes) -> bytes:
    return _head(line, *headers, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (
        len(body),
        body,
        trailer,
    )


def _connect(server: WebServer) -> "contextlib.closing[socket.socket]":
    return contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=30))


def _statuses(got: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)]


def _protocols(server: WebServer) -> list[BoundedProtocol]:
    return list(server.app.state.connections._clients)


@pytest.fixture(autouse=True)
def _no_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger sends, the server logs it as no error of ours."""
    yield
    assert [one.getMessage() for one in caplog.records if one.levelname in {"ERROR", "CRITICAL"}] == []


@pytest.mark.parametrize(
    ("before", "endless"),
    [
        (b"0\r\n", b"a:b\r\n" * 2_000),
        (b"0\r\nX: ", b"y" * 10_000),
        (b"0\r\n", b"x" * 10_000),
        (b"1;", b"x" * 10_000),
        (b"1\r\nx\r\n1;a=", b"x" * 10_000),
        (b"0\r\nConnection: ", b"a," * 5_000),
    ],
)
def test_what_follows_a_head_and_is_no_body_has_an_end(before: bytes, endless: bytes, server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(_head("POST /api/auth/login", "Transfer-Encoding: chunked", "Expect: 100-continue"))
        read_until(one, b"100 Continue")
        one.sendall(before)
        sent = 0
        while sent < 10 * MAX_HEAD_BYTES and not select.select([one], [], [], 0.05)[0]:
            one.sendall(endless)
            sent += len(endless)
        assert sent <= 2 * MAX_HEAD_BYTES
        assert _statuses(rest(one)) == [431]


@pytest.mark.parametrize(
    ("headers", "trailer", "status"),
    [
        ([], "Cookie: {cookie}", 401),
        ([], "COOKIE: {cookie}", 401),
        (["Cookie: {cookie}", "Origin: http://evil.example"], "Origin: http://localhost:1", 403),
        (["Cookie: {cookie}", "Origin: http://evil.example"], "Sec-Fetch-Site: none", 403),
        (["Cookie: {cookie}"], "Host: evil.example", 200),
        (["Cookie: {cookie}"], "Accept: application/problem+json\r\nContent-Type: text/plain", 200),
    ],
)
def test_what_comes_after_the_body_is_no_header(headers: list[str], trailer: str, status: int, alice: Person) -> None:
    given = [one.format(cookie=alice.cookie) for one in headers]
    late = trailer.format(cookie=alice.cookie).encode()
    with _connect(alice.server) as one:
        one.sendall(_chunked("PATCH /api/users/me", *given, "Connection: close", body=b"{}", trailer=late))
        assert _statuses(rest(one)) == [status]


def test_what_comes_after_the_body_says_nothing_about_the_client(
    serve: Callable[..., WebServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    web = serve(trusted_proxies=("127.0.0.1",))
    throttling = web.server._context.throttling
    heard = []
    throttle = throttling.password

    def listening(*given: Any, address: str, **more: Any) -> Any:
        heard.append(address)
        return throttle(*given, address=address, **more)

    monkeypatch.setattr(throttling, "password", listening)
    sent = _chunked("POST /api/auth/login", "X-Forwarded-For: 203.0.113.7", trailer=b"X-Forwarded-For: 198.51.100.9")
    with _connect(web) as one:
        one.sendall(sent)
        read_until(one, b"wrong_credentials")
    assert heard == ["203.0.113.7"]


def test_a_connection_that_a_trailer_ends_has_ended(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(_chunked("POST /api/auth/login", trailer=b"Connection: close") + LIVE)
        assert _statuses(rest(one)) == [401]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_requests_that_come_at_once_are_answered_one_after_the_other(size: int, server: WebServer) -> None:
    chunked = _chunked(
        "POST /api/auth/login", body=b'\r\n\r\n{"username": "",\r\n\r\n "password": ""}', trailer=b"A: b"
    )
    none = _head("POST /api/auth/logout", "Content-Length: 0")
    sent = LIVE + LOGIN + b"\r\n" + LIVE + chunked + none + LOGIN + b"hello\r\n\r\n" + LIVE
    with _connect(server) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(sent), size):
            with contextlib.suppress(ConnectionError):  # what follows what is no HTTP
                one.sendall(sent[at : at + size])
        assert _statuses(rest(one)) == [200, 401, 200, 400, 200, 401, 400]


def test_an_answer_comes_in_one_piece(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(LIVE)
        head, _, body = one.recv(65_536).partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        assert body


def test_what_is_no_http_does_not_overtake_the_answer_to_a_head(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(LIVE.replace(b"GET", b"HEAD") + b"garbage\r\n\r\n")
        assert _statuses(rest(one)) == [200, 400]


def test_what_is_no_http_does_not_overtake_an_answer(alice: Person) -> None:
    alice.link("919876543210")
    body = f'{{"phoneId": "+1234567890", "message": "hello", "scheduledTime": "{ahead(hours=1)}"}}'.encode()
    schedule = _head("POST /api/messages/schedule", f"Cookie: {alice.cookie}", f"Content-Length: {len(body)}") + body
    with _connect(alice.server) as one:
        one.sendall(schedule + LIVE + b"garbage\r\n\r\n")
        assert _statuses(rest(one)) == [200, 200, 400]


def test_a_request_whose_end_is_elsewhere_than_we_thought_is_the_last(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "_end_of_piece", lambda _, seen, _at: len(seen))
    with _connect(server) as one:
        one.sendall(LOGIN + LIVE)
        assert _statuses(rest(one)) == [401]


def test_who_sends_much_ahead_is_answered_once(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(LOGIN + LIVE * (MAX_AHEAD_BYTES // len(LIVE) + 1))
        assert _statuses(rest(one)) == [401]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes the parser was given, by its calls."""
    given: list[int] = []
    parse = HttpToolsProtocol.data_received

    def counting(protocol: HttpToolsProtocol, data: bytes) -> None:
        given.append(len(data))
        parse(protocol, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", counting)
    return given


def test_blank_lines_of_a_body_are_not_asked_about_one_by_one(alice: Person, parsed: list[int]) -> None:
    body = b'{"message": "hello"' + b"\r\n\r\n" * 5_000 + b"}"
    with _connect(alice.server) as one:
        one.sendall(_chunked("POST /api/messages/preview", f"Cookie: {alice.cookie}", body=body, trailer=b"A: b"))
        got = rest(one)
    assert _statuses(got) == [200]
    assert b"connection: close\r\n" in got  # it is not known where the next request would begin
    assert len(parsed) < 5 * MAX_BLANK_LINES


@pytest.mark.parametrize("lines", [MAX_BLANK_LINES - 3, MAX_BLANK_LINES, 1_000])
@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_what_follows_a_body_of_many_blank_lines_is_a_request_of_its_own_or_none(
    size: int, lines: int, alice: Person
) -> None:
    body = b'{"message": "hello"' + b"\r\n" * (lines + 1) + b"}"
    sent = _chunked("POST /api/messages/preview", f"Cookie: {alice.cookie}", body=body, trailer=b"A: b")
    with _connect(alice.server) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # it may have ended before all is sent
            for at in range(0, len(sent), size):
                one.sendall(sent[at : at + size] + (LIVE + b"garbage\r\n\r\n" if at + size >= len(sent) else b""))
        assert _statuses(rest(one)) == ([200, 200, 400] if lines < MAX_BLANK_LINES else [200])


@pytest.mark.parametrize("size", [2, 1_000_000])
def test_empty_lines_before_a_request_are_few(size: int, server: WebServer, parsed: list[int]) -> None:
    few = b"\r\n" * (MAX_BLANK_BYTES // 2)
    for sent, statuses in ((few + LIVE + few + LIVE + few + b"\n", [200, 200, 400]), (few * 1_000 + LIVE, [400])):
        with _connect(server) as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(sent), size):
                    one.sendall(sent[at : at + size])
            assert _statuses(rest(one)) == statuses
    assert sum(parsed) == 2 * len(LIVE)


@pytest.mark.parametrize("line", ["POST /api/auth/login", "GET /api/events"])
def test_once_an_answer_has_begun_little_of_the_chunks_is_parsed(line: str, alice: Person, parsed: list[int]) -> None:
    with _connect(alice.server) as one:
        one.sendall(_head(line, f"Cookie: {alice.cookie}", "Transfer-Encoding: chunked"))
        one.sendall(b"5000\r\n" + b"x" * 0x5000 + b"\r\n")
        read_until(one, b"HTTP/1.1 ")
        begun = sum(parsed)
        for _ in range(10):
            one.sendall(b"1\r\nx\r\n" * (MAX_UNREAD_BYTES // 24))
        one.shutdown(socket.SHUT_WR)
        rest(one)
    assert sum(parsed) <= begun + MAX_UNREAD_BYTES


@pytest.mark.parametrize("follows", [LIVE, LIVE * 2_000, b"garbage\r\n\r\n"])
def test_a_stream_gives_its_place_back_at_once_whatever_follows_it(follows: bytes, alice: Person) -> None:
    places = alice.server.server._context.limits._under_way
    with _connect(alice.server) as one:
        one.sendall(_head("GET /api/events", f"Cookie: {alice.cookie}") + follows)
        read_until(one, b"event: changed")
        assert places
    wait_until(lambda: not places)


@pytest.mark.parametrize("length", ["0" * 5_000, "0" * 5_000 + "2", "9" * 21, "1" * 5_000])
def test_a_length_of_many_digits_is_no_http(length: str, server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(_head("POST /api/auth/login", f"Content-Length: {length}") + b"{}")
        assert _statuses(rest(one)) == [400]


def test_headers_are_so_many(server: WebServer) -> None:
    for more, status in ((0, 200), (1, 431)):
        with _connect(server) as one:
            one.sendall(_head("GET /health/live", "Connection: close", *["A: b"] * (MAX_HEADERS - 3 + more)))
            assert _statuses(rest(one)) == [status]


def test_the_body_of_a_request_that_would_speak_something_else_is_no_request(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(
            _head("POST /api/auth/login", "Connection: upgrade", "Upgrade: h2c", f"Content-Length: {len(LIVE)}")
        )
        with contextlib.suppress(ConnectionError):
            one.sendall(LIVE)
        assert _statuses(rest(one)) == [400]


def test_a_connection_that_waits_keeps_nothing_of_the_request_before(server: WebServer) -> None:
    with _connect(server) as one:
        one.sendall(_head("POST /api/auth/logout", "Content-Length: 60000") + b"x" * 60_000)
        read_until(one, b"Logged out")
        kept = [vars(one) for one in _protocols(server)]
        wait_until(lambda: not any(one[name] for one in kept for name in ("cycle", "scope", "headers")))
        assert server.app.state.memory._total == 0


def test_a_body_that_breaks_off_in_the_middle_of_an_answer_ends_it(alice: Person) -> None:
    with _connect(alice.server) as one:
        one.sendall(_head("GET /api/events", f"Cookie: {alice.cookie}", "Transfer-Encoding: chunked"))
        got = read_until(one, b"event: changed")
        one.sendall(b"zz\r\n")
        assert _statuses(got + rest(one)) == [200]
    wait_until(lambda: not alice.server.server._context.limits._under_way)
