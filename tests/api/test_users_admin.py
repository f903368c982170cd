"""What the operator does with users, and what the users notice."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chatwren.domain.errors import Conflict, NotFound
from chatwren.domain.ids import uuid7
from chatwren.domain.users import Deleted
from chatwren.media.objects import MediaStore, media_store
from chatwren.service import deletion, users_admin
from chatwren.service.deletion import NoWorker
from chatwren.store import deletions, exports
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
    with pytest.raises(NoWorker):
        server.run(lambda db: _delete(db, "ALICE", server))
    assert alice.http.get("/api/users/me").status_code == 401
    assert _login(alice) == 403
    assert [one.deleted_at is None for one in server.run(users_admin.list_users)] == [False, True]
    assert server.run(deletion.pending) == []  # the device is still linked
    server.sql("UPDATE account SET status = 'logged_out' WHERE user_id = $1", alice.id)
    server.run(lambda db: deletion.work_off(db, _media(server), [alice.id]))
    media = server.settings.data_dir / "media"
    assert [(media / str(one.id)).exists() for one in (alice, bob)] == [False, True]
    for table in ("app_user", "account", "message", "media", "session"):
        assert server.sql(f"SELECT count(*) FROM {table}") == [(1,)], table
    assert bob.http.get("/api/messages/queue").json()["pagination"]["total"] == 1


def test_the_export_is_all_of_the_user_and_no_secret(alice: Person, charlie: Person, server: WebServer) -> None:
    alice.link("919876543210")
    charlie.link("919876543211")
    for person, text in ((alice, "mine: ü"), (charlie, "charlie's")):
        files = {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}
        data = {"phoneId": "+1234567890", "message": text}
        headers = {"Idempotency-Key": f"of {person.username}"}
        assert person.http.post("/api/messages/send", data=data, files=files, headers=headers).status_code == 200
        server.sql(
            "INSERT INTO pairing (id, account_id, user_id, token, codes, phone_code, expires_at)"
            " SELECT id, id, user_id, 'the token of ' || id, '\"the code\"', 'the phone code', now()"
            " FROM account WHERE user_id = $1",
            person.id,
        )
        server.sql(
            "INSERT INTO outage (account_id, began_at) SELECT id, now() FROM account WHERE user_id = $1", person.id
        )
        server.sql("INSERT INTO user_limit (user_id, name, value) VALUES ($1, 'uploads', 3)", person.id)
    lines = server.run(lambda db: _exported(db, "alice"))
    rows = [json.loads(line) for line in lines]
    assert [row["type"] for row in rows] == [
        *("user", "limit", "session", "account", "pairing", "outage", "contact", "contact_alias", "file", "message"),
        "answer",
    ]
    assert rows[0]["username"] == "alice"
    assert next(row for row in rows if row["type"] == "message")["text"] == "mine: ü"
    everything = b"".join(lines).decode()
    for secret in ("argon2", "hash", "charlie", alice.cookie[15:40], "the token", "the code", "the phone code"):
        assert secret not in everything.replace("sha256", ""), secret


def test_each_table_that_holds_something_of_users_is_exported_or_said_why_not(server: WebServer) -> None:
    tables = server.sql(
        """
        WITH RECURSIVE of_users AS (
          SELECT 'app_user'::regclass::oid AS id
          UNION SELECT conrelid FROM pg_constraint JOIN of_users ON confrelid = of_users.id WHERE contype = 'f'
        )
        SELECT relname::text FROM of_users JOIN pg_class ON oid = of_users.id
        UNION  -- without a foreign key
        SELECT table_name::text FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name IN ('user_id', 'account_id', 'message_id', 'media_id', 'jid')
        """
    )
    assert {name for (name,) in tables} - exports.EXPORTED - set(exports.NOT_EXPORTED) == set()


def _media(server: WebServer) -> MediaStore:
    return media_store(str(server.settings.data_dir / "media"))


async def _delete(db: Database, username: str, server: WebServer) -> Deleted | None:
    at_most = timedelta(seconds=0.1)
    return await users_admin.delete(db, _media(server), username, lease=timedelta(seconds=6), wait=at_most)


def test_without_a_device_no_worker_is_needed(alice: Person, bob: Person, server: WebServer) -> None:
    assert server.run(lambda db: _delete(db, "alice", server)) == Deleted(told_whatsapp=True)
    assert server.sql("SELECT id FROM app_user") == [(bob.id,)]
    assert alice.http.get("/api/users/me").status_code == 401


def test_who_is_being_deleted_stays_so(alice: Person, server: WebServer) -> None:
    alice.link("919876543210")
    server.sql("INSERT INTO worker (id, host) VALUES ($1, 'of the test')", uuid7())
    assert server.run(lambda db: _delete(db, "alice", server)) is None, "the worker takes too long"
    with pytest.raises(Conflict):
        server.run(lambda db: users_admin.enable(db, "alice"))
    assert server.run(lambda db: _delete(db, "alice", server)) is None, "a second time it is waited for again"


def test_one_process_deletes_at_a_time(alice: Person, server: WebServer) -> None:
    async def beside_another(db: Database) -> None:
        async with db.connection() as connection, deletions.one_at_a_time(connection) as other:
            assert other
            await deletion.work_off(db, _media(server), [alice.id])

    server.run(beside_another)
    assert len(server.sql("SELECT FROM app_user")) == 1


@pytest.mark.parametrize("act", [users_admin.reset_password, users_admin.disable, users_admin.enable])
def test_nobody_of_that_name(act: Callable[[Database, str], Any], alice: Person, server: WebServer) -> None:
    with pytest.raises(NotFound):
        server.run(lambda db: act(db, "nobody"))
    with pytest.raises(NotFound):
        server.run(lambda db: _delete(db, "nobody", server))
    with pytest.raises(NotFound):
        server.run(lambda db: _exported(db, "nobody"))
    assert alice.http.get("/api/users/me").status_code == 200


async def _exported(db: Database, username: str) -> list[bytes]:
    return [line async for line in users_admin.export(db, username)]
