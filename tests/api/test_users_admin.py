"""What the operator does with users, and what the users notice."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chatwren.domain.errors import NotFound
from chatwren.service import users_admin
from chatwren.store.database import Database
from tests.api.conftest import PASSWORD, Person
from tests.api.server import WebServer


def _login(person: Person, password: str = PASSWORD) -> int:
    with person.server.client() as client:
        body = {"username": person.username, "password": password}
        return client.post("/api/auth/login", json=body).status_code


def test_the_list(alice: Person, bob: Person, server: WebServer) -> None:
    alice.link("919876543210")
    server.run(lambda db: users_admin.disable(db, "bob"))
    found = server.run(users_admin.list_users)
    assert [(one.username, one.account_phone, one.disabled_at is None) for one in found] == [
        ("alice", "919876543210", True),
        ("bob", None, False),
    ]
    assert [one.id for one in found] == [alice.id, bob.id]


def test_a_reset_password_is_the_only_one(alice: Person, bob: Person, server: WebServer) -> None:
    password = server.run(lambda db: users_admin.reset_password(db, "ALICE"))
    assert alice.http.get("/api/users/me").status_code == 401
    assert (_login(alice), _login(alice, password)) == (401, 200)
    assert bob.http.get("/api/users/me").status_code == 200


def test_disabled_is_out_at_once_and_enabled_may_log_in(alice: Person, server: WebServer) -> None:
    server.run(lambda db: users_admin.disable(db, "alice"))
    assert alice.http.get("/api/users/me").status_code == 401
    assert _login(alice) == 403
    server.run(lambda db: users_admin.enable(db, "alice"))
    assert alice.http.get("/api/users/me").status_code == 401
    assert _login(alice) == 200


def test_deleted_is_gone_with_everything(alice: Person, bob: Person, server: WebServer) -> None:
    for person, phone in ((alice, "919876543210"), (bob, "919876543211")):
        person.link(phone)
        sent = person.http.post(
            "/api/messages/send",
            data={"phoneId": "+1234567890", "message": "x"},
            files={"mediaFile": ("a.csv", b"a,b\n", "text/csv")},
        )
        assert sent.status_code == 200
    server.run(lambda db: users_admin.delete(db, "alice"))
    assert alice.http.get("/api/users/me").status_code == 401
    for table in ("app_user", "account", "message", "media", "session"):
        assert server.sql(f"SELECT count(*) FROM {table}") == [(1,)], table
    assert bob.http.get("/api/messages/queue").json()["pagination"]["total"] == 1


def test_the_export_is_all_of_the_user_and_no_secret(alice: Person, charlie: Person, server: WebServer) -> None:
    alice.link("919876543210")
    charlie.link("919876543211")
    for person, text in ((alice, "mine: ü"), (charlie, "charlie's")):
        files = {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}
        data = {"phoneId": "+1234567890", "message": text}
        assert person.http.post("/api/messages/send", data=data, files=files).status_code == 200
    lines = server.run(lambda db: _exported(db, "alice"))
    rows = [json.loads(line) for line in lines]
    assert [row["type"] for row in rows] == ["user", "account", "contact", "file", "message"]
    assert rows[0]["username"] == "alice"
    assert rows[4]["text"] == "mine: ü"
    everything = b"".join(lines).decode()
    for secret in ("argon2", "hash", "charlie", alice.cookie[15:40]):
        assert secret not in everything.replace("sha256", ""), secret


@pytest.mark.parametrize(
    "act", [users_admin.reset_password, users_admin.disable, users_admin.enable, users_admin.delete]
)
def test_nobody_of_that_name(act: Callable[[Database, str], Any], alice: Person, server: WebServer) -> None:
    with pytest.raises(NotFound):
        server.run(lambda db: act(db, "nobody"))
    with pytest.raises(NotFound):
        server.run(lambda db: _exported(db, "nobody"))
    assert alice.http.get("/api/users/me").status_code == 200


async def _exported(db: Database, username: str) -> list[bytes]:
    return [line async for line in users_admin.export(db, username)]
