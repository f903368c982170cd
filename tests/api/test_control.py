"""What a user can do with messages that wait or failed, and what the queue says of them."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chatwren.domain import clock
from tests.api.conftest import Person, ahead
from tests.api.test_messages import TEXT, _queue


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


def send(client: httpx.Client, **more: Any) -> str:
    answer = client.post("/api/messages/send", json={**TEXT, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["messageId"])


def message(client: httpx.Client, message_id: str) -> Any:
    answer = client.get(f"/api/messages/{message_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def fail(person: Person, message_id: str, code: str) -> None:
    person.server.sql(
        "UPDATE message SET status = 'failed', claimed_at = now(), ended_at = now(), attempts = 3, error_code = $2,"
        " unconfirmed = 3 * ($2 = 'outcome_unknown')::integer, error_message = 'It failed.' WHERE id = $1",
        _row_id(message_id),
        code,
    )


def _row_id(message_id: str) -> str:
    return message_id.partition("_")[2]


# --- lanes and expiry -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["send", "schedule"])
def test_the_caller_chooses_the_lane(alice: Person, shop: httpx.Client, route: str) -> None:
    alice.server.sql("UPDATE contact SET wrote_at = now()")
    for lane in ("urgent", "normal", "bulk"):
        body = {**TEXT, "phoneId": "1203@g.us", "lane": lane, "scheduledTime": ahead(hours=1)}
        answer = shop.post(f"/api/messages/{route}", json=body)
        assert message(shop, answer.json()["messageId"])["lane"] == lane


@pytest.mark.parametrize("lane", ["cold", "URGENT", "fast", 1, ["urgent"]])
def test_an_unknown_lane_names_its_field(shop: httpx.Client, lane: object) -> None:
    answer = shop.post("/api/messages/send", json={**TEXT, "lane": lane})
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == ["lane"]


def test_a_limit_is_kept_and_can_be_moved(shop: httpx.Client) -> None:
    until = ahead(hours=2)
    sent = send(shop, scheduledTime=ahead(hours=1), expiresAt=until)
    assert message(shop, sent)["expiresAt"] == until
    later = ahead(hours=3)
    changed = shop.patch(f"/api/messages/{sent}", json={"expiresAt": later})
    assert changed.json()["expiresAt"] == later
    refused = shop.patch(f"/api/messages/{sent}", json={"scheduledTime": ahead(hours=4)})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "expiresAt")
    assert message(shop, sent)["status"] == "scheduled"


def test_a_limit_can_be_removed_and_is_otherwise_left(shop: httpx.Client) -> None:
    until = ahead(hours=2)
    sent = send(shop, scheduledTime=ahead(hours=1), expiresAt=until)
    for left in ({"message": "Other words"}, {"message": "More words", "expiresAt": ""}):
        assert shop.patch(f"/api/messages/{sent}", json=left).json()["expiresAt"] == until
    assert shop.patch(f"/api/messages/{sent}", json={"expiresAt": None}).json()["expiresAt"] is None
    assert message(shop, sent)["timeline"][-1]["step"] == "rescheduled"
    assert shop.patch(f"/api/messages/{sent}", json={"expiresAt": until}).json()["expiresAt"] == until
    assert shop.patch(f"/api/messages/{sent}", data={"expiresAt": "null"}).json()["expiresAt"] is None
    assert shop.patch(f"/api/messages/{sent}", json={"expiresAt": ""}).json()["code"] == "nothing_to_change"


def test_a_limit_can_be_removed_in_the_change_that_would_go_beyond_it(shop: httpx.Client) -> None:
    sent = send(shop, scheduledTime=ahead(hours=1), expiresAt=ahead(hours=2))
    changed = shop.patch(f"/api/messages/{sent}", json={"scheduledTime": ahead(hours=3), "expiresAt": None})
    assert (changed.status_code, changed.json()["expiresAt"]) == (200, None)


def test_what_has_passed_its_limit_is_never_shown_as_going_out(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop, expiresAt=ahead(hours=1))
    alice.server.sql("UPDATE message SET due = due - interval '2 hours', expires_at = expires_at - interval '2 hours'")
    shown = message(shop, sent)
    assert (shown["status"], shown["reason"]["code"], shown["nextAttemptAt"]) == ("queued", "deadline_passed", None)
    later = ahead(hours=1)  # as long as nobody was told that it has expired
    assert shop.patch(f"/api/messages/{sent}", json={"expiresAt": later}).json()["reason"]["code"] == "pacing"


@pytest.mark.parametrize(
    "more", [{"expiresAt": ahead(minutes=-1)}, {"scheduledTime": ahead(hours=2), "expiresAt": ahead(hours=1)}]
)
def test_a_limit_before_the_due_time_is_refused(shop: httpx.Client, more: dict[str, str]) -> None:
    answer = shop.post("/api/messages/send", json={**TEXT, **more})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expiresAt")
    assert _queue(shop)["messages"] == []


def test_what_has_expired_says_why(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop)
    alice.server.sql(
        "UPDATE message SET status = 'expired', ended_at = now(), error_code = 'too_late', error_message = 'Too late.'"
    )
    shown = message(shop, sent)
    assert (shown["status"], shown["reason"]["code"]) == ("expired", "too_late")
    assert shown["timeline"][-1]["step"] == "expired"


# --- retry ------------------------------------------------------------------------------------------------------------


def test_what_failed_can_be_retried(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop)
    before = alice.server.sql("SELECT wa_id FROM message")
    fail(alice, sent, "not_on_whatsapp")
    retried = shop.post(f"/api/messages/{sent}/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
    assert alice.server.sql("SELECT wa_id FROM message") == before
    assert "retried" in [one["step"] for one in message(shop, sent)["timeline"]]
    assert shop.post(f"/api/messages/{sent}/retry").json()["code"] == "not_failed"
    assert shop.delete(f"/api/messages/{sent}").status_code == 200


def test_what_may_be_out_can_be_retried_but_not_cancelled(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop)
    fail(alice, sent, "outcome_unknown")
    assert shop.post(f"/api/messages/{sent}/retry").status_code == 200
    for refused in (shop.delete(f"/api/messages/{sent}"), shop.patch(f"/api/messages/{sent}", json={"message": "x"})):
        assert (refused.status_code, refused.json()["code"]) == (409, "outcome_unknown")
    assert shop.post("/api/messages/cancel", json={"all": True}).json()["cancelled"] == 0


# --- cancel many ------------------------------------------------------------------------------------------------------


def test_many_are_cancelled_by_a_filter(alice: Person, charlie: Person, shop: httpx.Client) -> None:
    charlie.link("919876543211")
    others = send(charlie.http, message="summer sale")
    wanted = [send(shop, message="Summer sale!"), send(shop, message="summer sale", scheduledTime=ahead(hours=1))]
    kept, out = send(shop, message="your order"), send(shop, message="summer sale")
    alice.server.sql("UPDATE message SET status = 'sending', claimed_at = now() WHERE id = $1", _row_id(out))
    answer = shop.post("/api/messages/cancel", json={"q": "summer SALE"})
    assert answer.json() == {"success": True, "cancelled": 2}
    assert {message(shop, one)["status"] for one in wanted} == {"cancelled"}
    assert [message(shop, one)["status"] for one in (kept, out)] == ["queued", "sending"]
    assert message(charlie.http, others)["status"] == "queued"


def test_nothing_is_cancelled_by_an_empty_request(shop: httpx.Client) -> None:
    send(shop)
    for body in ({}, {"all": False}, {"status": ""}):
        answer = shop.post("/api/messages/cancel", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "nothing_chosen")
    bad = shop.post("/api/messages/cancel", json={"status": "later"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (400, "status")
    assert shop.post("/api/messages/cancel", json={"all": True}).json()["cancelled"] == 1


# --- hold, and why messages wait --------------------------------------------------------------------------------------


def test_all_is_held_until_it_is_released(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop)
    assert shop.post("/api/whatsapp/hold").status_code == 200
    reason = message(shop, sent)["reason"]
    assert reason["code"] == "held"
    assert reason.keys() >= {"since", "nextStep"}
    assert shop.get("/api/whatsapp/status").json()["reason"]["code"] == "held"
    assert shop.post("/api/whatsapp/release").status_code == 200
    assert message(shop, sent)["reason"]["code"] == "pacing"
    assert alice.server.sql("SELECT held_since FROM account") == [(None,)]


def test_the_next_one_knows_its_time_and_those_behind_it_have_an_estimate(alice: Person, shop: httpx.Client) -> None:
    alice.server.sql("UPDATE account SET next_at = now() + interval '1 minute'")
    ids = [send(shop, phoneId="1203@g.us", lane=lane) for lane in ("bulk", "normal", "normal", "urgent")]
    order = [message(shop, ids[place]) for place in (3, 1, 2, 0)]
    assert [one["nextAttemptIsEstimate"] for one in order] == [False, True, True, True]
    times = [one["nextAttemptAt"] for one in order]
    assert times == sorted(times)
    (next_at,) = alice.server.sql("SELECT next_at FROM account")[0]
    assert times[0] == clock.to_wire(next_at)
    assert _queue(shop)["messages"][0] | {"timeline": None} == order[0] | {"timeline": None}


def test_new_contacts_wait_for_the_cap_and_say_so(alice: Person, shop: httpx.Client) -> None:
    alice.server.sql(
        "INSERT INTO contact (account_id, address, reached_at, cold_at) SELECT id, n::text, now(), now()"
        " FROM account, generate_series(1, 20) n"
    )
    first, second = send(shop, phoneId="+919811111111"), send(shop, phoneId="+919811111112")
    shown = message(shop, first)
    assert (shown["lane"], shown["reason"]["code"], shown["nextAttemptIsEstimate"]) == ("cold", "daily_cap", False)
    assert shown["nextAttemptAt"] == shown["reason"]["until"]
    assert message(shop, second)["nextAttemptIsEstimate"] is True
    contacts = shop.get("/api/whatsapp/status").json()["newContacts"]
    assert (contacts["cap"], contacts["used"], contacts["reason"]["code"]) == (20, 20, "daily_cap")


def test_what_whatsapp_refuses_to_new_contacts_is_told_until_when(alice: Person, shop: httpx.Client) -> None:
    until = clock.now() + timedelta(minutes=30)
    alice.server.sql("UPDATE account SET cold_code = 463, cold_since = now(), cold_until = $1", until)
    sent = send(shop)
    shown = message(shop, sent)
    assert shown["reason"]["code"] == "new_contacts_refused"
    assert shown["nextAttemptAt"] == clock.to_wire(until)
    reply = send(shop, phoneId="1203@g.us")
    assert message(shop, reply)["reason"]["code"] == "pacing"
    assert shop.get("/api/whatsapp/status").json()["health"] == "ok"


def test_the_timeline_shows_attempts_and_causes(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop, scheduledTime=ahead(hours=1))
    shop.patch(f"/api/messages/{sent}", json={"message": "Hello again!"})
    alice.server.sql(
        "INSERT INTO message_step (message_id, at, step, detail) VALUES"
        " ($1, now(), 'attempt', '1'), ($1, now() + interval '1 ms', 'not_sent', 'refused_463')",
        _row_id(sent),
    )
    steps = [(one["step"], one["detail"]) for one in message(shop, sent)["timeline"]]
    assert steps == [
        ("accepted", None),
        ("rewritten", None),
        ("attempt", "number 1"),
        ("not_sent", "WhatsApp refused it (its code 463)"),
    ]


@pytest.mark.parametrize(
    ("columns", "code", "words"),
    [
        ({"connected": False, "offline_reason": "outdated"}, "offline", "405"),
        ({"connected": False, "offline_reason": "replaced"}, "offline", "Another program"),
        ({"connected": False, "offline_reason": "connection_lost"}, "offline", "being opened again"),
        ({"status": "logged_out", "status_reason": "unlinked_on_phone"}, "logged_out", "unlinked on the phone"),
        ({"status": "logged_out", "status_reason": "locked"}, "logged_out", "locked"),
        ({"status": "banned", "status_reason": "banned"}, "banned", "banned"),
        ({"restriction_code": 104, "restricted_until": clock.now() + timedelta(hours=1)}, "restricted", "same message"),
    ],
)
def test_what_is_wrong_with_the_account_is_told_with_its_cause(
    alice: Person, shop: httpx.Client, columns: dict[str, object], code: str, words: str
) -> None:
    for name, value in columns.items():
        alice.server.sql(f"UPDATE account SET {name} = $1", value)
    waiting = message(shop, send(shop, phoneId="1203@g.us"))["reason"]
    assert (waiting["code"], words in waiting["message"]) == (code, True)
    assert shop.get("/api/whatsapp/status").json()["reason"]["code"] == code


def test_a_retry_is_asked_for_anew_and_forgets_nothing(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop, scheduledTime=ahead(seconds=1), expiresAt=ahead(hours=1))
    fail(alice, sent, "rejected_479")
    alice.server.sql("UPDATE message SET due = due - interval '3 days', expires_at = expires_at - interval '3 days'")
    shown = shop.post(f"/api/messages/{sent}/retry").json()
    assert shown["attempts"] == 3
    assert shown["scheduledFor"] > ahead(seconds=-30)
    assert ahead(minutes=50) < shown["expiresAt"] < ahead(minutes=65)
    steps = [(one["step"], one["detail"]) for one in message(shop, sent)["timeline"]]
    assert [one for one in steps if one[0] != "due"] == [
        ("accepted", None),
        ("attempt", "number 3"),
        ("failed", "It failed."),
        ("retried", None),
    ]


@pytest.mark.parametrize(
    "at",
    [ahead(days=732), "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-14:00"],
    ids=["two years", "the last", "behind the last"],
)
def test_a_limit_years_ahead_is_refused(shop: httpx.Client, at: str) -> None:
    sent = send(shop, expiresAt=ahead(days=730))
    for answer in (
        shop.post("/api/messages/send", json={**TEXT, "expiresAt": at}),
        shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": ahead(days=1), "expiresAt": at}),
        shop.patch(f"/api/messages/{sent}", json={"expiresAt": at}),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expiresAt"), answer.text
    assert [one["id"] for one in _queue(shop)["messages"]] == [sent]


def test_a_refused_limit_is_told_by_the_clocks_of_its_user_too(shop: httpx.Client) -> None:
    soon, later, years = ahead(hours=2), ahead(hours=4), ahead(days=900)
    sent = send(shop, expiresAt=later)
    for answer, told in (
        (shop.post("/api/messages/send", json={**TEXT, "expiresAt": ahead(hours=-1)}), None),
        (shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": later, "expiresAt": soon}), (soon, later)),
        (shop.post("/api/messages/send", json={**TEXT, "expiresAt": years}), (years,)),
        (shop.patch(f"/api/messages/{sent}", json={"expiresAt": years}), (years,)),
        (shop.patch(f"/api/messages/{sent}", json={"scheduledTime": ahead(hours=9)}), (later,)),
        (shop.patch(f"/api/messages/{sent}", json={"expiresAt": soon, "scheduledTime": later}), (soon, later)),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expiresAt"), answer.text
        message = answer.json()["message"]
        assert len(re.findall(r"Z \([0-9-]{10} [0-9:]{5} in Asia/Kolkata\)", message)) == 2, message
        assert all(one in message for one in told or ())


def test_a_limit_is_not_moved_into_the_past(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop, expiresAt=ahead(days=1))
    alice.server.sql("UPDATE message SET due = due - interval '1 hour' WHERE id = $1", _row_id(sent))
    refused = shop.patch(f"/api/messages/{sent}", json={"expiresAt": ahead(minutes=-1)})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "expiresAt"), refused.text
    assert message(shop, sent)["status"] == "queued"


@pytest.mark.parametrize("stored", ["20000-01-01", "infinity", "9999-12-31 23:59:59.9999+00"])
def test_a_stored_time_that_no_answer_can_write_costs_nothing(alice: Person, shop: httpx.Client, stored: str) -> None:
    """As an older version let a retry store it."""
    sent, other = send(shop), send(shop)
    fail(alice, sent, "rejected_479")
    alice.server.sql(f"UPDATE message SET expires_at = '{stored}' WHERE id = $1", _row_id(sent))
    latest = "9999-12-31T23:59:59.999Z"
    assert [(one["id"], one["expiresAt"]) for one in _queue(shop)["messages"]] == [(other, None), (sent, latest)]
    assert shop.post(f"/api/messages/{sent}/retry").json()["expiresAt"] == latest
    assert message(shop, sent)["expiresAt"] == latest
    assert shop.patch(f"/api/messages/{sent}", json={"expiresAt": ahead(days=1)}).status_code == 200


def test_a_restriction_without_end_and_a_pause_of_years_are_shown(alice: Person, shop: httpx.Client) -> None:
    sent = send(shop)
    alice.server.sql("UPDATE account SET next_at = '9999-12-31 23:00+00', in_flight = NULL")
    assert message(shop, sent)["nextAttemptAt"] == "9999-12-31T23:00:00.000Z"
    second = send(shop)
    assert message(shop, second)["nextAttemptAt"] >= "9999-12-31T23:00:00.000Z"
    alice.server.sql("UPDATE account SET restricted_until = '9999-12-31 23:59:59+00'")
    assert message(shop, sent)["nextAttemptAt"] == "9999-12-31T23:59:59.000Z"


def test_a_misspelt_condition_cancels_nothing(shop: httpx.Client) -> None:
    kept = send(shop)
    answer = shop.post("/api/messages/cancel", json={"status": "queued", "bulkid": "bulk_1"})
    assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, ["bulkid"])
    assert message(shop, kept)["status"] == "queued"


def test_the_end_cannot_be_moved_into_the_past(shop: httpx.Client) -> None:
    sent = send(shop)
    answer = shop.patch(f"/api/messages/{sent}", json={"expiresAt": ahead(seconds=-1)})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expiresAt")
