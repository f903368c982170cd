"""A file is stored with its message, or not at all; and what is stored is what counts."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from httpx import Response

from chatwren.domain.limits import Limit
from chatwren.service import users_admin
from tests.api.conftest import Person
from tests.api.held import Held
from tests.api.server import WebServer

FILE: dict[str, Any] = {
    "data": {"phoneId": "+1234567890", "message": "hello"},
    "files": {"mediaFile": ("a.csv", b"a,b\n" * 100, "text/csv")},
}


def _stored(person: Person) -> int:
    """How many files lie in the user's folder."""
    return len(list((person.server.settings.data_dir / "media").glob(f"{person.id}/*")))


def _at_once(person: Person, **headers: str) -> list[Response]:
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(person.http.post, "/api/messages/send", headers=headers, **FILE) for _ in range(8)]
    return [one.result() for one in sending]


def test_a_file_whose_session_ended_meanwhile_is_not_kept(alice: Person, server: WebServer) -> None:
    alice.link("919876543210")
    with Held(alice, "POST", "/api/messages/send", **FILE) as held:
        assert alice.http.post("/api/auth/logout").status_code == 200
        status, answer = held.finish()
    assert (status, answer["code"]) == (401, "not_authenticated")
    assert _stored(alice) == 0
    assert server.sql("SELECT count(*) FROM media") == [(0,)]


def test_the_same_file_under_one_key_at_once_is_kept_once(alice: Person, server: WebServer) -> None:
    alice.link("919876543210")
    answers = _at_once(alice, **{"Idempotency-Key": "once"})
    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["messageId"] for one in answers}) == 1
    assert _stored(alice) == 1
    assert server.sql("SELECT count(*) FROM media") == [(1,)]


def test_files_at_once_are_no_more_than_there_is_room_for(alice: Person, server: WebServer) -> None:
    alice.link("919876543210")
    server.run(lambda db: users_admin.set_limits(db, "alice", [(Limit.MEDIA_BYTES, 900)]))
    answers = _at_once(alice)
    assert sorted(one.status_code for one in answers) == [200] * 2 + [413] * 6
    assert {one.json()["limit"] for one in answers if one.is_error} == {"media_bytes"}
    assert _stored(alice) == 2
    assert alice.http.post("/api/messages/send", data=FILE["data"]).status_code == 200
