"""Bodies that never end: what all of them hold is bounded, and whoever holds most makes room."""

import asyncio
import contextlib
import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatwren.domain.caller import Caller
from chatwren.web.http.bodies import FEW_FIELDS_BYTES
from chatwren.web.http.memory import Memory
from tests.api.conftest import Person
from tests.api.test_crowds import process
from tests.waiting import wait_until

MIB = 1024 * 1024
RSS_BYTES = 512 * MIB
_ROOM = 64
"""For so many of them there is room."""


def _head(line: str, *headers: str, length: int) -> bytes:
    common = ("Host: x", "Content-Type: application/json", f"Content-Length: {length}")
    return "\r\n".join((f"{line} HTTP/1.1", *common, *headers, "", "")).encode()


def _connect(port: int) -> "contextlib.closing[socket.socket]":
    return contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=30))


def _begun(port: int, stack: contextlib.ExitStack, person: Person, size: int, *headers: str) -> socket.socket:
    """A request of that many bytes, but for its last, or what could be sent of it."""
    one = stack.enter_context(_connect(port))
    head = _head("POST /api/messages/preview", f"Cookie: {person.cookie}", *headers, length=size)
    with contextlib.suppress(ConnectionError):
        one.sendall(head + b'{"message": "hello", "more": "'.ljust(size - 2, b"x") + b'"')
    return one


def _answer(one: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := one.recv(65536):
            got += piece
            if b"\r\n\r\n" in got and got.endswith(b"}"):
                break
    return got


def _answered(one: socket.socket, seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(one, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _rss(pid: int) -> int:
    return 1024 * int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True).stdout)


@pytest.mark.parametrize(
    "line",
    [
        "POST /api/auth/register",
        "POST /api/auth/login",
        "PATCH /api/users/me",
        "POST /api/users/me/password",
        "POST /api/messages/cancel",
        "POST /api/whatsapp/paircode",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_fields_of_which_none_is_a_message_are_few(line: str, kind: str, alice: Person) -> None:
    for size, status in ((FEW_FIELDS_BYTES + 1, b" 413 "), (FEW_FIELDS_BYTES, None)):
        with _connect(alice.server.port) as one:
            head = _head(line, f"Cookie: {alice.cookie}", length=size)
            one.sendall(head.replace(b"application/json", kind.encode()))
            if status:
                assert status in _answer(one)
            else:
                assert not _answered(one, 0.1)


def test_whoever_holds_most_makes_room_and_is_told(alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: Memory = alice.server.app.state.memory
    monkeypatch.setattr(memory, "_most", MIB)
    port = alice.server.port
    with contextlib.ExitStack() as stack:
        of_bob = _begun(port, stack, bob, 350_000, "Connection: close")
        first, *others = [_begun(port, stack, alice, 250_000) for _ in range(3)]
        refused = _answer(first)
        assert re.match(rb"HTTP/1.1 503 (?s:.)*retry-after: 5\r\n(?s:.)*memory_full", refused), refused
        assert not any(_answered(one, 0.1) for one in (of_bob, *others))
        of_bob.sendall(b"}")
        assert _answer(of_bob).startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: not memory._by and not memory._total)


def _get(port: int, stack: contextlib.ExitStack, person: Person, path: str, *headers: str) -> socket.socket:
    """A request of which an answer has begun to come, and that takes no more than a little of it."""
    one = stack.enter_context(contextlib.closing(socket.socket()))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(30)
    one.connect(("127.0.0.1", port))
    one.sendall("\r\n".join((f"GET {path} HTTP/1.1", "Host: x", f"Cookie: {person.cookie}", *headers, "", "")).encode())
    assert _answered(one, 30)
    return one


def _rest(one: socket.socket) -> bytes:
    got = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := one.recv(65536):
            got += piece
    return bytes(got)


def _has_room(person: Person) -> bool:
    """Whether somebody else's request of some size is answered, and a health check."""
    checked = person.http.get("/health/live").status_code
    return (
        checked
        == person.http.post("/api/messages/preview", json={"message": "hello", "more": "x" * 30_000}).status_code
        == 200
    )


def test_a_body_that_nobody_asked_for_holds_nothing(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory: Memory = alice.server.app.state.memory
    monkeypatch.setattr(memory, "_most", MIB)
    size = MIB - 20_000
    with contextlib.ExitStack() as stack:
        one = _get(alice.server.port, stack, alice, "/api/events", f"Content-Length: {size}")
        one.sendall(bytes(size))
        assert all(_has_room(bob) for _ in range(20))  # meanwhile it comes whole
        assert memory._total < MIB // 16


def test_streams_make_room_as_bodies_do(alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alice.server.app.state.memory, "_most", MIB)
    padding = [f"X-{number}: {'a' * 7_000}" for number in range(4)]
    with contextlib.ExitStack() as stack:
        first, *_, last = [_get(alice.server.port, stack, alice, "/api/events", *padding) for _ in range(8)]
        assert _has_room(bob)
        assert b"event: changed" in _rest(first)
        last.settimeout(0.1)
        with pytest.raises(TimeoutError):
            _rest(last)


def test_answers_that_nobody_reads_make_room(alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.link("919876543210")
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for number in range(100):
        row = {"phoneId": "+1234567890", "message": f"{number} ".ljust(4_000, "\x01"), "scheduledTime": due}
        assert alice.http.post("/api/messages/schedule", json=row).status_code == 200
    path = "/api/messages/queue?limit=100"
    page = len(alice.http.get(path).content)
    memory: Memory = alice.server.app.state.memory
    monkeypatch.setattr(memory, "_most", 2 * page)
    with contextlib.ExitStack() as stack:
        first, *_, last = [_get(alice.server.port, stack, alice, path, "Connection: close") for _ in range(12)]
        assert _has_room(bob)
        assert memory._total <= 2 * page
        assert len(_rest(first)) < page < len(_rest(last))
    wait_until(lambda: not memory._by and not memory._total)


@pytest.fixture
def asked(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Event]:
    """Who asks is known as soon as this is set."""
    event = asyncio.Event()
    sessions = alice.server.server._context.sessions
    caller = sessions.caller

    async def slow(sid: str) -> Caller | None:
        await event.wait()
        return await caller(sid)

    monkeypatch.setattr(sessions, "caller", slow)
    yield event
    alice.server.loop.call_soon_threadsafe(event.set)


@pytest.mark.usefixtures("asked")
def test_for_a_request_that_ended_nothing_more_is_done(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = alice.server.server.server_state.tasks
    monkeypatch.setattr(alice.server.app.state.memory, "_most", 100_000)
    with _connect(alice.server.port) as one:
        head = _head("POST /api/messages/preview", f"Cookie: {alice.cookie}", length=200_000)
        one.sendall(head)
        wait_until(lambda: bool(tasks))
        one.sendall(bytes(150_000))
        assert b" 503 " in _answer(one)
        wait_until(lambda: not tasks)


def test_what_is_done_for_who_has_gone_counts_until_it_is_done(alice: Person, asked: asyncio.Event) -> None:
    server = alice.server
    with _connect(server.port) as one:
        one.sendall(_head("POST /api/messages/preview", f"Cookie: {alice.cookie}", length=20) + bytes(20))
        wait_until(lambda: bool(server.server.server_state.tasks))
    wait_until(lambda: all(by is None for by in server.app.state.memory._by.values()))
    assert server.app.state.memory._total > 0
    server.loop.call_soon_threadsafe(asked.set)
    wait_until(lambda: server.app.state.memory._total == 0)


def test_files_are_held_only_until_they_are_written(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: Memory = alice.server.app.state.memory
    monkeypatch.setattr(memory, "_most", 2 * MIB)
    alice.link("919876543210")
    files = {"mediaFile": ("big.pdf", b"%PDF-1.7\n" + bytes(12 * MIB), "application/pdf")}
    sent = alice.http.post("/api/messages/send", data={"phoneId": "+1234567890"}, files=files)
    assert sent.status_code == 200, sent.text
    ignored = {"unknown": ("big.bin", bytes(12 * MIB), "application/octet-stream")}
    sent = alice.http.post("/api/messages/send", data={"phoneId": "+1234567890", "message": "hi"}, files=ignored)
    assert (sent.status_code, sent.json()["code"]) == (400, "invalid"), sent.text
    row = b'{"phoneId": "+1234567890", "message": "hello"}'
    rows = b"\n".join([row + b" " * 10_000] * 500)
    typed = {"content-type": "application/x-ndjson"}
    sent = alice.http.post("/api/messages/bulk", content=rows, headers=typed)
    assert sent.status_code == 200, sent.text


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("networks", [1, 8])
def test_five_hundred_bodies_that_never_end_stay_within_half_a_gigabyte(
    networks: int, alice: Person, bob: Person, tmp_path: Path
) -> None:
    with (
        process(alice.server, tmp_path, CHATWREN_TRUSTED_PROXIES="127.0.0.1") as (port, pid),
        contextlib.ExitStack() as stack,
    ):
        of_bob = _begun(port, stack, bob, 10_000, "X-Forwarded-For: 198.51.100.1")
        crowd = [
            _begun(port, stack, alice, MIB, f"X-Forwarded-For: 203.0.113.{number % networks}") for number in range(500)
        ]
        rss = 0
        deadline = time.monotonic() + 60
        while sum(_answered(one) for one in crowd) < len(crowd) - _ROOM and time.monotonic() < deadline:
            rss = max(rss, _rss(pid))
            time.sleep(0.05)
        assert not _answered(of_bob)
        of_bob.sendall(b"}")
        assert _answer(of_bob).startswith(b"HTTP/1.1 200 ")
    print(f"{networks} networks: {rss / MIB:.0f} MiB")  # noqa: T201
    assert 0 < rss < RSS_BYTES
