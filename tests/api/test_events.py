"""Server-sent events: who hears of what, and that a process can end under them."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from chatwren.store.database import CHANGED, Database
from tests.api.conftest import Person
from tests.api.server import WebServer


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


def test_without_a_session_there_is_no_stream(http: httpx.Client) -> None:
    assert http.get("/api/events").status_code == 401


def _hint(person: Person) -> None:
    async def hint(db: Database) -> None:
        db.hint(CHANGED, {person.id})

    person.server.run(hint)
