"""Sending, scheduling, following, changing and cancelling messages."""

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person, ahead
from tests.api.server import WebServer

TEXT = {"phoneId": "+1234567890", "message": "Hello!"}


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


def _queue(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/messages/queue", params=query)
    assert answer.status_code == 200, answer.text
    queue: dict[str, Any] = answer.json()
    return queue


def test_a_message_is_followed_from_acceptance_to_read(alice: Person, shop: httpx.Client) -> None:
    accepted = shop.post("/api/messages/send", data=TEXT).json()
    assert accepted.keys() == {"success", "messageId", "scheduledFor"}
    (waiting,) = _queue(shop)["messages"]
    assert waiting["id"] == accepted["messageId"]
    assert (waiting["status"], waiting["sentAt"], waiting["receipt"]) == ("queued", None, None)
    assert waiting["scheduledFor"] == accepted["scheduledFor"]
    alice.sent(accepted["messageId"])
    followed = shop.get(f"/api/messages/{accepted['messageId']}").json()
    assert (followed["status"], followed["receipt"]) == ("sent", "read")
    assert followed["timeline"][0]["step"] == "accepted"
    assert {"sent", "delivered", "read"} <= {one["step"] for one in followed["timeline"]}


def test_a_message_for_later_is_scheduled_under_its_own_prefix(shop: httpx.Client) -> None:
    when = ahead(days=2)
    accepted = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": when}).json()
    assert accepted["messageId"].startswith("sched_")
    assert accepted["scheduledFor"] == when
    assert _queue(shop)["messages"][0]["status"] == "scheduled"


@pytest.mark.parametrize("delta", [{"minutes": -4}, {"seconds": -1}])
def test_a_few_minutes_past_is_now(delta: dict[str, float], shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": ahead(**delta)})
    assert answer.status_code == 200
    assert _queue(shop)["messages"][0]["status"] == "queued"


@pytest.mark.parametrize(
    "when", [{"minutes": -6}, {"days": 367}, "tomorrow", 1700000000, "", None, "2027-13-01T00:00Z"]
)
def test_times_that_are_refused(when: object, shop: httpx.Client) -> None:
    written = ahead(**when) if isinstance(when, dict) else when
    answer = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": written})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "scheduledTime"


def test_a_time_without_a_zone_is_read_in_the_user_s(alice: Person, shop: httpx.Client) -> None:
    alice.http.patch("/api/users/me", json={"timeZone": "America/Sao_Paulo"})
    local = ahead(days=1)[:16]
    answer = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": local}).json()
    assert answer["timeZone"] == "America/Sao_Paulo"
    assert "America/Sao_Paulo" in answer["warnings"][0]
    assert answer["scheduledFor"][:16] != local


@pytest.mark.parametrize("written", ["2026-01-01T10:00", "2026-01-01T04:30Z", "2025-12-31T23:30-05:00"])
def test_a_time_that_is_refused_is_told_by_the_user_s_clocks_too(written: str, shop: httpx.Client) -> None:
    waiting = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": ahead(days=1)}).json()["messageId"]
    for answer in (
        shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": written}),
        shop.post("/api/messages/send", data={**TEXT, "scheduledTime": written}),
        shop.patch(f"/api/messages/{waiting}", json={"scheduledTime": written}),
    ):
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert (
            "it means 2026-01-01T04:30:00.000Z (2026-01-01 10:00 in Asia/Kolkata), and the server's time is "
            in error["message"]
        )
        assert error["message"].endswith(" in Asia/Kolkata).")


def test_a_time_without_a_zone_is_else_read_in_the_country_s(shop: httpx.Client) -> None:
    body = {**TEXT, "scheduledTime": ahead(days=1)[:16]}
    assert shop.post("/api/messages/schedule", json=body).json()["timeZone"] == "Asia/Kolkata"


def test_a_time_without_a_zone_where_none_is_known(alice: Person, serve: Callable[..., WebServer]) -> None:
    alice.link("12025550123")
    body = {**TEXT, "scheduledTime": ahead(days=1)[:16]}
    refused = alice.http.post("/api/messages/schedule", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "scheduledTime")
    with serve(timezone="Europe/Berlin").client(headers={"cookie": alice.cookie}) as client:
        assert client.post("/api/messages/schedule", json=body).json()["timeZone"] == "Europe/Berlin"


def test_before_anything_was_linked(alice: Person) -> None:
    answer = alice.http.post("/api/messages/send", json=TEXT)
    assert (answer.status_code, answer.json()["code"]) == (409, "never_linked")


@pytest.mark.parametrize("columns", [{"connected": False}, {"status": "logged_out", "connected": False}])
def test_held_with_a_warning_while_it_cannot_be_sent(columns: dict[str, Any], alice: Person) -> None:
    alice.link("919876543210", **columns)
    answer = alice.http.post("/api/messages/send", json=TEXT)
    assert answer.status_code == 200
    assert "it waits" in answer.json()["warnings"][0]
    assert _queue(alice.http)["messages"][0]["reason"]["message"]


def test_a_group_is_a_recipient(shop: httpx.Client) -> None:
    assert shop.post("/api/messages/send", json={**TEXT, "phoneId": "120363041234567890@g.us"}).status_code == 200
    assert _queue(shop)["messages"][0]["to"] == "120363041234567890@g.us"


def test_modifications_show_the_text_that_will_go(shop: httpx.Client) -> None:
    body = {
        **TEXT,
        "message": "Thank you for shopping with us! Please reply to this message if you need any help.",
        "scheduledTime": ahead(hours=1),
        "aiModifications": {"useSynonyms": True, "addEmojis": True, "shuffleSentences": False},
    }
    answer = shop.post("/api/messages/schedule", json=body).json()
    (queued,) = _queue(shop)["messages"]
    assert queued["message"] == answer["preview"]
    assert queued["original"] == body["message"]
    assert queued["changes"] == answer["changes"]


def test_placeholders_are_filled(shop: httpx.Client) -> None:
    body = {**TEXT, "message": "Dear {{name}}!", "fields": {"name": "Asha"}}
    assert shop.post("/api/messages/send", json=body).status_code == 200
    assert _queue(shop)["messages"][0]["message"] == "Dear Asha!"
    answer = shop.post("/api/messages/send", json={**body, "fields": {"other": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_field")


@pytest.mark.parametrize("route", ["send", "schedule"])
@pytest.mark.parametrize("text", ["Hi {{name}}", "{{c | upper}}", "`{{ name }}`", "{{}}"])
def test_no_placeholder_reaches_the_customer(text: str, route: str, shop: httpx.Client) -> None:
    body = {**TEXT, "message": text, "scheduledTime": ahead(hours=2)}
    answer = shop.post(f"/api/messages/{route}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_field")
    assert _queue(shop)["messages"] == []


def test_escaped_braces_go_out_as_braces(shop: httpx.Client) -> None:
    assert shop.post("/api/messages/send", json={**TEXT, "message": r"Hi \{\{name\}\}"}).status_code == 200
    assert _queue(shop)["messages"][0]["message"] == "Hi {{name}}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(499, "499"), (0, "0"), (-7, "-7"), (12.5, "12.5"), (12.0, "12"), (1e-7, "0.0000001"), (1e21, "1" + "0" * 21)],
)
def test_numbers_fill_placeholders_as_a_person_writes_them(value: float, shown: str, shop: httpx.Client) -> None:
    body = {**TEXT, "message": "In all {{sum}}.", "fields": {"sum": value}}
    assert shop.post("/api/messages/send", json=body).status_code == 200
    assert _queue(shop)["messages"][0]["message"] == f"In all {shown}."


@pytest.mark.parametrize(
    "fields", ["x", [1], {"name": True}, {"name": {"a": 1}}, {"a\u0000": "b"}, {str(n): "" for n in range(101)}]
)
def test_fields_that_are_refused(fields: object, shop: httpx.Client) -> None:
    assert shop.post("/api/messages/send", json={**TEXT, "fields": fields}).status_code == 400


@pytest.mark.parametrize("nothing", [None, "null", "undefined"])
def test_a_member_that_says_that_it_has_no_value_fills_nothing(nothing: object, shop: httpx.Client) -> None:
    asked = {**TEXT, "message": "Hi {{name}}!", "fields": {"name": nothing}}
    in_a_form = {**asked, "fields": json.dumps(asked["fields"])}
    for answer in (
        shop.post("/api/messages/send", json=asked),
        shop.post("/api/messages/send", data=in_a_form),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "missing_field")
    assert shop.post("/api/messages/send", json={**asked, "message": "Hi!"}).status_code == 200
    assert shop.post("/api/messages/send", json={**asked, "fields": {"name": ""}}).status_code == 200
    assert _queue(shop)["messages"][0]["message"] == "Hi !"


def test_a_repeated_request_with_a_key_sends_nothing_twice(alice: Person, bob: Person, shop: httpx.Client) -> None:
    key = {"idempotency-key": "order-17"}
    file = {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}
    first = shop.post("/api/messages/send", data=TEXT, files=file, headers=key)
    again = shop.post("/api/messages/send", data=TEXT, files=file, headers=key)
    assert again.json() == first.json()
    assert _queue(shop)["pagination"]["total"] == 1
    other_file = {"mediaFile": ("a.csv", b"c,d\n", "text/csv")}
    for other in (
        shop.post("/api/messages/send", data=TEXT, files=other_file, headers=key),
        shop.post("/api/messages/send", data=TEXT, headers=key),
        shop.post("/api/messages/send", data={**TEXT, "message": "Other"}, files=file, headers=key),
    ):
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    bob.link("919876543211")
    assert bob.http.post("/api/messages/send", data=TEXT, headers=key).status_code == 200
    assert alice.http.post("/api/messages/send", data=TEXT, headers={"idempotency-key": "x" * 300}).status_code == 400


def test_the_same_key_at_once_is_one_message(alice: Person, shop: httpx.Client) -> None:
    async def all_at_once() -> list[httpx.Response]:
        headers = {"cookie": alice.cookie, "idempotency-key": "once"}
        async with httpx.AsyncClient(base_url=alice.server.url, headers=headers, timeout=30, trust_env=False) as client:
            return await asyncio.gather(*(client.post("/api/messages/send", json=TEXT) for _ in range(8)))

    answers = asyncio.run(all_at_once())
    assert {one.status_code for one in answers} <= {200, 503}
    assert len({one.json()["messageId"] for one in answers if one.is_success}) == 1
    assert _queue(shop)["pagination"]["total"] == 1


def test_changing_what_waits(shop: httpx.Client) -> None:
    accepted = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": ahead(days=1)}).json()
    when = ahead(days=3)
    path = f"/api/messages/{accepted['messageId']}"
    changed = shop.patch(path, json={"scheduledTime": when, "message": "Hello again!"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["scheduledFor"], changed.json()["message"]) == (when, "Hello again!")
    assert shop.patch(path, json={}).status_code == 400
    assert shop.patch(path, json={"message": ""}).status_code == 400
    assert shop.patch(path, json={"scheduledTime": ahead(days=-1)}).status_code == 400


def test_cancelling_what_waits(shop: httpx.Client) -> None:
    path = f"/api/messages/{shop.post('/api/messages/send', json=TEXT).json()['messageId']}"
    assert shop.delete(path).json()["status"] == "cancelled"
    assert shop.delete(path).json()["status"] == "cancelled"
    answer = shop.patch(path, json={"message": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_waiting")


def test_what_may_be_out_can_no_longer_be_changed(alice: Person, shop: httpx.Client) -> None:
    path = f"/api/messages/{shop.post('/api/messages/send', json=TEXT).json()['messageId']}"
    alice.server.sql("UPDATE message SET status = 'sending', claimed_at = now(), attempts = 1")
    for answer in (shop.delete(path), shop.patch(path, json={"message": "x"})):
        assert (answer.status_code, answer.json()["code"]) == (409, "outcome_unknown")


def test_pages_of_the_queue(shop: httpx.Client) -> None:
    assert _queue(shop)["pagination"] == {"page": 1, "limit": 10, "total": 0, "pages": 0}
    ids = [shop.post("/api/messages/send", json={**TEXT, "message": f"n{n}"}).json()["messageId"] for n in range(7)]
    newest_first = ids[::-1]
    page = _queue(shop, page=2, limit=3)
    assert [one["id"] for one in page["messages"]] == newest_first[3:6]
    assert page["pagination"].items() >= {"page": 2, "limit": 3, "total": 7, "pages": 3}.items()
    after = _queue(shop, limit=3, cursor=page["pagination"]["nextCursor"])
    assert [one["id"] for one in after["messages"]] == newest_first[6:]
    assert "nextCursor" not in after["pagination"]
    assert _queue(shop, page=99)["messages"] == []
    assert _queue(shop, page="", limit="null")["pagination"]["limit"] == 10
    assert _queue(shop, limit=1000)["pagination"]["limit"] == 100


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=x",
        "page=1.5",
        "page=%FF",
        "page=1&page=2",
        "limit=0",
        "limit=%F0%9F%98%80",
        "status=lost",
        "to=x",
        "from=yesterday",
        "until=2027-99-99T00:00Z",
        "cursor=x",
        "q=%00",
        "q=" + "x" * 300,
    ],
)
def test_queries_that_are_refused(query: str, shop: httpx.Client) -> None:
    assert shop.get(f"/api/messages/queue?{query}").status_code == 400


@pytest.fixture
def two(alice: Person, shop: httpx.Client) -> tuple[str, str]:
    """The ids of a message that was sent and of one that is due in five days, to somebody else."""
    sent = shop.post("/api/messages/send", json={**TEXT, "message": "Your order 100% ready"}).json()["messageId"]
    alice.sent(sent)
    later = {**TEXT, "phoneId": "+919876500000", "scheduledTime": ahead(days=5)}
    return sent, shop.post("/api/messages/schedule", json=later).json()["messageId"]


def _found(client: httpx.Client, **query: Any) -> list[str]:
    return [one["id"] for one in _queue(client, **query)["messages"]]


def test_the_queue_by_status(two: tuple[str, str], shop: httpx.Client) -> None:
    sent, scheduled = two
    assert _found(shop) == [scheduled, sent]
    assert _found(shop, status="sent") == [sent]
    assert _found(shop, status="scheduled") == [scheduled]
    assert _found(shop, status="queued") == []


def test_the_queue_by_recipient_text_and_time(two: tuple[str, str], shop: httpx.Client) -> None:
    sent, scheduled = two
    assert _found(shop, to="+91 98765 00000") == [scheduled]
    assert _found(shop, q="ORDER 100%") == [sent]
    assert _found(shop, q="100_") == []
    assert _found(shop, **{"from": ahead(days=4)}) == [scheduled]
    assert _found(shop, until=ahead(days=4)) == [sent]


@pytest.mark.parametrize("message_id", ["x", "msg_", "msg_" + "0" * 32, "sched_" + "f" * 32, "%00", "msg_'--"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_message_that_is_not_there(method: str, message_id: str, shop: httpx.Client) -> None:
    answer = shop.request(method, f"/api/messages/{message_id}", json={"message": "x"} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


PREVIEW: dict[str, Any] = {
    "message": "Hi {{name}}, thank you for shopping with us! Please reply to this message if you need any help.",
    "aiModifications": {"useSynonyms": True, "addEmojis": True, "shuffleSentences": False},
    "fields": {"name": "Priya"},
}


def test_a_previewed_wording_is_sent_to_the_letter_by_its_seed(shop: httpx.Client) -> None:
    shown = shop.post("/api/messages/preview", json={**PREVIEW, "variants": 3}).json()
    assert len({one["text"] for one in shown["variants"]}) == 3
    assert shown["variantsPossible"] >= 3
    assert shown["unchangedBecause"] is None
    assert shown["spintax"].startswith("{Hi {{name}},|Hello {{name}},|")
    chosen = shown["variants"][2]
    assert "Priya" in chosen["text"]
    assert chosen["changes"][0].keys() == {"rule", "before", "after"}
    body = {**TEXT, **PREVIEW, "aiModifications": {**PREVIEW["aiModifications"], "seed": chosen["seed"]}}
    accepted = shop.post("/api/messages/schedule", json={**body, "scheduledTime": ahead(days=1)}).json()
    assert (accepted["preview"], accepted["changes"]) == (chosen["text"], chosen["changes"])
    (listed,) = _queue(shop)["messages"]
    assert (listed["message"], listed["original"]) == (chosen["text"], PREVIEW["message"])


def test_a_preview_as_spintax_may_be_edited_and_sent(shop: httpx.Client) -> None:
    asked = {**PREVIEW, "message": "Hi {{name}}, call me \\{now\\}."}
    written = shop.post("/api/messages/preview", json=asked).json()["spintax"]
    assert written.startswith("{Hi {{name}},|Hello {{name}},|"), written
    assert written.endswith("} call me \\{now\\}."), written
    edited = {
        **TEXT,
        **PREVIEW,
        "message": "{Hey {{name}},|Dear" + written.removeprefix("{Hi"),
        "aiModifications": None,
    }
    assert shop.post("/api/messages/send", json=edited).status_code == 200
    (listed,) = _queue(shop)["messages"]
    greetings = {"Hey", "Dear", "Hello", "Hi there"}
    assert listed["message"] in {f"{one} Priya, call me {{now}}." for one in greetings}


def test_wordings_that_cannot_be_written_as_one_text_are_null(shop: httpx.Client) -> None:
    asked = {**PREVIEW, "message": "{a|b} {c|d} {e|f} {g|h}: thank you for shopping with us!"}
    shown = shop.post("/api/messages/preview", json=asked).json()
    assert (shown["spintax"], shown["variantsPossible"] > 16) == (None, True)


def test_a_one_time_code_stays_as_it_is_and_says_why(shop: httpx.Client) -> None:
    text = "Your OTP is 482913. Do not share it with anyone."
    shown = shop.post("/api/messages/preview", json={**PREVIEW, "message": text}).json()
    assert [one["text"] for one in shown["variants"]] == [text]
    assert shown["unchangedBecause"]["code"] == "sensitive_one_time_code"
    assert shown["spintax"] == text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"variants": 21}, "variants"),
        ({"variants": 0}, "variants"),
        ({"variants": "many"}, "variants"),
        ({"variants": 1.5}, "variants"),
        ({"variants": True}, "variants"),
        ({"message": ""}, "message"),
        ({"fields": {}}, "fields.name"),
        ({"fields": None}, "fields.name"),
        ({"aiModifications": []}, "aiModifications"),
    ],
)
def test_a_preview_of_bad_input_names_the_field(change: dict[str, Any], field: str, shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/preview", json={**PREVIEW, **change})
    assert answer.status_code == 400, answer.text
    assert field in [one["field"] for one in answer.json()["errors"]]


def test_what_waits_for_its_recipient_says_so_and_until_when(alice: Person) -> None:
    account = alice.link("919876543211")
    accepted = alice.http.post("/api/messages/send", data=TEXT).json()
    alice.server.sql(
        "UPDATE contact SET retry_at = now() + interval '1 minute', retry_code = 'recipient_unreachable'"
        " WHERE account_id = $1",
        account,
    )
    shown = alice.http.get(f"/api/messages/{accepted['messageId']}").json()
    assert shown["reason"]["code"] == "recipient_unreachable"
    assert shown["nextAttemptAt"] > shown["scheduledFor"]


def test_half_an_emoji_is_refused_by_its_field(shop: httpx.Client) -> None:
    body = b'{"phoneId": "+1234567890", "message": "\\ud83d"}'
    answer = shop.post("/api/messages/send", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == ["message"]


def test_a_page_that_no_list_has_is_empty_and_a_great_limit_is_the_greatest(shop: httpx.Client) -> None:
    assert _queue(shop, page=10**30)["messages"] == []
    assert _queue(shop, limit=10**30)["pagination"]["limit"] == 100


def test_a_time_in_the_past_says_how_it_was_read(shop: httpx.Client) -> None:
    answer = shop.post("/api/messages/schedule", json={**TEXT, "scheduledTime": "2026-01-01T10:00:00+05:30"})
    assert "it means 2026-01-01T04:30:00.000Z" in answer.json()["message"]


def test_a_session_that_ends_while_the_message_comes_in_accepts_nothing(alice: Person) -> None:
    alice.link("4915111111111")
    body = b'{"phoneId": "+4915200001", "message": "too late"}'
    with closing(socket.create_connection(("127.0.0.1", alice.server.port), timeout=30)) as connection:
        connection.sendall(
            f"POST /api/messages/send HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\nExpect: 100-continue\r\n"
            f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        assert b"100 Continue" in connection.recv(1000)  # she is known, and the handler waits for the body
        assert alice.http.post("/api/auth/logout").status_code == 200
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 401")
    assert not alice.server.sql("SELECT FROM message")
