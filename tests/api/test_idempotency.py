"""One Idempotency-Key, given with a message and with a bulk: an answer is read only by what wrote it."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import Person

PHONE = "+919876543211"
KEY = {"idempotency-key": "once"}
JSONL = {"content-type": "application/x-ndjson", **KEY}
CSV = {"content-type": "text/csv", **KEY}
AS_HASHED = json.dumps(["msg", PHONE, "hello", *[None] * 5, "normal", None], separators=(",", ":")).encode()
"""What a message is hashed as: as a file it is refused, but not before its key is looked up."""
ROW = json.dumps({"phoneId": PHONE, "message": "hello"}).encode()


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    alice.link("919876543210")
    return alice.http


def send(client: httpx.Client) -> httpx.Response:
    return client.post("/api/messages/send", json={"phoneId": PHONE, "message": "hello"}, headers=KEY)


def submit(client: httpx.Client, body: bytes, headers: dict[str, str] = JSONL) -> httpx.Response:
    return client.post("/api/messages/bulk", content=body, headers=headers)


def mismatch(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")


def test_a_bulk_does_not_read_what_a_message_was_answered(shop: httpx.Client) -> None:
    first = send(shop)
    assert first.status_code == 200
    assert mismatch(submit(shop, AS_HASHED))
    assert send(shop).json() == first.json()


def test_nor_does_a_message_read_what_a_bulk_was_answered(shop: httpx.Client) -> None:
    first = submit(shop, ROW)
    assert first.status_code == 200
    assert mismatch(send(shop))
    assert submit(shop, ROW).json() == first.json()


def test_the_same_bytes_in_another_form_are_another_bulk(shop: httpx.Client) -> None:
    body = b"phoneId,message\n+919876543211,hello\n"
    assert submit(shop, body, CSV).status_code == 200
    assert mismatch(submit(shop, body, JSONL))


def _stored_before(alice: Person, asked: bytes, answer: dict[str, Any]) -> None:
    """As the release before stored it."""
    alice.server.sql("DELETE FROM idempotency")
    statement = "INSERT INTO idempotency (user_id, key, request_hash, answer) VALUES ($1, 'once', $2, $3)"
    alice.server.sql(statement, alice.id, asked, answer)


def test_what_the_release_before_stored_is_known(alice: Person, shop: httpx.Client) -> None:
    digest = hashlib.sha256(AS_HASHED).digest()
    of_bulk = {"id": "bulk_0197a3f2c9e07c3b9d5f8e6a41b2c3d4", "rows": 1}
    _stored_before(alice, digest, of_bulk)
    assert submit(shop, AS_HASHED).json() == {"success": True, "bulkId": of_bulk["id"], "rows": 1}
    assert mismatch(submit(shop, AS_HASHED + b"\n"))
    assert mismatch(send(shop))
    of_message = {"id": "msg_1", "scheduled_for": "2027-05-16T10:00:00+00:00", "warnings": []}
    _stored_before(alice, digest, {**of_message, "preview": None, "changes": None})
    assert send(shop).json()["messageId"] == "msg_1"
    assert mismatch(submit(shop, AS_HASHED))
    assert alice.server.sql("SELECT count(*) FROM message") == [(0,)]
    assert alice.server.sql("SELECT count(*) FROM bulk") == [(0,)]
