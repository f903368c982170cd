"""Who asks with a message is supposed to be who asked a moment ago; what has changed since then counts all the same."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chatwren.service import sessions as service_sessions
from chatwren.store import sessions
from chatwren.store.database import Connection
from tests.api.conftest import Person, ahead

HELLO = {"phoneId": "+919811111111", "message": "hello"}


@pytest.fixture(autouse=True)
def _a_moment_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_sessions, "_KNOWN_SECONDS", 600)


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, which has just sent something."""
    alice.link("919876543210")
    assert alice.http.post("/api/messages/send", json=HELLO).status_code == 200
    return alice.http


def stored(person: Person) -> int:
    return int(person.server.sql("SELECT count(*) FROM message")[0][0])


def test_nobody_is_asked_for_again(shop: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    get: Callable[..., Any] = sessions.get

    async def noting(connection: Connection, hashes: list[bytes]) -> Any:
        asked.extend(hashes)
        return await get(connection, hashes)

    monkeypatch.setattr(sessions, "get", noting)
    assert shop.post("/api/messages/send", data=HELLO).status_code == 200
    assert asked == []
    assert shop.get("/api/messages/queue").status_code == 200
    assert len(asked) == 1


@pytest.mark.parametrize("change", ["DELETE FROM session", "UPDATE app_user SET disabled_at = now()"])
@pytest.mark.parametrize(
    "body",
    [
        {"json": HELLO},
        {"json": {"message": "to nobody"}},
        {"content": "{", "headers": {"content-type": "application/json"}},
        {"data": HELLO, "files": {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}},
        {"content": "x", "headers": {"content-type": "text/nothing"}},
    ],
)
def test_whose_session_has_ended_is_told_that_and_nothing_else(
    alice: Person, shop: httpx.Client, body: dict[str, Any], change: str
) -> None:
    alice.server.sql(change)
    assert shop.post("/api/messages/send", **body).status_code == 401
    assert stored(alice) == 1


def test_what_holds_an_account_is_told(alice: Person, shop: httpx.Client) -> None:
    alice.server.sql("UPDATE account SET held_reason = 'user', held_since = now()")
    answer = shop.post("/api/messages/send", json=HELLO)
    assert "waits" in answer.json()["warnings"][0], answer.text
    alice.server.sql("UPDATE account SET held_reason = NULL, held_since = NULL")
    assert "warnings" not in shop.post("/api/messages/send", json=HELLO).json()
    assert stored(alice) == 3


def test_a_time_is_of_the_zone_that_is_set_now(alice: Person, shop: httpx.Client) -> None:
    times = []
    for zone in ("Asia/Kolkata", "Europe/Berlin"):
        alice.server.sql("UPDATE app_user SET time_zone = $1", zone)
        answer = shop.post("/api/messages/schedule", json=HELLO | {"scheduledTime": ahead(days=2)[:16]})
        times.append(answer.json()["scheduledFor"])
    assert times[0] < times[1]


def test_whoever_was_refused_is_judged_anew(alice: Person) -> None:
    assert alice.http.post("/api/messages/send", json=HELLO).status_code == 409
    alice.link("919876543210")
    assert alice.http.post("/api/messages/send", json=HELLO).status_code == 200
