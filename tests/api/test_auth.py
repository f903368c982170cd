"""Signing up, logging in and out, and what ends a session."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chatwren.domain import clock
from chatwren.service import users
from chatwren.service.turns import Turns
from tests.api.conftest import PASSWORD, Person
from tests.api.server import WebServer

REGISTRATION = {
    "name": "Dora",
    "phone": "+1234567890",
    "email": "dora@example.com",
    "username": "Dora",
    "password": "securePassword123",
}


@pytest.fixture
def window_begins() -> Iterator[None]:
    """The clock stands at the beginning of a quarter of an hour, so that no throttle's window ends within the test."""
    now = datetime.now(UTC)
    clock.shift(timedelta(minutes=15) - (now - datetime.min.replace(tzinfo=UTC)) % timedelta(minutes=15))
    yield
    clock.shift(timedelta())


def _login(client: httpx.Client, username: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/auth/login", json={"username": username, "password": password})


def test_registering_logs_in(http: httpx.Client) -> None:
    assert http.post("/api/auth/register", json=REGISTRATION).status_code == 200
    assert http.get("/api/users/me").json() == {
        "id": http.get("/api/users/me").json()["id"],
        "name": "Dora",
        "email": "dora@example.com",
        "username": "Dora",
        "phone": "+1234567890",
        "gst": "",
        "timeZone": None,
    }


@pytest.mark.parametrize("username", ["alice", "ALICE", " Alice "])
def test_a_user_name_is_unique_without_case(username: str, alice: Person, http: httpx.Client) -> None:
    answer = http.post("/api/auth/register", json={**REGISTRATION, "username": username})
    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")
    assert "set-cookie" not in answer.headers
    assert alice.http.get("/api/users/me").json()["name"] == "Alice"


def test_nothing_else_is_unique(http: httpx.Client) -> None:
    for username in ("dora", "emil"):
        assert http.post("/api/auth/register", json={**REGISTRATION, "username": username}).status_code == 200


@pytest.mark.parametrize("empty", ["", " ", None])
def test_an_empty_sign_up_is_told_what_each_field_takes(empty: str | None, http: httpx.Client) -> None:
    answer = http.post("/api/auth/register", json=dict.fromkeys(REGISTRATION, empty))
    assert answer.status_code == 400
    told = {one["field"]: one["message"] for one in answer.json()["errors"]}
    assert told.keys() == REGISTRATION.keys()
    assert told["phone"] == "phone is required: a phone number with country code."
    assert "group" not in answer.json()["message"]
    assert http.post("/api/auth/register").json()["errors"][1]["message"] == told["phone"]


def test_a_gstin_that_fails_its_check_is_kept_with_a_warning(http: httpx.Client) -> None:
    answer = http.post("/api/auth/register", json={**REGISTRATION, "gst": "27aapfu0939f1zw"})
    assert answer.status_code == 200
    assert "27AAPFU0939F1ZW" in answer.json()["warnings"][0]
    assert http.get("/api/users/me").json()["gst"] == "27AAPFU0939F1ZW"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"phone": "not a number"}, "phone"),
        ({"phone": ["+1234567890"]}, "phone"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b." + "c" * 300}, "email"),
        ({"username": ""}, "username"),
        ({"username": {"$ne": None}}, "username"),
        ({"username": "a\u0000b"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": 12345678}, "password"),
        ({"gst": "no dashes-please"}, "gst"),
        ({"gst": 7}, "gst"),
    ],
)
def test_registration_names_the_field_at_fault(change: dict[str, Any], field: str, http: httpx.Client) -> None:
    answer = http.post("/api/auth/register", json={**REGISTRATION, **change})
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert str(change.get("password", "nothing")) not in answer.text


def test_all_fields_at_fault_are_named_at_once(http: httpx.Client) -> None:
    answer = http.post("/api/auth/register", json={})
    assert answer.status_code == 400
    assert {one["field"] for one in answer.json()["errors"]} == {"name", "phone", "email", "username", "password"}


@pytest.mark.parametrize("username", ["alice", "ALICE", "  alice\n"])
def test_logging_in_whatever_the_case(username: str, alice: Person, http: httpx.Client) -> None:
    answer = _login(http, username)
    assert answer.json() == {
        "message": "Login successful",
        "user": {"name": "Alice", "username": "alice", "email": "alice@example.com"},
    }
    assert http.get("/api/users/me").json()["id"] == alice.id.hex


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(alice: Person, http: httpx.Client) -> None:
    wrong, unknown = _login(http, alice.username, "wrong"), _login(http, "nobody", "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_an_unknown_user_takes_as_long_as_a_wrong_password(alice: Person, http: httpx.Client) -> None:
    def least(username: str) -> float:
        return min(_login(http, username, "wrong").elapsed.total_seconds() for _ in range(4))

    assert 0.5 < least("nobody") / least(alice.username) < 2


@pytest.mark.parametrize("body", [{}, {"username": "alice"}, {"password": PASSWORD}, {"username": 7, "password": []}])
def test_logging_in_needs_both(body: dict[str, Any], alice: Person) -> None:
    answer = alice.http.post("/api/auth/login", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"]


@pytest.mark.parametrize(("field", "length"), [("username", 165), ("password", 257)])
def test_what_is_too_long_to_be_right_is_not_looked_at(field: str, length: int, http: httpx.Client) -> None:
    given = {"username": "alice", "password": PASSWORD}
    assert http.post("/api/auth/login", json={**given, field: "x" * (length - 1)}).status_code == 401
    answer = http.post("/api/auth/login", json={**given, field: "x" * length})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_logging_in_again_is_a_new_session_and_ends_the_old(alice: Person) -> None:
    answer = _login(alice.http, "alice")
    assert alice.cookie not in answer.headers["set-cookie"]
    assert alice.http.get("/api/users/me").status_code == 401  # still with the old cookie
    assert len(alice.server.sql("SELECT FROM session")) == 1


def test_two_browsers_have_two_sessions(alice: Person, server: WebServer) -> None:
    with server.client() as phone:
        _login(phone, "alice")
        assert phone.post("/api/auth/logout").status_code == 200
    assert alice.http.get("/api/users/me").status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"x" * 2_000_000])
def test_logout_ignores_its_body_and_needs_no_session(content: bytes, http: httpx.Client) -> None:
    answer = http.post("/api/auth/logout", content=content, headers={"content-type": "application/json"})
    assert answer.json() == {"message": "Logged out successfully"}
    assert answer.headers["set-cookie"].startswith("connect.sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")


@pytest.mark.parametrize(
    "ended",
    [
        "UPDATE session SET last_seen_at = now() - interval '14 days 1 second'",
        "UPDATE session SET created_at = now() - interval '90 days 1 second'",
        "UPDATE app_user SET disabled_at = now()",
        "DELETE FROM session",
        "DELETE FROM app_user",
    ],
)
def test_what_ends_a_session(ended: str, alice: Person) -> None:
    assert alice.http.get("/api/users/me").status_code == 200
    alice.server.sql(ended)
    assert alice.http.get("/api/users/me").status_code == 401


def test_use_keeps_a_session_alive_and_is_noted_now_and_then(alice: Person) -> None:
    seen = "SELECT now() - last_seen_at FROM session"
    alice.server.sql("UPDATE session SET last_seen_at = now() - interval '4 minutes'")
    assert alice.http.get("/api/users/me").status_code == 200
    assert alice.server.sql(seen)[0][0] > timedelta(minutes=4)
    alice.server.sql("UPDATE session SET last_seen_at = now() - interval '13 days'")
    assert alice.http.get("/api/users/me").status_code == 200
    assert alice.server.sql(seen)[0][0] < timedelta(minutes=1)


def test_a_disabled_user_is_told_so_only_with_the_right_password(alice: Person, http: httpx.Client) -> None:
    alice.server.sql("UPDATE app_user SET disabled_at = now()")
    assert _login(http, "alice", "wrong").status_code == 401
    answer = _login(http, "alice")
    assert (answer.status_code, answer.json()["code"]) == (403, "user_disabled")


@pytest.mark.parametrize(
    ("change", "expected"),
    [("password_hash = 'another'", (401, "wrong_credentials")), ("disabled_at = now()", (403, "user_disabled"))],
)
def test_a_log_in_goes_by_what_holds_when_it_ends(
    change: str, expected: tuple[int, str], alice: Person, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _meanwhile(monkeypatch, lambda: alice.server.sql(f"UPDATE app_user SET {change}"))
    answer = _login(http, "alice")
    assert (answer.status_code, answer.json()["code"]) == expected
    assert alice.server.sql("SELECT count(*) FROM session") == [(1,)]  # her other browser's


def test_a_password_is_changed_by_who_knows_the_one_that_holds_then(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    _meanwhile(monkeypatch, lambda: alice.server.sql("UPDATE app_user SET password_hash = 'another'"))
    body = {"currentPassword": PASSWORD, "newPassword": "three more words"}
    answer = alice.http.post("/api/users/me/password", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    assert alice.server.sql("SELECT password_hash FROM app_user") == [("another",)]


@pytest.mark.usefixtures("window_begins")
def test_ten_failures_by_user_and_address(
    alice: Person, bob: Person, serve: Callable[..., WebServer], http: httpx.Client
) -> None:
    for _ in range(10):
        assert _login(http, "alice", "wrong").status_code == 401
    refused = _login(http, "Alice")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 15 * 60
    assert _login(http, bob.username).status_code == 200
    assert alice.http.get("/api/users/me").status_code == 200
    # A stranger at one address must not lock Alice out at another, here behind a proxy; processes count together.
    behind = serve(trusted_proxies=("127.0.0.1",))
    with behind.client(headers={"x-forwarded-for": "203.0.113.7"}) as elsewhere:
        assert _login(elsewhere, "alice").status_code == 200
    with behind.client(headers={"x-forwarded-for": "127.0.0.1"}) as here:
        assert _login(here, "alice").status_code == 429


@pytest.mark.usefixtures("window_begins")
def test_a_throttle_ends_with_its_window(alice: Person, http: httpx.Client) -> None:
    _failures(alice.server, http, 10)
    assert _login(http, "alice").status_code == 429
    # What was counted is of an earlier quarter of an hour.
    alice.server.sql("UPDATE throttle SET window_start = window_start - interval '15 minutes'")
    assert _login(http, "alice").status_code == 200


@pytest.mark.usefixtures("window_begins")
def test_ten_guesses_at_the_same_moment_are_ten(
    alice: Person, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    monkeypatch.setattr(users, "_verify", lambda *given: compared.append(given))
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: _login(http, "alice", "wrong").status_code, range(60)))
        while 503 in answers:  # as they are told: again, a little later
            answers = [one for one in answers if one != 503]
            answers += pool.map(lambda _: _login(http, "alice", "wrong").status_code, range(60 - len(answers)))
    assert len(compared) == 10
    assert sorted(answers) == [401] * 10 + [429] * 50
    assert alice.server.sql("SELECT max(count) FROM throttle") == [(10,)]


@pytest.mark.usefixtures("window_begins")
def test_a_right_password_does_not_count(alice: Person, http: httpx.Client) -> None:
    for _ in range(12):
        assert _login(http, "alice").status_code == 200
    assert alice.server.sql("SELECT DISTINCT count FROM throttle") == [(0,)]


@pytest.mark.usefixtures("window_begins")
def test_a_disabled_users_right_password_does_not_count(alice: Person, http: httpx.Client) -> None:
    alice.server.sql("UPDATE app_user SET disabled_at = now()")
    assert _login(http, "alice").status_code == 403
    assert alice.server.sql("SELECT DISTINCT count FROM throttle") == [(0,)]


@pytest.mark.usefixtures("window_begins")
def test_a_browser_with_a_session_is_not_locked_out_by_strangers_at_its_address(
    alice: Person, bob: Person, http: httpx.Client
) -> None:
    assert _login(http, "alice").status_code == 200
    with alice.server.client() as stranger:
        for _ in range(10):
            assert _login(stranger, "alice", "wrong").status_code == 401
        assert _login(stranger, "alice").status_code == 429
    alice.server.sql("UPDATE throttle SET count = 1000")
    assert _login(http, "alice").status_code == 200
    # Its own failures count, and another's session proves nothing.
    for _ in range(10):
        assert _login(http, "alice", "wrong").status_code == 401
    assert _login(http, "alice").status_code == 429
    assert _login(bob.http, "alice").status_code == 429


@pytest.mark.usefixtures("window_begins")
def test_an_address_of_many_failures_is_slow_for_strangers_and_not_for_who_is_known(
    alice: Person, bob: Person, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[bool] = []
    turn = Turns.turn

    def noted(*one: Any, **given: Any) -> Any:
        slow.append(given["slow"])
        return turn(*one, **given)

    monkeypatch.setattr(Turns, "turn", noted)
    assert _login(http, "alice").status_code == 200  # hence known
    assert http.post("/api/auth/logout").status_code == 200
    assert _login(http, "nobody", "wrong").status_code == 401
    alice.server.sql("UPDATE throttle SET count = CASE count WHEN 1 THEN 100 ELSE count END")
    assert _login(http, "alice").status_code == 200
    assert _login(http, bob.username).status_code == 200
    assert _login(http, "somebody else", "wrong").status_code == 401
    assert slow == [False, False, False, True, True]


def test_who_signs_up_is_known_and_a_few_networks_are_remembered(
    server: WebServer, serve: Callable[..., WebServer]
) -> None:
    with serve(trusted_proxies=("127.0.0.1",)).client(headers={"x-forwarded-for": "203.0.113.7"}) as there:
        assert there.post("/api/auth/register", json=REGISTRATION).status_code == 200
        known = server.sql("SELECT network FROM login_network")
        assert len(known) == 1
        server.sql(
            "INSERT INTO login_network SELECT user_id, n::text::bytea, now() - n * interval '1 hour'"
            " FROM login_network, generate_series(1, 60) n"
        )
        assert _login(there, "dora", REGISTRATION["password"]).status_code == 200
    kept = server.sql("SELECT network FROM login_network ORDER BY seen_at DESC")
    assert (len(kept), kept[0]) == (50, known[0])


def test_too_many_that_wait_are_503(alice: Person, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = alice.server.server._context.throttling._turns
    monkeypatch.setattr(turns, "_most", 0)
    monkeypatch.setattr(turns, "_at_once", 0)
    for answer in (_login(http, "alice"), http.post("/api/auth/register", json=REGISTRATION)):
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.usefixtures("window_begins")
def test_sixty_registrations_a_minute_by_address(http: httpx.Client, server: WebServer) -> None:
    assert http.post("/api/auth/register", json=REGISTRATION).status_code == 200
    server.sql("UPDATE throttle SET count = 60")
    answer = http.post("/api/auth/register", json={**REGISTRATION, "username": "emil"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_neighbours_in_an_ipv6_network_count_as_one(alice: Person, serve: Callable[..., WebServer]) -> None:
    web = serve(trusted_proxies=("127.0.0.0/8",))
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        with web.client(headers={"x-forwarded-for": address}) as client:
            _login(client, "alice", "wrong")
    counts = alice.server.sql("SELECT count FROM throttle ORDER BY count DESC")
    assert counts == [(2,), (2,), (1,), (1,)]


def test_the_time_zone_of_the_profile(alice: Person) -> None:
    changed = alice.http.patch("/api/users/me", json={"timeZone": "asia/kolkata"})
    assert changed.json()["timeZone"] == "Asia/Kolkata"
    assert alice.http.patch("/api/users/me", json={}).json()["timeZone"] == "Asia/Kolkata"
    assert alice.http.get("/api/users/me").json()["timeZone"] == "Asia/Kolkata"
    assert alice.http.patch("/api/users/me", json={"timeZone": "Mars/Olympus"}).status_code == 400
    assert alice.http.patch("/api/users/me", json={"timeZone": None}).json()["timeZone"] is None


def _meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let something happen after a password was compared, before its request goes on."""
    verify = users._verify

    def verified(password_hash: str, password: str) -> bool:
        right = verify(password_hash, password)
        change()
        return right

    monkeypatch.setattr(users, "_verify", verified)


def _failures(server: WebServer, client: httpx.Client, count: int) -> None:
    assert _login(client, "alice", "wrong").status_code == 401
    server.sql("UPDATE throttle SET count = $1", count)
