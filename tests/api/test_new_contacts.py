"""Who writes to a new contact is told at once when the cap of such contacts keeps the message."""

from typing import Any

import httpx
import pytest

from chatwren.service.new_contacts import NewContacts
from tests.api.conftest import Person, ahead
from tests.api.test_bulk import JSONL, accept, follow, lines, submit
from tests.api.test_messages import TEXT, _queue

CAP = 20  # of an account on its first day


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


@pytest.fixture
def full(alice: Person, shop: httpx.Client) -> httpx.Client:
    """The same; it has written to as many new contacts today as it may."""
    alice.server.sql(
        "INSERT INTO contact (account_id, address, cold_at) SELECT a.id, 'x' || n, now() - interval '4 hours'"
        " FROM account a, generate_series(1, $2) n WHERE a.user_id = $1",
        alice.id,
        CAP,
    )
    return shop


def warnings(client: httpx.Client, route: str = "send", **more: Any) -> list[str]:
    answer = client.post(f"/api/messages/{route}", json={**TEXT, **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json().get("warnings", []))


@pytest.mark.parametrize(("route", "due"), [("send", {}), ("schedule", {"scheduledTime": ahead(hours=3)})])
def test_that_the_cap_is_full_is_told_with_the_time(full: httpx.Client, route: str, due: dict[str, str]) -> None:
    (told,) = warnings(full, route, **due)
    assert f"has written to {CAP} new contacts" in told
    assert ahead(hours=19) < told.rpartition("about ")[2].rstrip(".") < ahead(hours=21)


def test_what_is_due_when_there_is_room_again_waits_for_nothing(full: httpx.Client) -> None:
    assert warnings(full, "schedule", scheduledTime=ahead(hours=30)) == []


def test_only_new_contacts_wait_for_the_cap(alice: Person, full: httpx.Client) -> None:
    assert warnings(full, lane="urgent") == []
    assert warnings(full, phoneId="120363041234567890@g.us") == []
    alice.server.sql(
        "INSERT INTO contact (account_id, address, wrote_at) SELECT id, $2, now() FROM account WHERE user_id = $1"
        " ON CONFLICT (account_id, address) DO UPDATE SET wrote_at = excluded.wrote_at",
        alice.id,
        TEXT["phoneId"].lstrip("+"),
    )
    assert warnings(full) == []


def test_where_there_is_room_nothing_is_told_until_as_many_wait(shop: httpx.Client) -> None:
    for number in range(CAP):
        assert warnings(shop, phoneId=f"+9198111{number:05}") == []
    (told,) = warnings(shop, phoneId="+919811100999")
    assert f"{CAP + 1} messages to new contacts wait, and the account writes to {CAP} in 24 hours" in told
    assert told.endswith(" in Asia/Kolkata).")
    assert ahead(hours=23) < told.rpartition("about ")[2].rstrip(".") < ahead(hours=25)


def test_that_whatsapp_refuses_new_contacts_is_told(alice: Person, shop: httpx.Client) -> None:
    alice.server.sql("UPDATE account SET cold_code = 463, cold_until = now() + interval '1 hour'")
    (told,) = warnings(shop)
    assert "463" in told
    assert told.endswith(" in Asia/Kolkata).")
    assert ahead(minutes=55) < told.rpartition("about ")[2].rstrip(".") < ahead(minutes=65)


def test_that_it_is_to_expire_first_is_told(full: httpx.Client) -> None:
    (soon,) = warnings(full, expiresAt=ahead(hours=2))
    assert "Its turn comes after its expiresAt" in soon
    (late,) = warnings(full, expiresAt=ahead(days=9))
    assert "It goes out about" in late


def test_the_same_request_gives_the_same_answer(full: httpx.Client) -> None:
    once, again = [
        full.post("/api/messages/send", json=TEXT, headers={"Idempotency-Key": "first"}).json() for _ in range(2)
    ]
    assert once == again
    assert f"has written to {CAP} new contacts" in once["warnings"][0]
    assert len(_queue(full)["messages"]) == 1


def test_what_is_stored_is_accepted_whatever_else_could_be_said(
    shop: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(NewContacts, "warning", away)
    assert warnings(shop) == []
    assert len(_queue(shop)["messages"]) == 1


def test_bobs_cap_is_not_alices(full: httpx.Client, bob: Person) -> None:
    bob.link("919876543211")
    assert warnings(bob.http) == []
    assert len(warnings(full)) == 1


def test_what_a_bulk_says_of_the_cap_is_what_the_queue_says(full: httpx.Client, alice: Person) -> None:
    """The estimate of the last of a bulk is that of the message itself."""
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": "sale"} for number in range(CAP + 1)))
    bulk_id = submit(full, body, JSONL)
    accept(alice.server)
    found = follow(full, bulk_id)
    last = max(one["nextAttemptAt"] for one in _queue(full, limit=100)["messages"])
    assert found["estimatedLastAt"][:16] == last[:16]
