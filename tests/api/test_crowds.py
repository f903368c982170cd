"""Crowds at the door: connections that do nothing, clients that drip or do not read, and strangers who guess."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatwren.service import throttling
from chatwren.store.database import Database
from chatwren.web.http.connections import OF_CLIENT, ClientConnections
from chatwren.web.http.memory import Memory
from chatwren.web.http.protocol import STALL_SECONDS
from tests.api.conftest import PASSWORD, Person
from tests.api.server import SECRET, WebServer
from tests.api.test_process import ready
from tests.api.wire import read_until, rest
from tests.waiting import wait_until

LOGIN_SECONDS = 2.0


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def _is_open(connection: socket.socket) -> bool:
    """Whether the server has neither said anything nor closed it."""
    poll = select.poll()  # not select: that ends at 1,024
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


# As a shell begins: 1,024 open files now, and as many as the machine allows on request.
_LOW = (
    "import os, resource, sys; most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
# Who is kept out waits for ever; who has a turn after three others has it late on a machine that is busy.
_PATIENT = (
    "from chatwren.__main__ import main; from chatwren.service import turns\nturns._PATIENCE_SECONDS = 60\nmain()"
)


@contextlib.contextmanager
def process(server: WebServer, data_dir: Path, **more: str) -> Iterator[tuple[int, int]]:
    """A web process of its own on the same database; its port and id."""
    environment = os.environ | {
        "DATABASE_URL": str(server.settings.database_url),
        "CHATWREN_DATA_DIR": str(data_dir),
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_PORT": "0",
        "CHATWREN_DRAIN_SECONDS": "0",
        "CHATWREN_LOG_FORMAT": "json",
    }
    with subprocess.Popen(
        [sys.executable, "-c", _LOW, "-c", _PATIENT, "web"],
        env=environment | more,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            port = int(ready(started)["addresses"][0].rpartition(":")[2])
            reading = threading.Thread(target=started.stderr.read)  # type: ignore[union-attr]
            reading.start()
            yield port, started.pid
        finally:
            started.send_signal(signal.SIGTERM)
        reading.join(30)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("half", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n"])
def test_two_thousand_idle_connections_keep_nobody_out(half: bytes, alice: Person, tmp_path: Path) -> None:
    with process(alice.server, tmp_path) as (port, _), contextlib.ExitStack() as stack:
        crowd = []
        for _ in range(2_000):
            crowd.append(stack.enter_context(contextlib.closing(_connect(port))))
            with contextlib.suppress(ConnectionError):
                crowd[-1].sendall(half)
        began = time.monotonic()
        with contextlib.closing(_connect(port)) as one:
            one.sendall(
                f"GET /api/users/me HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\nConnection: close\r\n\r\n".encode()
            )
            assert b'"alice"' in rest(one)
        assert time.monotonic() - began < LOGIN_SECONDS
        assert sum(_is_open(one) for one in crowd) <= OF_CLIENT


class _Held:
    """A connection that says whether it was closed."""

    def __init__(self) -> None:
        self.closed = self.aborted = False
        self.unsent = 0
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


def _enter(connections: ClientConnections, address: str, count: int) -> list[_Held]:
    made = [_Held() for _ in range(count)]
    assert all(connections.enter(one, address) for one in made)  # type: ignore[arg-type]
    return made


def test_the_one_that_is_idle_for_longest_makes_room() -> None:
    connections = ClientConnections(trusts=lambda _: False, in_all=10_000)
    theirs = _enter(connections, "192.0.2.1", OF_CLIENT)
    others = _enter(connections, "192.0.2.2", 1)
    connections.busy(theirs[0])  # type: ignore[arg-type]
    connections.busy(theirs[1])  # type: ignore[arg-type]
    connections.idle(theirs[1])  # type: ignore[arg-type]
    _enter(connections, "192.0.2.1", OF_CLIENT - 2)
    assert [one.closed for one in theirs] == [False, False, *[True] * (OF_CLIENT - 2)]
    assert not others[0].closed


def test_who_does_not_read_its_answer_leaves_at_once_to_make_room() -> None:
    connections = ClientConnections(trusts=lambda _: False, in_all=2)
    first, second = _enter(connections, "192.0.2.1", 2)
    first.unsent = 1
    _enter(connections, "192.0.2.2", 2)
    assert (first.aborted, first.closed) == (True, False)
    assert (second.aborted, second.closed) == (False, True)


def test_neighbours_in_an_ipv6_network_are_one_client() -> None:
    connections = ClientConnections(trusts=lambda _: False, in_all=10_000)
    first, *_ = _enter(connections, "2001:db8::1", OF_CLIENT)
    _enter(connections, "2001:db8::2", 1)
    assert first.closed


def test_when_all_are_busy_a_new_one_is_refused_until_one_leaves() -> None:
    connections = ClientConnections(trusts=lambda _: False, in_all=3)
    held = _enter(connections, "192.0.2.1", 3)
    for one in held:
        connections.busy(one)  # type: ignore[arg-type]
    assert not connections.enter(_Held(), "192.0.2.2")  # type: ignore[arg-type]
    connections.leave(held[0])  # type: ignore[arg-type]
    connections.leave(held[0])  # type: ignore[arg-type]
    assert connections.enter(_Held(), "192.0.2.2")  # type: ignore[arg-type]
    assert not any(one.closed for one in held)


def test_the_clients_of_a_trusted_proxy_are_many_and_all_together_are_bounded() -> None:
    connections = ClientConnections(trusts=lambda address: str(address) == "192.0.2.1", in_all=OF_CLIENT + 10)
    behind = _enter(connections, "192.0.2.1", OF_CLIENT + 10)
    assert not any(one.closed for one in behind)
    _enter(connections, "192.0.2.2", 3)
    assert [one.closed for one in behind[:4]] == [True, True, True, False]


def test_a_connection_without_room_is_told(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientConnections, "enter", lambda *_: False)
    with contextlib.closing(_connect(server.port)) as one:
        got = rest(one)
    assert got.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5\r\n" in got
    assert b"too_many_connections" in got


def test_what_answers_leave_is_idle_again(alice: Person) -> None:
    app = alice.server.server.config.app
    connections: ClientConnections = app.state.connections  # type: ignore[union-attr]
    with contextlib.closing(_connect(alice.server.port)) as one:
        for _ in range(2):
            one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(one, b'"ok"')
        wait_until(lambda: set(connections._clients) == set(connections._idle))
    wait_until(lambda: not connections._clients)


def test_the_rest_of_a_body_that_nobody_reads_ends_the_connection(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.protocol._REST_SECONDS", 0.2)
    with contextlib.closing(_connect(server.port)) as one:
        one.sendall(b"POST /api/users/me HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nx")
        with pytest.raises(ConnectionError):
            wait_until(lambda: one.sendall(b"x"))


def test_a_body_whose_answer_did_not_wait_for_it_may_end_and_the_connection_goes_on(server: WebServer) -> None:
    with contextlib.closing(_connect(server.port)) as one:
        one.sendall(b"POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
        read_until(one, b"Logged out")
        one.sendall(b"56789GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(one, b'"ok"')


def test_a_body_that_came_after_its_answer_gives_the_next_one_no_more_time(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.bodies._SILENCE_SECONDS", 0.5)
    with contextlib.closing(_connect(server.port)) as one:
        one.sendall(b"POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        read_until(one, b"Logged out")
        one.sendall(b"1POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        read_until(one, b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut_off(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwren.web.http.protocol.STALL_SECONDS", 0.2)
    alice.link("919876543210")
    content = b"%PDF-1.7\n" + bytes(12_000_000)
    files = {"mediaFile": ("big.pdf", content, "application/pdf")}
    sent = alice.http.post("/api/messages/send", data={"phoneId": "+1234567890"}, files=files)
    assert sent.status_code == 200, sent.text
    media = alice.http.get("/api/messages/queue").json()["messages"][0]["media"]["id"]
    with contextlib.closing(_connect(alice.server.port)) as one:
        one.sendall(f"GET /api/media/{media} HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\n\r\n".encode())
        app = alice.server.server.config.app
        connections: ClientConnections = app.state.connections  # type: ignore[union-attr]
        wait_until(lambda: len(connections._clients) == 1)  # alice's own


def _unread(server: WebServer, stack: contextlib.ExitStack, *headers: str) -> socket.socket:
    """A long answer on its way to a client that takes little at a time."""
    one = stack.enter_context(contextlib.closing(socket.socket()))
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(30)
    one.connect(("127.0.0.1", server.port))
    one.sendall("\r\n".join(("GET /openapi.json HTTP/1.1", "Host: x", *headers, "", "")).encode())
    return one


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel keeps what it likes")
def test_what_a_client_does_not_read_is_counted_and_not_left_to_the_kernel(server: WebServer) -> None:
    memory: Memory = server.app.state.memory
    with server.client() as client, contextlib.ExitStack() as stack:
        size = len(client.get("/openapi.json").content)
        unread = [_unread(server, stack) for _ in range(5)]
        wait_until(lambda: memory._total > len(unread) * size // 2)
        one, *_ = server.app.state.connections._clients
        inherited = one.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert inherited == STALL_SECONDS * 1000
    wait_until(lambda: not memory._total)


def test_a_client_that_reads_slowly_gets_its_answer_whole(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwren.web.http.protocol.STALL_SECONDS", 1.0)
    with contextlib.ExitStack() as stack:
        one = _unread(server, stack, "Connection: close")
        got = b""
        while piece := one.recv(6_000):
            got += piece
            time.sleep(0.08)  # two or three seconds in all
    head, _, body = got.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}" in head.decode()


def _dripping(server: WebServer, head: str, piece: bytes) -> bytes:
    """What is answered to somebody who sends a piece now and then."""
    with contextlib.closing(_connect(server.port)) as one:

        def drips_on() -> bool:
            one.sendall(piece)
            return _is_open(one)

        one.sendall(head.encode())
        with contextlib.suppress(ConnectionError):
            wait_until(lambda: not drips_on())
        return rest(one)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n", b"{"),
        ("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        ("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000\r\n\r\n", b"-"),
    ],
)
def test_a_body_that_drips_ends_the_request(
    head: str, piece: bytes, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwren.web.http.bodies._GRACE_SECONDS", 0.5)
    head = f"PATCH /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {alice.cookie}\r\n{head}"
    got = _dripping(alice.server, head, piece)
    assert got.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")), got  # 400: what dripped was no multipart
    if b"boundary" not in head.encode():
        assert got.startswith(b"HTTP/1.1 408 ")


def test_a_head_that_drips_ends_the_connection(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwren.web.http.protocol._HEAD_SECONDS", 0.5)
    assert _dripping(server, "GET / HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n").startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
def test_a_chunked_body_without_a_length_is_bounded(content_type: str, alice: Person) -> None:
    head = (
        f"PATCH /api/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {alice.cookie}\r\n"
        f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    begin = b'--b\r\nContent-Disposition: form-data; name="timeZone"\r\n\r\n' if "multipart" in content_type else b"a"
    with contextlib.closing(_connect(alice.server.port)) as one:
        one.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(begin), begin))
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                one.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                if not _is_open(one):
                    break
        got = rest(one)
    assert got.startswith(b"HTTP/1.1 413 "), got


def _login_request(username: str, password: str, address: str, cookie: str = "") -> bytes:
    return _post("/api/auth/login", {"username": username, "password": password}, address, cookie)


def _post(path: str, content: dict[str, str], address: str, cookie: str = "") -> bytes:
    body = json.dumps(content)
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nCookie: {cookie}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def _ask(port: int, request: bytes) -> tuple[int, str, float]:
    """Status, session cookie and seconds of an answer."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    cookie = next((line[12:].partition(";")[0] for line in head.splitlines() if line.startswith("set-cookie: ")), "")
    return int(head.split()[1]), cookie, time.monotonic() - began


@pytest.mark.usefixtures("bob", "charlie")
async def test_a_right_log_in_is_answered_while_a_crowd_guesses(alice: Person, tmp_path: Path) -> None:
    """200 a second, every other one from one address, the rest from 50: all names, and Bob's and Charlie's.

    Alice's browser has a session, at the worst address. Charlie has logged in from his before; it is another.
    """
    with process(alice.server, tmp_path, CHATWREN_TRUSTED_PROXIES="127.0.0.1") as (port, _):
        worst = "203.0.113.1"
        asked: list[asyncio.Task[None]] = []
        statuses: Counter[int] = Counter()
        room = asyncio.Semaphore(60)  # a machine that is busy answers fewer
        over = asyncio.Event()

        async def one_guess(request: bytes) -> None:
            try:
                status, _, _ = await _ask(port, request)
                statuses[status] += 1
            finally:
                room.release()

        async def guess() -> None:
            while not over.is_set():
                await room.acquire()
                number = len(asked)
                address = worst if number % 2 else f"198.51.100.{number // 2 % 50}"
                who = (f"nobody {number}", "alice", "bob", "charlie")[number // 2 % 4]
                asked.append(asyncio.create_task(one_guess(_login_request(who, "wrong", address))))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 1 / 200)

        status, _, _ = await _ask(port, _login_request("charlie", PASSWORD, "192.0.2.9"))
        assert status == 200
        guessing = asyncio.create_task(guess())
        overtaken = []
        cookie = alice.cookie
        for _ in range(12):
            for request in (
                _login_request("alice", PASSWORD, worst, cookie),
                _login_request("charlie", PASSWORD, "192.0.2.9"),
            ):
                before = statuses[401]
                status, given, _ = await _ask(port, request)
                assert status == 200
                cookie = given if b"alice" in request else cookie
                overtaken.append(statuses[401] - before)
        over.set()
        await guessing
        await asyncio.gather(*asked)
    print(f"{len(asked)} guesses: {dict(statuses)}; up to {max(overtaken)} of them before one that was right")  # noqa: T201
    assert {401} <= statuses.keys() <= {401, 429, 503}
    assert max(overtaken) < 10  # half of those that wait
    # By user and network ten guesses were compared at most.
    compared = alice.server.sql("SELECT count FROM throttle ORDER BY count DESC")
    assert sum(count > 10 for (count,) in compared) <= 51


@pytest.mark.usefixtures("bob")
@pytest.mark.parametrize("way", ["with its session", "without", "changes"])
async def test_a_tenant_who_is_always_at_the_door_keeps_nobody_out(way: str, charlie: Person, tmp_path: Path) -> None:
    """Charlie's sixteen loops give the right password. Bob is known at the same address, Dora signs up."""
    with process(charlie.server, tmp_path, CHATWREN_TRUSTED_PROXIES="127.0.0.1") as (port, _):
        busy, over = asyncio.Event(), asyncio.Event()
        statuses: Counter[int] = Counter()
        sessions: list[str] = []
        for _ in range(16):
            status, cookie, _ = await _ask(port, _login_request("charlie", PASSWORD, "203.0.113.1"))
            assert status == 200
            sessions.append(cookie)

        async def loop(cookie: str) -> None:
            same = {"currentPassword": PASSWORD, "newPassword": PASSWORD}
            while not over.is_set():
                if way == "changes":
                    request = _post("/api/users/me/password", same, "203.0.113.1", sessions[0])
                else:
                    request = _login_request("charlie", PASSWORD, "203.0.113.1", cookie if "with its" in way else "")
                status, given, _ = await _ask(port, request)
                statuses[status] += 1
                if statuses.total() == len(sessions):
                    busy.set()
                cookie = given or cookie
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0 if status == 200 else 0.02)

        async def three(requests: list[bytes]) -> list[int]:
            return [(await _ask(port, request))[0] for request in requests]

        status, _, _ = await _ask(port, _login_request("bob", PASSWORD, "203.0.113.1"))
        assert status == 200
        loops = [asyncio.create_task(loop(cookie)) for cookie in sessions]
        await busy.wait()
        dora = {"name": "Dora", "phone": "+1234567890", "email": "dora@example.com", "password": "securePassword123"}
        bobs, doras = await asyncio.gather(
            three([_login_request("bob", PASSWORD, "203.0.113.1")] * 3),
            three([_post("/api/auth/register", dora | {"username": f"dora{n}"}, "192.0.2.10") for n in range(3)]),
        )
        over.set()
        await asyncio.gather(*loops)
    assert (bobs, doras) == ([200] * 3, [200] * 3), statuses


@pytest.mark.parametrize("way", ["known there", "with sessions"])
async def test_many_users_of_one_network_keep_nobody_of_another_out(
    way: str, person: Callable[[str], Person], bob: Person, tmp_path: Path
) -> None:
    """Each of thirty has a loop that gives the right password. Bob is known in his network, as they are in theirs."""
    crowd = [person(f"user{number}") for number in range(30)]
    theirs, bobs = "203.0.113.1", "192.0.2.9"

    async def know(db: Database) -> None:
        async with db.transaction() as connection:
            for one in crowd:
                await throttling.remember(connection, one.id, theirs)
            await throttling.remember(connection, bob.id, bobs)

    bob.server.run(know)
    with process(bob.server, tmp_path, CHATWREN_TRUSTED_PROXIES="127.0.0.1") as (port, _):
        busy, over = asyncio.Event(), asyncio.Event()
        statuses: Counter[int] = Counter()

        async def loop(username: str, cookie: str) -> None:
            while not over.is_set():
                status, given, _ = await _ask(port, _login_request(username, PASSWORD, theirs, cookie))
                statuses[status] += 1
                if statuses[503] > len(crowd):
                    busy.set()
                cookie = cookie and (given or cookie)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0 if status == 200 else 0.02)

        signed = way == "with sessions"
        loops = [asyncio.create_task(loop(one.username, one.cookie if signed else "")) for one in crowd]
        await busy.wait()
        answers = []
        cookie = bob.cookie if signed else ""
        for _ in range(5):
            status, given, _ = await _ask(port, _login_request("bob", PASSWORD, bobs, cookie))
            answers.append(status)
            cookie = cookie and given
        over.set()
        await asyncio.gather(*loops)
    assert answers == [200] * 5, statuses
