"""What one user may have, and that whoever meets a limit is told which."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from chatwren.domain.errors import Invalid
from chatwren.domain.fairness import FewEach
from chatwren.domain.limits import Limit, parse_override
from chatwren.domain.messages import Filter
from chatwren.service import bulk, messages, users_admin
from chatwren.store.database import Database
from chatwren.web import uploads
from chatwren.web.context import AT_ONCE
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer
from tests.waiting import wait_until

Set = Callable[..., WebServer]


@pytest.fixture
def allow(serve: Callable[..., WebServer], server: WebServer) -> Set:
    """A web process that knows nobody yet, after the operator has limited a user."""

    def limited(username: str, **limits: int) -> WebServer:
        changes = [parse_override(f"{name}={value}") for name, value in limits.items()]
        server.run(lambda db: users_admin.set_limits(db, username, changes))
        return serve()

    return limited


def _send(person: Person, at: WebServer, **given: Any) -> Response:
    with at.client(headers={"cookie": person.cookie}) as client:
        return client.post("/api/messages/send", **{"data": {"phoneId": "+1234567890", "message": "hello"}, **given})


def _refused(answer: Response, status: int, limit: str, allowed: int) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["code"], body["limit"], body["allowed"]) == ("limit_reached", limit, allowed)
    assert limit in body["message"]
    assert f"{allowed:,}" in body["message"]


def test_messages_that_wait_are_bounded_for_each_user(alice: Person, bob: Person, allow: Set) -> None:
    alice.link("919876543210")
    bob.link("919876543211")
    at = allow("alice", waiting_messages=2)
    accepted = [_send(alice, at) for _ in range(2)]
    assert [one.status_code for one in accepted] == [200, 200]
    refused = _send(alice, at)
    _refused(refused, 429, "waiting_messages", 2)
    assert int(refused.headers["retry-after"]) > 0
    assert _send(bob, at).status_code == 200
    assert alice.http.get("/api/messages/queue").json()["pagination"]["total"] == 2


def test_what_was_sent_does_not_wait_but_is_stored(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    alice.sent(_send(alice, alice.server).json()["messageId"])
    alice.sent(_send(alice, alice.server).json()["messageId"])
    assert _send(alice, allow("alice", waiting_messages=1)).status_code == 200
    _refused(_send(alice, allow("alice", waiting_messages=9, stored_messages=3)), 429, "stored_messages", 3)


def test_the_same_request_again_is_answered_though_the_limit_is_reached(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    at = allow("alice", waiting_messages=1)
    key = {"headers": {"idempotency-key": "one"}}
    first = _send(alice, at, **key)
    assert first.status_code == 200
    assert _send(alice, at, **key).json() == first.json()
    _refused(_send(alice, at), 429, "waiting_messages", 1)


def test_rows_of_a_bulk_that_are_not_accepted_yet_count(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    row = json.dumps({"phoneId": "+1234567890", "message": "hello"})
    rows: dict[str, Any] = {"content": f"{row}\n{row}\n{row}\n", "headers": {"content-type": "application/x-ndjson"}}
    at = allow("alice", waiting_messages=5)
    with at.client(headers={"cookie": alice.cookie}) as client:
        assert client.post("/api/messages/bulk", **rows).status_code == 200
        _refused(client.post("/api/messages/bulk", **rows), 429, "waiting_messages", 5)
    fresh = allow("alice", waiting_messages=4)
    assert [_send(alice, fresh).status_code for _ in range(2)] == [200, 429]


def test_files_are_bounded_in_bytes(alice: Person, bob: Person, allow: Set) -> None:
    alice.link("919876543210")
    bob.link("919876543211")
    file = {"files": {"mediaFile": ("a.csv", b"a,b\n" * 100, "text/csv")}}
    at = allow("alice", media_bytes=800)
    assert [_send(alice, at, **file).status_code for _ in range(2)] == [200, 200]
    _refused(_send(alice, at, **file), 413, "media_bytes", 800)
    assert _send(alice, at).status_code == 200
    assert _send(bob, at, **file).status_code == 200


def _drain(server: WebServer) -> None:
    """What a worker does with open bulks."""

    async def work(db: Database) -> None:
        while await bulk.accept_some(db, default_zone=None):
            pass

    server.run(work)


def _at_once(times: int, ask: Callable[[], Response]) -> list[Response]:
    with ThreadPoolExecutor(times) as pool:
        asking = [pool.submit(ask) for _ in range(times)]
    return sorted((one.result() for one in asking), key=lambda one: one.status_code)


def test_bulks_that_are_not_finished_are_bounded_also_at_once(alice: Person, bob: Person, allow: Set) -> None:
    alice.link("919876543210")
    bob.link("919876543211")
    row = json.dumps({"phoneId": "+1234567890", "message": "hello"})
    rows: dict[str, Any] = {"content": f"{row}\n" * 200, "headers": {"content-type": "application/x-ndjson"}}
    at = allow("alice", open_bulks=2)
    with at.client(headers={"cookie": alice.cookie}) as client:
        answers = _at_once(6, lambda: client.post("/api/messages/bulk", **rows))
    assert [one.status_code for one in answers] == [200, 200, 429, 429, 429, 429]
    for refused in answers[2:]:
        _refused(refused, 429, "open_bulks", 2)
    assert alice.server.sql("SELECT count(*), sum(total)::int FROM bulk") == [(2, 400)]
    assert bob.http.post("/api/messages/bulk", **rows).status_code == 200


def test_refused_rows_are_bounded_and_accepted_ones_are_none(alice: Person, bob: Person, allow: Set) -> None:
    alice.link("919876543210")
    bob.link("919876543211")
    typed = {"content-type": "application/x-ndjson"}
    good = json.dumps({"phoneId": "+1234567890", "message": "hello"})
    at = allow("alice", refused_rows=6)
    with at.client(headers={"cookie": alice.cookie}) as client:
        path = "/api/messages/bulk"
        assert client.post(path, content=f"x\n{good}\n{good}\n", headers=typed).status_code == 200
        # Until it is known what becomes of them, all three count.
        _refused(client.post(path, content="x\n" * 4, headers=typed), 429, "refused_rows", 6)
        _drain(alice.server)
        assert client.post(path, content="x\n" * 4, headers=typed).status_code == 200
        stored = alice.server.sql("SELECT pg_relation_size('bulk_row')")
        _refused(client.post(path, content="x\n" * 2000, headers=typed), 429, "refused_rows", 6)
        assert alice.server.sql("SELECT pg_relation_size('bulk_row')") == stored
        stopped = client.post(path, content=good, headers=typed).json()["bulkId"]
        assert client.post("/api/messages/cancel", json={"bulkId": stopped}).json()["cancelled"] == 1
        _refused(client.post(path, content=good, headers=typed), 429, "refused_rows", 6)
    assert alice.server.sql("SELECT total, accepted FROM bulk ORDER BY id") == [(3, 2), (4, 0), (1, 0)]
    assert bob.http.post(path, content="x\n" * 9, headers=typed).status_code == 200


def test_refused_rows_are_bounded_also_at_once(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    rows: dict[str, Any] = {"content": "x\n" * 200, "headers": {"content-type": "application/x-ndjson"}}
    with allow("alice", refused_rows=500).client(headers={"cookie": alice.cookie}) as client:
        answers = _at_once(6, lambda: client.post("/api/messages/bulk", **rows))
    assert [one.status_code for one in answers] == [200, 200, 429, 429, 429, 429]
    for refused in answers[2:]:
        _refused(refused, 429, "refused_rows", 500)
    assert alice.server.sql("SELECT count(*) FROM bulk_row") == [(400,)]


def test_one_message_is_changed_so_often_also_at_once(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    made = _send(alice, alice.server, data={"phoneId": "+1234567890", "message": "x", "scheduledTime": ahead(hours=1)})
    path = f"/api/messages/{made.json()['messageId']}"
    with allow("alice", message_changes=2).client(headers={"cookie": alice.cookie}) as client:
        answers = _at_once(8, lambda: client.patch(path, json={"message": "two"}))
    assert [one.status_code for one in answers] == [200, 200] + [429] * 6
    assert alice.server.sql("SELECT count(*) FROM message_step WHERE step = 'rewritten'") == [(2,)]


def test_one_message_is_changed_so_often(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    made = _send(alice, alice.server, data={"phoneId": "+1234567890", "message": "x", "scheduledTime": ahead(hours=1)})
    message = made.json()["messageId"]
    with allow("alice", message_changes=2).client(headers={"cookie": alice.cookie}) as client:
        for text in ("one", "two"):
            assert client.patch(f"/api/messages/{message}", json={"message": text}).status_code == 200
        _refused(client.patch(f"/api/messages/{message}", json={"message": "three"}), 429, "message_changes", 2)
        assert client.get(f"/api/messages/{message}").json()["message"] == "two"
        assert client.delete(f"/api/messages/{message}").status_code == 200


def test_one_failed_message_is_retried_so_often(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    message = _send(alice, alice.server).json()["messageId"]
    at = allow("alice", message_changes=1)

    def fail() -> None:
        alice.server.sql(
            "UPDATE message SET status = 'failed', ended_at = now(), error_code = 'x', error_message = 'x'"
        )

    with at.client(headers={"cookie": alice.cookie}) as client:
        fail()
        assert client.post(f"/api/messages/{message}/retry").status_code == 200
        fail()
        _refused(client.post(f"/api/messages/{message}/retry"), 429, "message_changes", 1)


def test_searches_and_uploads_at_once_are_bounded(alice: Person, bob: Person, allow: Set) -> None:
    alice.link("919876543210")
    bob.link("919876543211")
    at = allow("alice", searches=0, uploads=0)
    file = {"files": {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}}
    with at.client(headers={"cookie": alice.cookie}) as client:
        _refused(client.get("/api/messages/queue?q=hello"), 429, "searches", 0)
        assert client.get("/api/messages/queue?status=queued").status_code == 200
    _refused(_send(alice, at, **file), 429, "uploads", 0)
    assert _send(alice, at).status_code == 200
    assert _send(bob, at, **file).status_code == 200


def test_a_place_is_given_back(alice: Person, allow: Set) -> None:
    alice.link("919876543210")
    at = allow("alice", searches=1)
    with at.client(headers={"cookie": alice.cookie}) as client:
        assert [client.get("/api/messages/queue?q=hello").status_code for _ in range(3)] == [200, 200, 200]


def test_places_under_way_are_counted(alice: Person, server: WebServer) -> None:
    limits = server.server._context.limits

    async def take(_: object) -> list[str]:
        tried: list[str] = []
        async with limits.slot(alice.id, Limit.COMPUTING), limits.slot(alice.id, Limit.COMPUTING):
            for limit in (Limit.COMPUTING, Limit.UPLOADS):
                try:
                    async with limits.slot(alice.id, limit):
                        tried.append("taken")
                except Exception as error:  # noqa: BLE001 - which one is what is asked
                    tried.append(getattr(error, "code", repr(error)))
        async with limits.slot(alice.id, Limit.COMPUTING):
            tried.append("taken")
        return tried

    assert server.run(take) == ["limit_reached", "taken", "taken"]


def test_no_file_is_taken_when_the_disk_is_nearly_full(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.link("919876543210")
    monkeypatch.setattr(uploads, "LEAST_FREE", 1.0)
    file = {"files": {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}}
    refused = _send(alice, alice.server, **file)
    assert (refused.status_code, refused.json()["code"]) == (503, "disk_nearly_full")
    assert int(refused.headers["retry-after"]) > 0
    rows: dict[str, Any] = {"content": "{}\n", "headers": {"content-type": "application/x-ndjson"}}
    assert alice.http.post("/api/messages/bulk", **rows).json()["code"] == "disk_nearly_full"
    assert _send(alice, alice.server).status_code == 200


def test_no_more_is_taken_when_the_disk_fills_meanwhile(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.link("919876543210")
    looks: list[object] = []
    look = shutil.disk_usage

    def filling(folder: Path) -> Any:
        looks.append(folder)
        return look(folder) if len(looks) <= 4 else look(folder)._replace(free=0)

    monkeypatch.setattr(shutil, "disk_usage", filling)
    refused = _send(
        alice, alice.server, files={"mediaFile": ("a.pdf", b"%PDF-1.7\n" + bytes(2 * 1024**2), "application/pdf")}
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "disk_nearly_full")
    looks.clear()
    typed = {"content-type": "application/x-ndjson"}
    refused = alice.http.post("/api/messages/bulk", content=b"{}\n".ljust(2 * 1024**2), headers=typed)
    assert (refused.status_code, refused.json()["code"]) == (503, "disk_nearly_full")
    assert len(looks) > 4


@pytest.fixture
def held_up(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[object], threading.Event]]:
    """Alice's pages that are being made, and what they wait for."""
    of_alice: list[object] = []
    page = messages.page
    go_on = threading.Event()

    async def slow(db: Database, where: Filter, **given: Any) -> Any:
        if where.user_id == alice.id:
            of_alice.append(where)
            await asyncio.to_thread(go_on.wait, 30)
        return await page(db, where, **given)

    monkeypatch.setattr(messages, "page", slow)
    yield of_alice, go_on
    go_on.set()


def test_a_few_requests_of_a_user_are_answered_at_a_time_and_others_theirs(
    alice: Person, bob: Person, held_up: tuple[list[object], threading.Event]
) -> None:
    of_alice, go_on = held_up
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(alice.http.get, "/api/messages/queue") for _ in range(8)]
        wait_until(lambda: len(of_alice) == AT_ONCE)
        assert bob.http.get("/api/messages/queue").status_code == 200
        later = pool.submit(alice.http.get, "/api/users/me")
        assert not later.done()
        assert len(of_alice) == AT_ONCE
        go_on.set()
        assert [one.result().status_code for one in (*asked, later)] == [200] * 9
    assert len(of_alice) == 8


def test_so_many_of_a_users_requests_wait_and_more_are_told(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch, held_up: tuple[list[object], threading.Event]
) -> None:
    of_alice, go_on = held_up
    monkeypatch.setattr(alice.server.server._context, "few", FewEach(1, most_waiting=2))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(alice.http.get, "/api/messages/queue")
        wait_until(lambda: bool(of_alice))
        two = [pool.submit(alice.http.get, "/api/users/me") for _ in range(2)]
        few = alice.server.server._context.few
        wait_until(lambda: few._lines[alice.id].count == 3)  # one of them has a place
        refused = alice.http.get("/api/users/me")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert bob.http.get("/api/users/me").status_code == 200
        go_on.set()
        assert [one.result().status_code for one in (first, *two)] == [200] * 3
    assert not few._lines


@pytest.mark.usefixtures("alice", "bob")
def test_the_operator_sees_and_sets_limits(server: WebServer) -> None:
    server.run(lambda db: users_admin.set_limits(db, "ALICE", [(Limit.SESSIONS, 3), (Limit.UPLOADS, 1)]))
    server.run(lambda db: users_admin.set_limits(db, "alice", [(Limit.SESSIONS, 4), (Limit.UPLOADS, None)]))
    of_alice = {one.limit: one for one in server.run(lambda db: users_admin.limits_of(db, "alice"))}
    assert set(of_alice) == set(Limit)
    assert (of_alice[Limit.SESSIONS].allowed, of_alice[Limit.SESSIONS].is_override) == (4, True)
    assert not of_alice[Limit.UPLOADS].is_override
    assert not any(one.is_override for one in server.run(lambda db: users_admin.limits_of(db, "bob")))


@pytest.mark.parametrize(
    "text", ["", "sessions", "sessions=", "sessions=-1", "sessions=1.5", "nothing=1", "sessions=9e9"]
)
def test_what_sets_no_limit(text: str) -> None:
    with pytest.raises(Invalid):
        parse_override(text)


def test_a_limit_that_is_raised_counts_within_seconds(alice: Person, allow: Set, server: WebServer) -> None:
    alice.link("919876543210")
    at = allow("alice", waiting_messages=0)
    assert _send(alice, at).status_code == 429
    server.run(lambda db: users_admin.set_limits(db, "alice", [(Limit.WAITING_MESSAGES, None)]))

    wait_until(lambda: _send(alice, at).status_code == 200)
