"""Where a user is logged in, and ending it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chatwren.domain.limits import Limit
from chatwren.service import users_admin
from tests.api.conftest import PASSWORD, Person
from tests.api.server import WebServer
from tests.api.test_whatsapp import _pair


@pytest.fixture
def log_in(server: WebServer) -> Iterator[Callable[[Person], httpx.Client]]:
    """Another browser of a person."""
    clients = []

    def do(person: Person) -> httpx.Client:
        client = server.client()
        clients.append(client)
        answer = client.post("/api/auth/login", json={"username": person.username, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client

    yield do
    for client in clients:
        client.close()


def _sessions(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/users/me/sessions").json()["sessions"]
    return found


def _in(client: httpx.Client) -> bool:
    return client.get("/api/users/me").status_code == 200


def test_the_list_names_each_by_an_id_that_opens_nothing(
    alice: Person, bob: Person, log_in: Callable[[Person], httpx.Client]
) -> None:
    other = log_in(alice)
    found = _sessions(alice.http)
    assert [one["current"] for one in found] == [True, False]
    assert [one["id"] for one in _sessions(other)] == [one["id"] for one in reversed(found)]
    assert len(_sessions(bob.http)) == 1
    assert set(found[0]) == {"id", "createdAt", "lastSeenAt", "current"}
    hashes = {value.hex() for (value,) in alice.server.sql("SELECT sid_hash FROM session")}
    for one in found:
        assert one["id"] not in alice.cookie
        assert not any(one["id"] in value for value in hashes)


def test_the_others_end_and_this_one_stays(
    alice: Person, bob: Person, log_in: Callable[[Person], httpx.Client]
) -> None:
    others = [log_in(alice), log_in(alice)]
    answer = alice.http.delete("/api/users/me/sessions")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "ended": 2})
    assert [_in(one) for one in (alice.http, bob.http, *others)] == [True, True, False, False]


def test_one_ends_by_its_id(alice: Person, log_in: Callable[[Person], httpx.Client]) -> None:
    other = log_in(alice)
    path = f"/api/users/me/sessions/{_sessions(other)[0]['id']}"
    assert alice.http.delete(path).json() == {"success": True, "ended": 1}
    assert (_in(alice.http), _in(other)) == (True, False)
    assert alice.http.delete(path).status_code == 404
    for wrong in ("%00", "x", "0" * 32, "a" * 5000):
        assert alice.http.delete(f"/api/users/me/sessions/{wrong}").status_code == 404


def test_ended_ones_are_not_listed(alice: Person, log_in: Callable[[Person], httpx.Client]) -> None:
    log_in(alice)
    alice.server.sql(
        "UPDATE session SET last_seen_at = now() - interval '15 days' WHERE sid_hash <>"
        " (SELECT sid_hash FROM session ORDER BY created_at LIMIT 1)"
    )
    assert [one["current"] for one in _sessions(alice.http)] == [True]


def test_beyond_the_limit_the_one_unused_for_longest_ends(
    alice: Person, bob: Person, server: WebServer, log_in: Callable[[Person], httpx.Client]
) -> None:
    server.run(lambda db: users_admin.set_limits(db, "alice", [(Limit.SESSIONS, 3)]))
    first, second = log_in(alice), log_in(alice)
    server.sql("UPDATE session SET last_seen_at = last_seen_at - interval '1 hour'")
    assert _in(alice.http), "used: the eldest by creation, but not unused for longest"
    server.sql(
        "UPDATE session SET last_seen_at = now() WHERE created_at = (SELECT min(created_at) FROM session s"
        " WHERE s.user_id = $1)",
        alice.id,
    )
    third = log_in(alice)
    ended = [not _in(one) for one in (alice.http, first, second, third)]
    assert (ended[0], sum(ended), ended[3]) == (False, 1, False)
    assert _in(bob.http)


# --- what a session has seen of a linking ------------------------------------------------------------------------


def test_with_the_last_session_the_linking_ends(alice: Person, http: httpx.Client) -> None:
    _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    assert http.get(url).text.count("<path") == 3
    assert alice.http.post("/api/auth/logout").status_code == 200
    assert http.get(url).status_code == 404
    ((state, failure, codes),) = alice.server.sql("SELECT state::text, failure, codes FROM pairing")
    assert (state, failure, codes) == ("failed", "abandoned", None)


def test_while_another_session_lives_the_picture_has_another_address(
    alice: Person, http: httpx.Client, log_in: Callable[[Person], httpx.Client]
) -> None:
    other = log_in(alice)
    _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    alice.http.post("/api/auth/logout")
    assert http.get(url).status_code == http.get(url.replace(".svg", ".png")).status_code == 404
    again = other.get("/api/whatsapp/createqr").json()
    assert again["qrCode"] == "2@first"
    assert http.get(again["qrCodeUrl"]).text.count("<path") == 3


def test_a_browser_that_logs_in_as_somebody_else_leaves_too(alice: Person, bob: Person, http: httpx.Client) -> None:
    _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    answer = alice.http.post("/api/auth/login", json={"username": bob.username, "password": PASSWORD})
    assert answer.status_code == 200
    assert http.get(url).status_code == 404


@pytest.mark.parametrize("act", [users_admin.disable, users_admin.reset_password])
def test_what_the_operator_ends_has_no_picture_either(act: Any, alice: Person, http: httpx.Client) -> None:
    _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    alice.server.run(lambda db: act(db, "alice"))
    assert http.get(url).status_code == 404
