"""How often somebody may begin to link. No worker runs here, so that no code ever comes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chatwren.domain.errors import ChatwrenError, TooMany, Unavailable
from chatwren.domain.limits import Limit
from chatwren.service import linking, sessions, users_admin
from chatwren.service.limits import Limits
from chatwren.service.sessions import Sessions
from chatwren.store.database import Database
from tests.api.conftest import Person
from tests.api.server import WebServer

NUMBER = "919876543210"


def _begin(person: Person, phone: str | None = None) -> ChatwrenError:
    """What somebody is told who begins to link, or goes on with it."""

    async def do(db: Database) -> ChatwrenError:
        return await _ask(db, Limits(db), person, phone)

    return person.server.run(do)


async def _ask(db: Database, limits: Limits, person: Person, phone: str | None) -> ChatwrenError:
    async with db.transaction() as connection:
        sid = await sessions.start(connection, person.id, instead_of=None, at_most=50)
    caller = await Sessions(db).caller(sid)
    assert caller is not None
    try:
        if phone is None:
            await linking.create_qr(db, limits, caller, None, wait=0)
        else:
            await linking.pair_by_phone(db, limits, caller, None, phone, wait=0)
    except ChatwrenError as error:
        return error
    raise AssertionError("no worker runs")


def _end(person: Person, failure: str = "timeout") -> None:
    person.server.sql(
        "UPDATE pairing SET state = 'failed', failure = $2, ended_at = now() WHERE user_id = $1 AND ended_at IS NULL",
        person.id,
        failure,
    )


def _begun(server: WebServer) -> int:
    ((count,),) = server.sql("SELECT count(*) FROM pairing")
    return int(count)


def test_three_codes_in_ten_minutes(alice: Person, bob: Person, server: WebServer) -> None:
    for last in range(3):
        assert isinstance(_begin(alice, f"91987654321{last}"), Unavailable)
        assert isinstance(_begin(alice, f"91987654321{last}"), Unavailable), "joins"
        assert isinstance(_begin(alice), Unavailable), "joins"
    refused = _begin(alice, "919876543219")
    assert isinstance(refused, TooMany)
    assert (refused.code, refused.extra) == ("limit_reached", {"limit": "phone_pairings", "allowed": 3})
    assert 595 < refused.retry_after <= 600
    assert isinstance(_begin(alice, "919876543212"), Unavailable), "what runs goes on"
    assert isinstance(_begin(bob, "919876543219"), Unavailable)
    assert _begun(server) == 4
    server.sql("UPDATE pairing SET requested_at = requested_at - interval '9 minutes' WHERE user_id = $1", alice.id)
    later = _begin(alice, "919876543219")
    assert isinstance(later, TooMany)
    assert 50 < later.retry_after <= 60
    server.sql("UPDATE pairing SET requested_at = requested_at - interval '1 minute' WHERE user_id = $1", alice.id)
    assert isinstance(_begin(alice, "919876543219"), Unavailable)


def test_over_http_it_is_429_that_says_when(alice: Person) -> None:
    for last in range(3):
        _begin(alice, f"91987654321{last}")
    answer = alice.http.post("/api/whatsapp/paircode", json={"phoneNumber": "+919876543219"})
    assert (answer.status_code, answer.json()["limit"], answer.json()["allowed"]) == (429, "phone_pairings", 3)
    assert 590 < int(answer.headers["retry-after"]) <= 600


def test_ten_qr_codes_in_ten_minutes(alice: Person, server: WebServer) -> None:
    for _ in range(10):
        assert isinstance(_begin(alice), Unavailable)
        assert isinstance(_begin(alice), Unavailable), "polling joins"
        _end(alice)
    answer = alice.http.get("/api/whatsapp/createqr")
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (429, "limit_reached", "qr_pairings")
    assert isinstance(_begin(alice, NUMBER), Unavailable), "the other way is open"
    assert _begun(server) == 11


def test_whatsapp_s_absence_locks_nobody_out(alice: Person) -> None:
    for _ in range(12):
        assert isinstance(_begin(alice), Unavailable)
        _end(alice, "disconnected")


def test_ten_for_a_number_in_a_day_whoever_asks(person: Callable[[str], Person], server: WebServer) -> None:
    crowd = [person(f"user{number}") for number in range(12)]

    async def all_at_once(db: Database) -> list[ChatwrenError]:
        limits = Limits(db)
        return list(await asyncio.gather(*(_ask(db, limits, one, NUMBER) for one in crowd)))

    told = server.run(all_at_once)
    refused = [one for one in told if isinstance(one, TooMany)]
    assert len(refused) == 2
    assert refused[0].extra == {"limit": "pairings_of_number", "allowed": 10}
    assert refused[0].retry_after > 86_000
    assert _begun(server) == 10
    server.sql("UPDATE pairing SET requested_at = requested_at - interval '1 day'")
    assert isinstance(_begin(crowd[-1], NUMBER), Unavailable)


@pytest.mark.parametrize(("limit", "phone"), [(Limit.PHONE_PAIRINGS, NUMBER), (Limit.QR_PAIRINGS, None)])
def test_the_operator_may_allow_none(alice: Person, server: WebServer, limit: Limit, phone: Any) -> None:
    server.run(lambda db: users_admin.set_limits(db, "alice", [(limit, 0)]))
    assert isinstance(_begin(alice, phone), TooMany)
    assert _begun(server) == 0


def test_a_refused_one_does_not_end_what_runs(alice: Person, server: WebServer) -> None:
    for last in range(3):
        _begin(alice, f"91987654321{last}")
    assert isinstance(_begin(alice, "919876543219"), TooMany)
    assert server.sql("SELECT phone FROM pairing WHERE ended_at IS NULL") == [("919876543212",)]
