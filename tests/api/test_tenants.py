"""Charlie never sees, changes or learns of anything that is Alice's; without a session nobody does."""

from typing import Any

import httpx
import pytest

from chatwren.domain.clock import now
from tests.api.conftest import PASSWORD, Person, ahead
from tests.api.server import WebServer

SECRET_TEXT = "alice's own words"
ALICE_PHONE, CHARLIE_PHONE = "919876543210", "919876543219"


@pytest.fixture
def owned(alice: Person) -> dict[str, str]:
    """What Alice has: an account with a group, a message with a file."""
    group = {"id": "1@g.us", "name": "Alice's family", "participants": [], "size": 1}
    alice.link(ALICE_PHONE, groups=[group], groups_at=now())
    accepted = alice.http.post(
        "/api/messages/send",
        data={"phoneId": "+1234567890", "message": SECRET_TEXT, "scheduledTime": ahead(days=1)},
        files={"mediaFile": ("alice.csv", b"alice,file\n", "text/csv")},
    ).json()
    ((media_id,),) = alice.server.sql("SELECT id FROM media")
    (session,) = alice.http.get("/api/users/me/sessions").json()["sessions"]
    return {"message": accepted["messageId"], "media": media_id.hex, "session": session["id"]}


def _routes(owned: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    """Each route that answers a user, as Charlie asks it of what is Alice's."""
    message = f"/api/messages/{owned['message']}"
    return [
        ("GET", "/api/users/me", {}),
        ("PATCH", "/api/users/me", {"json": {"timeZone": "Asia/Kolkata"}}),
        ("POST", "/api/users/me/password", {"json": {"currentPassword": PASSWORD, "newPassword": "three more words"}}),
        ("GET", "/api/users/me/sessions", {}),
        ("DELETE", f"/api/users/me/sessions/{owned['session']}", {}),
        ("DELETE", "/api/users/me/sessions", {}),
        ("GET", "/api/whatsapp/status", {}),
        ("GET", "/api/whatsapp/groups", {}),
        ("GET", "/api/whatsapp/createqr", {}),
        ("POST", "/api/whatsapp/logout", {}),
        ("POST", "/api/whatsapp/release", {}),
        ("POST", "/api/whatsapp/paircode", {"json": {"phoneNumber": f"+{ALICE_PHONE}"}}),
        ("GET", "/api/messages/queue?limit=100", {}),
        ("GET", "/api/messages/queue?q=alice", {}),
        ("GET", "/api/messages/queue?to=%2B1234567890", {}),
        ("GET", f"/api/messages/queue?cursor={owned['message']}", {}),
        ("GET", message, {}),
        ("PATCH", message, {"json": {"message": "changed"}}),
        ("DELETE", message, {}),
        ("GET", f"/api/media/{owned['media']}", {}),
        ("POST", "/api/messages/send", {"json": {"phoneId": "+1234567890", "message": "Charlie's"}}),
        (
            "POST",
            "/api/messages/schedule",
            {"json": {"phoneId": "+1234567890", "message": "Charlie's", "scheduledTime": ahead(days=1)}},
        ),
        ("GET", "/api/events", {}),
    ]


def _alice_s(server: WebServer, alice: Person) -> list[Any]:
    """All rows of Alice's, but for the session, which notes that she is there."""
    tables = ("account", "message", "media", "pairing", "idempotency")
    sessions = server.sql("SELECT sid_hash FROM session WHERE user_id = $1", alice.id)
    rows = [server.sql(f"SELECT * FROM {table} WHERE user_id = $1 ORDER BY 1", alice.id) for table in tables]
    return [*rows, sessions, server.sql("SELECT * FROM app_user WHERE id = $1", alice.id)]


@pytest.mark.parametrize("linked", [True, False])
def test_charlie_sees_and_changes_nothing_of_alice_s(
    linked: bool,  # noqa: FBT001
    owned: dict[str, str],
    alice: Person,
    charlie: Person,
    server: WebServer,
) -> None:
    if linked:
        charlie.link(CHARLIE_PHONE)
    before = _alice_s(server, alice)
    for method, path, given in _routes(owned):
        if path.endswith(("createqr", "paircode", "groups")):
            continue  # they wait for a worker: what they write is asserted below for the others
        with charlie.http.stream(method, path, **given) as answer:
            body = next(answer.iter_text()) if path == "/api/events" else answer.read().decode()
        for word in ("alice", "Alice", ALICE_PHONE, *owned.values()):
            echoed = path if answer.status_code == 404 else ""
            assert word not in body.replace(echoed, ""), f"{method} {path}: {body}"
        if any(path.rpartition("/")[2].startswith(one) for one in owned.values()) or "cursor" in path:
            expected = 200 if "cursor" in path else 404
            assert answer.status_code == expected, f"{method} {path}"
    assert _alice_s(server, alice) == before
    assert alice.http.get(f"/api/messages/{owned['message']}").json()["message"] == SECRET_TEXT
    assert alice.http.get(f"/api/media/{owned['media']}").content == b"alice,file\n"


def test_charlie_s_own_groups_and_code_are_not_alice_s(owned: dict[str, str], alice: Person, charlie: Person) -> None:
    before = _alice_s(alice.server, alice)
    assert owned
    charlie.link(CHARLIE_PHONE, groups=[], groups_at=now())
    assert charlie.http.get("/api/whatsapp/groups").json() == []
    assert charlie.http.get("/api/whatsapp/createqr").json()["status"] == "authenticated"
    assert _alice_s(alice.server, alice) == before


def test_without_a_session_each_is_401(owned: dict[str, str], http: httpx.Client) -> None:
    for method, path, given in _routes(owned):
        answer = http.request(method, path, **given)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated"), f"{method} {path}"
        assert "set-cookie" not in answer.headers
