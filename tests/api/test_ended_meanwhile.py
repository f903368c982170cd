"""What a caller asks for counts only while the proof of who they are lasts, however long they send it for."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chatwren.domain.caller import Scope
from chatwren.media.objects import media_store
from chatwren.service import users_admin
from chatwren.web import access
from chatwren.web.openapi import routes
from tests.api.conftest import PASSWORD, Person, ahead
from tests.api.held import Held
from tests.api.server import WebServer

HELLO = {"phoneId": "+1234567890", "message": "hello"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/messages/send": {"json": HELLO},
    "POST /api/messages/schedule": {"json": HELLO | {"scheduledTime": ahead(days=1)}},
    "POST /api/messages/preview": {"json": HELLO},
    "POST /api/messages/bulk": {"content": json.dumps(HELLO), "headers": {"content-type": "application/x-ndjson"}},
    "PATCH /api/messages/{message_id}": {"json": {"message": "changed"}},
    "POST /api/messages/cancel": {"json": {"all": True}},
    "PATCH /api/users/me": {"json": {"timeZone": "Asia/Kolkata"}},
    "POST /api/users/me/password": {"json": {"currentPassword": PASSWORD, "newPassword": "three more words"}},
    "POST /api/whatsapp/paircode": {"json": {"phoneNumber": "+1234567890"}},
}
"""A body for each route that needs somebody and reads one."""
LATER: list[tuple[str, dict[str, Any]]] = [
    ("POST /api/messages/send", {"data": HELLO, "files": {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}}),
    ("POST /api/messages/bulk", {"files": {"file": ("a.csv", b"phoneId,message\n+1234567890,hello\n", "text/csv")}}),
    ("POST /api/messages/send", {"json": HELLO, "headers": {"idempotency-key": "one"}}),
    (
        "POST /api/messages/bulk",
        {"content": json.dumps(HELLO), "headers": {"content-type": "application/x-ndjson", "idempotency-key": "one"}},
    ),
]
AT_ONCE = (
    "POST /api/messages/send",
    "POST /api/messages/bulk",
    "POST /api/users/me/password",
    "POST /api/whatsapp/paircode",
)
"""Those of them that ask in the transaction that writes; as do LATER, each of which goes a way of its own."""
WITHOUT_A_USER = {
    "POST /api/messages/preview": 200,
    "PATCH /api/messages/{message_id}": 404,
    "POST /api/messages/cancel": 200,
}
"""What is answered to a user who is gone, where that is not 401: nothing is written for it."""
TABLES = ("app_user", "account", "message", "media", "bulk", "idempotency", "pairing")


def _log_out(person: Person) -> None:
    assert person.http.post("/api/auth/logout").status_code == 200


def _disable(person: Person) -> None:
    person.server.run(lambda db: users_admin.disable(db, person.username))


def _delete(person: Person) -> None:
    media = media_store(str(person.server.settings.data_dir / "media"))
    person.server.sql("UPDATE account SET status = 'logged_out'")  # no device is linked, so no worker is needed
    lease, wait = timedelta(seconds=6), timedelta(seconds=10)
    assert person.server.run(lambda db: users_admin.delete(db, media, person.username, lease=lease, wait=wait))


def _all_of(person: Person) -> list[Any]:
    folder = person.server.settings.data_dir / "media"
    rows = [person.server.sql(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]
    return [*rows, *folder.glob(f"{person.id}*")]


@pytest.fixture
def path(alice: Person) -> Callable[[str], tuple[str, str]]:
    """Makes method and path of a route, of a message of Alice's that waits."""
    alice.link("919876543210")
    made = alice.http.post("/api/messages/schedule", **BODIES["POST /api/messages/schedule"]).json()

    def of(route: str) -> tuple[str, str]:
        method, _, path = route.partition(" ")
        return method, path.replace("{message_id}", made["messageId"])

    return of


def test_each_route_that_reads_a_body_is_held_back_here(server: WebServer) -> None:
    reading = [one for one in routes(server.app) if one.operation.body is not None and one.operation.access]
    assert {f"{one.method} {one.path}" for one in reading} == set(BODIES)
    assert {one.operation.access for one in reading} == set(Scope)


@pytest.mark.parametrize("end", [_log_out, _disable, _delete])
@pytest.mark.parametrize(("route", "given"), [*BODIES.items(), *LATER])
def test_whose_session_ended_before_their_body_did_changes_nothing(
    alice: Person,
    path: Callable[[str], tuple[str, str]],
    route: str,
    given: dict[str, Any],
    *,
    end: Callable[[Person], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "_LASTS_SECONDS", 0)
    with Held(alice, *path(route), **given) as held:
        end(alice)
        before = _all_of(alice)
        status, answer = held.finish()
    assert (status, answer["code"]) == (401, "not_authenticated"), answer
    assert _all_of(alice) == before


@pytest.mark.parametrize("end", [_log_out, _disable])
@pytest.mark.parametrize(("route", "given"), [(one, BODIES[one]) for one in AT_ONCE] + LATER)
def test_nor_who_was_quicker_than_the_guard_asks_again(
    alice: Person,
    path: Callable[[str], tuple[str, str]],
    route: str,
    given: dict[str, Any],
    *,
    end: Callable[[Person], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where much work lies between the body and what is written, or that cannot be undone."""
    monkeypatch.setattr(access, "_LASTS_SECONDS", 1000)
    with Held(alice, *path(route), **given) as held:
        end(alice)
        before = _all_of(alice)
        status, answer = held.finish()
    assert (status, answer["code"]) == (401, "not_authenticated"), answer
    assert _all_of(alice) == before


@pytest.mark.parametrize(("route", "given"), [*BODIES.items(), *LATER])
def test_of_who_is_deleted_meanwhile_nothing_is_left(
    alice: Person,
    path: Callable[[str], tuple[str, str]],
    route: str,
    given: dict[str, Any],
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "_LASTS_SECONDS", 1000)
    with Held(alice, *path(route), **given) as held:
        _delete(alice)
        status, answer = held.finish()
    assert status == WITHOUT_A_USER.get(route, 401), answer
    assert not any(_all_of(alice))


def test_who_is_being_deleted_changes_nothing_of_themselves(
    alice: Person, path: Callable[[str], tuple[str, str]], server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_LASTS_SECONDS", 1000)
    for route in ("PATCH /api/users/me", "POST /api/messages/bulk", "POST /api/whatsapp/paircode"):
        with Held(alice, *path(route), **BODIES[route]) as held:
            server.sql("UPDATE app_user SET deleted_at = now(), disabled_at = now()")
            server.sql("UPDATE account SET status = 'logged_out'")
            assert held.finish()[0] == 401
        server.sql("UPDATE app_user SET deleted_at = NULL, disabled_at = NULL")
    assert server.sql("SELECT count(*), count(time_zone) FROM app_user") == [(1, 0)]
    assert server.sql("SELECT (SELECT count(*) FROM bulk), (SELECT count(*) FROM pairing)") == [(0, 0)]
