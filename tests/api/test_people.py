"""Passwords that are changed or refused, names that look like others', and a closed registration."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chatwren.domain.errors import Conflict, Invalid
from chatwren.service import users, users_admin
from tests.api.conftest import PASSWORD, Person
from tests.api.server import WebServer
from tests.api.test_auth import window_begins  # noqa: F401 - a fixture

NEW = "three words or more"
JOHN = {
    "name": "John Doe",
    "phone": "+1234567890",
    "email": "john@example.com",
    "username": "johndoe",
    "password": "securePassword123",
}


def _register(client: httpx.Client, **changes: str) -> httpx.Response:
    return client.post("/api/auth/register", json={**JOHN, **changes})


def _login(client: httpx.Client, password: str, username: str = "alice") -> int:
    return client.post("/api/auth/login", json={"username": username, "password": password}).status_code


def _change(person: Person, current: str = PASSWORD, new: str = NEW) -> httpx.Response:
    return person.http.post("/api/users/me/password", json={"currentPassword": current, "newPassword": new})


def test_a_changed_password_ends_all_other_sessions(alice: Person, bob: Person, server: WebServer) -> None:
    with server.client() as other, server.client() as stranger:
        assert _login(other, PASSWORD) == 200
        answer = _change(alice)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "ended": 1})
        assert [one.get("/api/users/me").status_code for one in (alice.http, other, bob.http)] == [200, 401, 200]
        assert (_login(stranger, PASSWORD), _login(stranger, NEW)) == (401, 200)


def test_a_wrong_current_password_changes_nothing(alice: Person, server: WebServer) -> None:
    answer = _change(alice, current="wrong")
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    with server.client() as stranger:
        assert _login(stranger, PASSWORD) == 200


@pytest.mark.usefixtures("window_begins")
def test_guesses_at_the_current_password_are_counted_before_they_are_compared(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []
    monkeypatch.setattr(users, "_verify", lambda *given: compared.append(given))
    answers = [_change(alice, current="wrong").status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert len(compared) == 10


@pytest.mark.parametrize("new", ["short", "password", "alice123", "        "])
def test_a_weak_new_password_is_refused(alice: Person, new: str) -> None:
    answer = _change(alice, new=new)
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, ["newPassword"])


@pytest.mark.parametrize("password", ["password", "        ", "johndoe1", "iloveyou", "John Doe", "1234567890"])
def test_a_password_that_is_tried_first_is_refused(http: httpx.Client, server: WebServer, password: str) -> None:
    answer = _register(http, password=password)
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, ["password"])
    assert server.sql("SELECT count(*) FROM app_user") == [(0,)]


def test_a_name_that_looks_like_another_s_is_taken(http: httpx.Client, server: WebServer) -> None:
    assert _register(http).status_code == 200
    for name in ("j\u043ehndoe", "johnd0e", "JohnDoe"):
        answer = _register(http, username=name)
        assert (answer.status_code, answer.json()["code"]) == (409, "username_taken"), name
    assert "too like" in _register(http, username="johnd0e").json()["message"]
    assert server.sql("SELECT username FROM app_user") == [("johndoe",)]


def test_the_widest_name_is_one(http: httpx.Client) -> None:
    assert _register(http, username="\ufdfa" * 64).status_code == 200, "64 characters that stand for 1,152"


def test_names_of_before_go_on_and_are_known_by_their_looks(
    person: Callable[[str], Person], http: httpx.Client, server: WebServer
) -> None:
    """Two that look the same existed already: both log in, and there is no third."""
    person("m\u0430ry"), person("mary")
    assert _login(http, PASSWORD, "m\u0430ry") == _login(http, PASSWORD, "mary") == 200
    server.run(users.note_looks)
    server.run(users.note_looks)
    assert server.sql("SELECT username FROM app_user WHERE username_skeleton IS NULL") == [("mary",)]
    assert _register(http, username="rn\u0430ry").status_code == 409
    assert _login(http, PASSWORD, "m\u0430ry") == _login(http, PASSWORD, "mary") == 200
    server.sql("DELETE FROM app_user WHERE username <> 'mary'")
    server.run(users.note_looks)
    assert _register(http, username="m\u0430ry").status_code == 409


def test_registration_can_be_closed(serve: Callable[..., WebServer], server: WebServer) -> None:
    with serve(registration="closed").client() as client:
        answer = _register(client)
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")
        made = {"username": "johndoe", "name": "John Doe", "phone": "+1 234 567 890", "email": "john@example.com"}
        password = server.run(lambda db: users_admin.create(db, **made))
        assert _login(client, password, "JohnDoe") == 200
        with pytest.raises(Conflict):
            server.run(lambda db: users_admin.create(db, **{**made, "username": "j\u043ehndoe"}))
        with pytest.raises(Invalid):
            server.run(lambda db: users_admin.create(db, **{**made, "phone": "no number"}))
