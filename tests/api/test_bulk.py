"""Many messages handed over at once: each row accepted or refused, whatever dies."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from chatwren.service import bulk
from chatwren.store.database import Database
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer

JSONL = {"content-type": "application/x-ndjson"}
CSV = {"content-type": "text/csv; charset=utf-8"}


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


def lines(*rows: Any) -> str:
    return "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


def submit(client: httpx.Client, body: str | bytes, headers: dict[str, str]) -> str:
    answer = client.post("/api/messages/bulk", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["bulkId"])


async def _all(db: Database) -> None:
    while await bulk.accept_some(db, default_zone=None):
        pass


def accept(server: WebServer) -> None:
    """What a worker does with open bulks."""
    server.run(_all)


def follow(client: httpx.Client, bulk_id: str, **query: Any) -> Any:
    answer = client.get(f"/api/messages/bulk/{bulk_id}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(client: httpx.Client, **query: Any) -> list[str]:
    found = client.get("/api/messages/queue", params={"limit": 100, **query}).json()["messages"]
    return [one["message"] for one in reversed(found)]


def test_json_lines_become_messages_and_the_rest_says_why_not(shop: httpx.Client, server: WebServer) -> None:
    when = ahead(hours=1)
    body = lines(
        {"phoneId": "+919811111111", "message": "one"},
        "\n",
        {"phoneId": "98111 11112", "message": "two", "scheduledTime": when, "lane": "urgent"},
        {"phoneId": "12", "message": ""},
        "no JSON\n",
        {"phoneId": "+919811111113", "message": "Dear {{name}}", "fields": {"name": "Bob"}, "unknown": 1},
        {"phoneId": "+919811111113", "message": "x", "scheduledTime": "2020-01-01T00:00Z"},
        {"phoneId": "+919811111113", "message": "\ud83d"},
        {"phoneId": "+919811111113", "message": "a\0b"},
    )
    bulk_id = submit(shop, body, JSONL)
    begun = follow(shop, bulk_id)
    assert (begun["status"], begun["total"], begun["accepted"]) == ("accepting", 8, 0)
    accept(server)
    done = follow(shop, bulk_id)
    assert (done["status"], done["total"], done["accepted"], done["refused"]) == ("accepted", 8, 2, 6)
    errors = {row["line"]: [one["field"] for one in row["errors"]] for row in done["rows"]}
    assert errors == {
        1: [],
        3: ["phoneId"],  # without a country code it may be one of the account's country: the error suggests it
        4: ["phoneId", "message"],
        5: [""],
        6: [],
        7: ["scheduledTime"],
        8: ["message"],
        9: ["message"],
    }
    assert texts(shop, bulkId=bulk_id) == ["one", "Dear Bob"]
    assert (done["messages"]["queued"], done["messages"]["scheduled"]) == (2, 0)
    assert done["estimatedLastAt"]
    refused = follow(shop, bulk_id, refused="true", limit=2, page=2)
    assert [row["line"] for row in refused["rows"]] == [5, 7]
    assert (refused["pagination"]["total"], refused["pagination"]["pages"]) == (6, 3)


def test_a_spreadsheets_csv_fills_placeholders(shop: httpx.Client, server: WebServer) -> None:
    body = (
        "\ufeffphoneId;message;name;useSynonyms\r\n"
        '+919811111111;"Dear {{name}},\r\nyour order; it waits.";Bob;\r\n'
        "+919811111112;Dear {{name}};Charlie;\r\n"
        "+919811111113;Thank you for shopping with us!;;true\r\n"
        "+919811111114;too;many;;values\r\n"
    )
    bulk_id = submit(shop, body.encode(), CSV)
    accept(server)
    shown = texts(shop)
    assert shown[:2] == ["Dear Bob,\nyour order; it waits.", "Dear Charlie"]
    assert len(shown) == 3
    found = follow(shop, bulk_id, refused="true")
    assert [row["line"] for row in found["rows"]] == [6]


def test_a_row_with_a_placeholder_that_nothing_fills_is_refused(shop: httpx.Client, server: WebServer) -> None:
    body = "phoneId,message,name\n+919811111111,Hi {{nam}},x\n+919811111112,{{name | upper}},x\n+919811111113,ok,x\n"
    bulk_id = submit(shop, body.encode(), CSV)
    accept(server)
    assert texts(shop) == ["ok"]
    assert [row["line"] for row in follow(shop, bulk_id, refused="true")["rows"]] == [2, 3]


def test_a_browsers_form_sends_the_file(shop: httpx.Client, server: WebServer) -> None:
    files = {"file": ("people.csv", b"phoneId,message\n+919811111111,hello\n", "application/vnd.ms-excel")}
    answer = shop.post("/api/messages/bulk", files=files)
    assert (answer.status_code, answer.json()["rows"]) == (200, 1)
    accept(server)
    assert texts(shop) == ["hello"]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", JSONL, "no_rows"),
        (b"\n\n", JSONL, "no_rows"),
        (b"message\nhello\n", CSV, "no_columns"),
        (b'phoneId,message\n"+91,hello\n', CSV, "malformed_body"),
        (b"phoneId,message\n+919811111111,\xff\n", CSV, "malformed_body"),
        (b'{"phoneId": "+919811111111", "message": "x"}\n' * 10_001, JSONL, "too_many_rows"),
        (b"phoneId,name,Name,phoneid\n", CSV, "no_columns"),
        (b"{}", JSONL | {"content-encoding": "gzip"}, "unsupported_media_type"),
        (b"{}", {"content-type": "application/pdf"}, "unsupported_media_type"),
        (b"", {}, "invalid"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(
    shop: httpx.Client, server: WebServer, body: bytes, headers: dict[str, str], code: str
) -> None:
    answer = shop.post("/api/messages/bulk", content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code
    assert server.sql("SELECT count(*) FROM bulk_row") == [(0,)]


def test_the_same_key_sends_nothing_twice(shop: httpx.Client, server: WebServer) -> None:
    body, key = lines({"phoneId": "+919811111111", "message": "once"}), {"idempotency-key": "campaign 1"}
    first = submit(shop, body, JSONL | key)
    assert submit(shop, body, JSONL | key) == first
    other = shop.post("/api/messages/bulk", content=body * 2, headers=JSONL | key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    accept(server)
    assert texts(shop) == ["once"]


def test_what_is_under_way_is_never_done_twice(shop: httpx.Client, server: WebServer) -> None:
    """Many workers at once, each of which may be killed between any two steps."""
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": f"number {number}"} for number in range(1000)))
    bulk_id = submit(shop, body, JSONL)

    async def many(db: Database) -> None:
        killed = asyncio.create_task(bulk.accept_some(db, default_zone=None))
        await asyncio.sleep(0)
        killed.cancel()
        await asyncio.gather(killed, *(_all(db) for _ in range(4)), return_exceptions=True)

    server.run(many)
    done = follow(shop, bulk_id)
    assert (done["status"], done["accepted"], done["refused"]) == ("accepted", 1000, 0)
    assert server.sql("SELECT count(*), count(DISTINCT text) FROM message") == [(1000, 1000)]


def test_a_row_that_the_database_refuses_costs_its_neighbours_nothing(shop: httpx.Client, server: WebServer) -> None:
    server.sql("ALTER TABLE message ADD CONSTRAINT poison CHECK (text <> 'poison')")
    try:
        rows = ({"phoneId": "+919811111111", "message": text} for text in ("one", "poison", "two"))
        bulk_id = submit(shop, lines(*rows), JSONL)
        accept(server)
    finally:
        server.sql("ALTER TABLE message DROP CONSTRAINT poison")
    assert texts(shop) == ["one", "two"]
    assert [row["line"] for row in follow(shop, bulk_id, refused="true")["rows"]] == [2]


def test_a_row_with_a_file_is_refused_not_sent_without_it(shop: httpx.Client, server: WebServer) -> None:
    row = {"phoneId": "+919811111111", "message": "Our bill"}
    body = lines(
        {**row, "mediaFile": "https://example.com/a.pdf"}, {**row, "mediaFile": {"url": "x"}}, {**row, "mediaFile": ""}
    )
    bulk_id = submit(shop, body, JSONL)
    accept(server)
    refused = follow(shop, bulk_id)["rows"]
    assert [[one["field"] for one in row["errors"]] for row in refused] == [["mediaFile"], ["mediaFile"], []]


def test_a_cancelled_bulk_goes_no_further(shop: httpx.Client, server: WebServer) -> None:
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": "sale"} for number in range(300)))
    bulk_id = submit(shop, body, JSONL)
    server.run(lambda db: bulk.accept_some(db, default_zone=None))
    assert follow(shop, bulk_id)["accepted"] == 200
    assert shop.post("/api/messages/cancel", json={"bulkId": bulk_id}).json()["cancelled"] == 300
    accept(server)
    done = follow(shop, bulk_id)
    assert (done["status"], done["refused"], done["messages"]["cancelled"]) == ("accepted", 100, 200)


def test_pace_and_caps_that_stretch_it_are_told(shop: httpx.Client, server: WebServer, alice: Person) -> None:
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": "sale"} for number in range(50)))
    bulk_id = submit(shop, body, JSONL)
    accept(server)
    found = follow(shop, bulk_id)
    assert "20 such contacts in 24 hours" in " ".join(found["warnings"])
    assert all(re.search(r"goes out about \S+Z \(\S+ \d\d:\d\d in Asia/Kolkata\)\.$", one) for one in found["warnings"])
    assert found["estimatedLastAt"] > ahead(hours=25)
    alice.server.sql("UPDATE message SET lane = 'bulk'")
    assert follow(shop, bulk_id)["estimatedLastAt"] < ahead(hours=1)


def test_without_an_account_there_is_nothing_to_send_from(alice: Person) -> None:
    body = lines({"phoneId": "+919811111111", "message": "x"})
    answer = alice.http.post("/api/messages/bulk", content=body, headers=JSONL)
    assert (answer.status_code, answer.json()["code"]) == (409, "never_linked")
    assert alice.http.get("/api/messages/bulk/bulk_1").status_code == 404
    assert alice.http.get("/api/messages/queue", params={"bulkId": "x"}).status_code == 400


def test_all_that_waits_includes_what_is_not_accepted_yet(shop: httpx.Client, server: WebServer) -> None:
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": "sale"} for number in range(300)))
    bulk_id = submit(shop, body, JSONL)
    server.run(lambda db: bulk.accept_some(db, default_zone=None))
    assert shop.post("/api/messages/cancel", json={"all": True}).json()["cancelled"] == 300
    accept(server)
    assert follow(shop, bulk_id)["messages"]["queued"] == 0


def test_a_condition_besides_the_bulk_leaves_its_rows_alone(shop: httpx.Client, server: WebServer) -> None:
    body = lines(*({"phoneId": f"+9198111{number:05}", "message": "sale"} for number in range(3)))
    bulk_id = submit(shop, body, JSONL)
    for more in ({"to": "+14155550000"}, {"status": "queued"}):
        assert shop.post("/api/messages/cancel", json={"bulkId": bulk_id, **more}).json()["cancelled"] == 0
    accept(server)
    assert follow(shop, bulk_id)["accepted"] == 3


def test_rows_nested_however_deep_are_no_error_of_ours(shop: httpx.Client, server: WebServer) -> None:
    deep = ('{"phoneId": "+919811111111", "message": "x", "deep": ' + "[" * n + "]" * n + "}" for n in range(900, 1100))
    bulk_id = submit(shop, "\n".join(deep), JSONL)
    accept(server)
    done = follow(shop, bulk_id)
    assert done["accepted"] + done["refused"] == 200


def test_columns_are_ours_in_any_case_and_ids_are_those_of_the_queue(shop: httpx.Client, server: WebServer) -> None:
    body = f"PhoneID,MESSAGE,scheduledtime\n+919811111111,later,{ahead(hours=1)}\n+919811111112,now,\n"
    bulk_id = submit(shop, body, CSV)
    accept(server)
    listed = {one["id"] for one in shop.get("/api/messages/queue").json()["messages"]}
    assert {row["messageId"] for row in follow(shop, bulk_id)["rows"]} == listed


def test_the_same_key_at_the_same_time_gives_the_same_bulk(shop: httpx.Client, server: WebServer) -> None:
    body, headers = lines({"phoneId": "+919811111111", "message": "once"}), JSONL | {"idempotency-key": "at once"}
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: submit(shop, body, headers), range(4)))
    assert len(ids) == 1
    accept(server)
    assert texts(shop) == ["once"]


@pytest.fixture
def brazil(alice: Person) -> httpx.Client:
    """Alice's client, with an account in Brazil."""
    alice.link("5511961234567")
    return alice.http


def recipients(client: httpx.Client) -> list[str]:
    found = client.get("/api/messages/queue", params={"limit": 100}).json()["messages"]
    return [one["to"] for one in reversed(found)]


TWO_READINGS = "phoneId,message\n51 99123-4567,one\n+51991234567,two\n11961234568.0,three\n"


def test_a_row_of_two_readings_is_refused_with_both(brazil: httpx.Client, server: WebServer) -> None:
    bulk_id = submit(brazil, TWO_READINGS, CSV)
    accept(server)
    assert recipients(brazil) == ["+51991234567"]
    two, one = follow(brazil, bulk_id, refused="true")["rows"]
    assert (two["line"], two["errors"][0]["field"]) == (2, "phoneId")
    assert "+5551991234567" in two["errors"][0]["message"]
    assert "+51991234567" in two["errors"][0]["message"]
    assert "Did you mean +5511961234568?" in one["errors"][0]["message"]


@pytest.mark.parametrize(
    ("numbers_are", "to"),
    [
        ("national", ["+5551991234567", "+51991234567", "+5511961234568"]),
        ("international", ["+51991234567", "+51991234567"]),
    ],
)
def test_a_list_may_say_how_it_writes_numbers(
    brazil: httpx.Client, server: WebServer, numbers_are: str, to: list[str]
) -> None:
    file = {"file": ("people.csv", TWO_READINGS.encode(), "text/csv")}
    as_form = brazil.post("/api/messages/bulk", files=file, data={"numbersAre": numbers_are})
    assert as_form.status_code == 200, as_form.text
    accept(server)
    assert recipients(brazil) == to
    by_query = brazil.post("/api/messages/bulk", content=TWO_READINGS, headers=CSV, params={"numbersAre": numbers_are})
    assert by_query.status_code == 200, by_query.text
    accept(server)
    assert recipients(brazil) == to * 2


def test_who_is_in_a_list_twice_is_told_and_may_be_skipped(shop: httpx.Client, server: WebServer) -> None:
    body = "phoneId,message\n+919811111111,\n919811111111,one\n+91 98111 11111,two\n+919811111112,three\n"
    plain = shop.post("/api/messages/bulk", content=body, headers=CSV).json()
    (told,) = plain["warnings"]
    assert told.startswith("2 rows are to a recipient of a row before")
    accept(server)
    done = follow(shop, plain["bulkId"])
    assert (done["accepted"], done["refused"]) == (3, 1)
    assert told in done["warnings"]
    skipping = shop.post("/api/messages/bulk", content=body, headers=CSV, params={"duplicates": "skip"}).json()
    assert "skipped" in skipping["warnings"][0]
    accept(server)
    done = follow(shop, skipping["bulkId"])
    assert texts(shop, bulkId=skipping["bulkId"]) == ["one", "three"]  # the first row could not be accepted
    assert [row["line"] for row in done["rows"] if row["errors"]] == [2, 4]
    assert "Skipped" in done["rows"][2]["errors"][0]["message"]


def test_more_rows_than_wordings_are_told(shop: httpx.Client, server: WebServer) -> None:
    def rows(text: str, count: int, **more: str) -> str:
        members = {"message": text, **more}
        return "\n".join(
            json.dumps({"phoneId": f"+9198111111{number:02}", **members}) for number in range(10, 10 + count)
        )

    asked = {"aiModifications[useSynonyms]": "true"}
    few, many = "Yes, your parcel is on its way.", "{Hi|Hello|Hey} {you|all}: your parcel is on its way."
    for text, more, told in (
        (few, asked, ["3 rows have the text of line 1, of which there are 2 wordings"]),
        ("On our way.", asked, ["3 rows have the text of line 1, of which there is 1 wording"]),
        (many, asked, []),
        (few, {}, []),
        ("Hi {{name}}, your parcel is on its way.", asked, []),  # refused, row by row
    ):
        answer = shop.post("/api/messages/bulk", content=rows(text, 3, **more), headers=JSONL).json()
        assert [one.partition(":")[0] for one in answer.get("warnings", [])] == told
    accept(server)
    assert follow(shop, answer["bulkId"])["refused"] == 3


def test_one_person_in_two_spellings_is_skipped_too(shop: httpx.Client, server: WebServer) -> None:
    for numbers in (("+5215512345678", "+525512345678"), ("+541123456789", "+5491123456789")):
        body = "phoneId,message\n" + "".join(f"{one},{one}\n" for one in numbers)
        bulk = shop.post("/api/messages/bulk", content=body, headers=CSV, params={"duplicates": "skip"}).json()
        assert "skipped" in bulk["warnings"][0]
        accept(server)
        assert texts(shop, bulkId=bulk["bulkId"]) == [numbers[0]]


def test_tabs_between_values_have_a_type_and_a_suffix(shop: httpx.Client, server: WebServer) -> None:
    body = b"phoneId\tmessage\n+919811111111\thello\n"
    for given in (
        {"content": body, "headers": {"content-type": "text/tab-separated-values"}},
        {"files": {"file": ("list.tsv", body, "application/octet-stream")}},
    ):
        assert shop.post("/api/messages/bulk", **given).status_code == 200
    accept(server)
    assert texts(shop) == ["hello", "hello"]


@pytest.mark.parametrize("nothing", [None, "null", "undefined"])
def test_nobody_is_greeted_as_nothing(shop: httpx.Client, server: WebServer, nothing: str | None) -> None:
    row = {"phoneId": "+919811111111", "message": "Hi {{name}}", "fields": {"name": nothing}}
    bulk_id = submit(shop, lines(row), JSONL)
    answer = shop.post("/api/messages/send", json=row)
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_field")
    accept(server)
    (refused,) = follow(shop, bulk_id)["rows"]
    assert [one["field"] for one in refused["errors"]] == ["fields.name"]


def test_words_of_which_nothing_is_left_are_refused(shop: httpx.Client, server: WebServer) -> None:
    row = {"phoneId": "+919811111111", "message": "{{greeting}}", "fields": {"greeting": ""}}
    bulk_id = submit(shop, lines(row), JSONL)
    later = {"scheduledTime": ahead(days=1)}
    said = {**row, "fields": {"greeting": "Hello"}, **later}
    accepted = shop.post("/api/messages/schedule", json=said).json()["messageId"]
    for answer in (
        shop.post("/api/messages/send", json=row),
        shop.post("/api/messages/schedule", json={**row, **later}),
        shop.patch(f"/api/messages/{accepted}", json={"message": "{ | }"}),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "message")
    accept(server)
    (refused,) = follow(shop, bulk_id)["rows"]
    assert "blank" in refused["errors"][0]["message"]


def test_a_skipped_recipient_may_be_many_steps_before(shop: httpx.Client, server: WebServer) -> None:
    rows = [{"phoneId": f"+9198111{number % 350:05}", "message": f"number {number}"} for number in range(700)]
    answer = shop.post("/api/messages/bulk", content=lines(*rows), headers=JSONL, params={"duplicates": "skip"})
    accept(server)
    done = follow(shop, answer.json()["bulkId"])
    assert (done["accepted"], done["refused"]) == (350, 350)
    assert server.sql("SELECT count(*), count(DISTINCT recipient) FROM message") == [(350, 350)]


def test_options_of_a_list_are_spelled_right_and_part_of_its_key(shop: httpx.Client) -> None:
    body = lines({"phoneId": "+919811111111", "message": "x"})
    for wrong in ({"numbersAre": "local"}, {"duplicates": "yes"}):
        for answer in (
            shop.post("/api/messages/bulk", content=body, headers=JSONL, params=wrong),
            shop.post("/api/messages/bulk", files={"file": ("a.jsonl", body.encode())}, data=wrong),
        ):
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, next(iter(wrong)))
    key = JSONL | {"idempotency-key": "list"}
    assert shop.post("/api/messages/bulk", content=body, headers=key).status_code == 200
    other = shop.post("/api/messages/bulk", content=body, headers=key, params={"duplicates": "skip"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
