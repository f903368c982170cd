"""Server-sent events: who hears of what, and that a process can end under them."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from chatwren.domain.limits import BOUNDS, Limit
from chatwren.store.database import Database, Topic
from tests.api.conftest import Person
from tests.api.server import WebServer
from tests.waiting import wait_until


def _events(lines: Iterator[str]) -> Iterator[str]:
    return (line.removeprefix("event: ") for line in lines if line.startswith("event: "))


def test_a_listener_hears_at_once_and_of_each_change(alice: Person) -> None:
    alice.link("919876543210")
    with alice.http.stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = _events(answer.iter_lines())
        assert next(events) == "changed"
        alice.http.post("/api/messages/send", json={"phoneId": "+1234567890", "message": "x"})
        assert next(events) == "changed"


def test_charlie_hears_nothing_of_alice(alice: Person, charlie: Person) -> None:
    with charlie.http.stream("GET", "/api/events", timeout=1) as answer:
        events = _events(answer.iter_lines())
        assert next(events) == "changed"
        _hint(alice)
        with pytest.raises(httpx.ReadTimeout):
            next(events)


def test_a_stream_ends_with_its_session(alice: Person) -> None:
    with alice.http.stream("GET", "/api/events") as answer:
        events = _events(answer.iter_lines())
        assert next(events) == "changed"
        assert alice.http.post("/api/auth/logout", headers={"cookie": alice.cookie}).status_code == 200
        _hint(alice)
        assert list(events) == []


def test_a_process_that_ends_ends_its_streams(alice: Person, serve: Callable[..., WebServer]) -> None:
    web = serve()
    with web.client(headers={"cookie": alice.cookie}) as client, client.stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        web.loop.call_soon_threadsafe(web.server.stop)
        assert all("event" in line or not line or line.startswith(("data", "retry")) for line in lines)


def test_a_listener_who_sends_a_body_byte_by_byte_listens_on(alice: Person) -> None:
    with closing(socket.create_connection(("127.0.0.1", alice.server.port), timeout=30)) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"GET /api/events HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\nContent-Length: 9000\r\n\r\n"
        one.sendall(head.encode())
        lines = one.makefile("rb")
        assert b"event: changed\n" in lines
        for _ in range(1_200):
            one.sendall(b"x")
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001), alice.server.loop).result()  # it has read that
        _hint(alice)
        assert b"event: changed\n" in lines


def _listening(person: Person, stack: ExitStack) -> Iterator[str]:
    """The events of one more stream, which is open as long as `stack`."""
    answer = stack.enter_context(person.http.stream("GET", "/api/events"))
    assert answer.status_code == 200
    events = _events(answer.iter_lines())
    assert next(events) == "changed"
    return events


def test_a_user_has_so_many_streams_and_others_have_theirs(alice: Person, bob: Person) -> None:
    allowed = BOUNDS[Limit.EVENT_STREAMS].default
    with ExitStack() as stack:
        held = [_listening(alice, stack) for _ in range(allowed)]
        refused = alice.http.get("/api/events")
        told = refused.json()
        assert (refused.status_code, told["limit"], told["allowed"]) == (429, "event_streams", allowed)
        assert alice.http.get("/api/users/me").status_code == 200
        held.append(_listening(bob, stack))
    limits = alice.server.server._context.limits
    wait_until(lambda: not limits._under_way)  # the process has noticed that they are gone
    with ExitStack() as stack:
        _listening(alice, stack)


def test_many_streams_that_begin_at_the_same_moment_are_not_more(alice: Person) -> None:
    head = f"GET /api/events HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\n\r\n".encode()
    allowed = BOUNDS[Limit.EVENT_STREAMS].default
    with ExitStack() as stack:
        all_of_them = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", alice.server.port), timeout=30)))
            for _ in range(4 * allowed)
        ]
        for one in all_of_them:
            one.sendall(head)
        begun = []
        for one in all_of_them:
            got = b""
            while not (b"event: changed" in got or b'"limit"' in got or b"\r\n0\r\n\r\n" in got):
                got += one.recv(65536)
            begun.append(b"event: changed" in got)
        assert sum(begun) == allowed


def test_without_a_session_there_is_no_stream(http: httpx.Client) -> None:
    assert http.get("/api/events").status_code == 401


def _hint(person: Person) -> None:
    async def hint(db: Database) -> None:
        async with db.connection() as connection:
            connection.tell(Topic.MESSAGES, {person.id})

    person.server.run(hint)
