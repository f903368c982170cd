"""Bodies by chance, some hundred, and with CHATWREN_TEST_HOSTILE=long 20,000.

No answer is a 5xx or holds what only Python would say; and what was given for a field of ours is stored or refused by
name, and never dropped.
"""

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chatwren.service import bulk
from chatwren.store.database import Database
from tests.conftest import Postgres
from tests.hostile import generated
from tests.hostile.generated import BOUNDARY, Meant, kept_name
from tests.shop import Shop
from tests.shop import shop as open_shop

F = TypeVar("F", bound=Callable[..., None])

LONG = os.environ.get("CHATWREN_TEST_HOSTILE") == "long"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
CSV = "text/csv"
SEND = "/api/messages/send"
BULK = "/api/messages/bulk"
_PYTHONS_WORDS = re.compile(
    r"Traceback|[A-Za-z]+(?:Error|Exception|Warning)\b|codec can't|in position \d|NoneType|invalid literal|<class "
    r"|unexpected keyword|positional argument|object (?:is not|has no)|Expecting |line 1 column|0x[0-9a-f]{2}\b"
    r"|not subscriptable|unhashable|not iterable|base64-encoded|Incorrect padding|unpack |JSON is malformed|Expected `"
)


def by_chance(share: int, **strategies: Any) -> Callable[[F], F]:
    """Try so many of 100 examples in the short form, of 20,000 in the long one."""

    def decorated(test: F) -> F:
        tried = settings(
            max_examples=share * (200 if LONG else 1),
            deadline=None,
            derandomize=not LONG,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        return cast("F", tried(given(**strategies)(test)))

    return decorated


@pytest.fixture(scope="module")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A web process, and Alice, who has an account there."""
    with open_shop(postgres, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


def post(shop: Shop, path: str, body: bytes, content_type: str) -> httpx.Response:
    """An answer that is sound, whatever was sent."""
    answer = shop.http.post(path, content=body, headers={"content-type": content_type})
    assert answer.status_code < 500, answer.text
    told = answer.json()
    if not answer.is_success:
        assert told["success"] is False
        assert not any(unicodedata.category(char) == "Cc" for char in told["message"])
        for one in told.get("errors", []):
            assert one["message"][:1].isalpha() or not one["field"][:1].isalpha()  # it may begin with the name
        assert not _PYTHONS_WORDS.search(answer.text), answer.text
    return answer


def is_as_meant(shop: Shop, meant: Meant, message_id: str) -> None:
    stored = shop.message(message_id)
    assert stored["message"] == meant.text
    assert stored["to"] == meant.to
    assert stored["lane"] in ({meant.lane} if meant.lane == "urgent" else {meant.lane, "cold"})
    if meant.due:
        assert stored["scheduledFor"] == meant.due
    assert (stored["media"] is None) == (meant.file is None)
    if meant.file:
        assert stored["media"]["fileName"] == kept_name(meant.file)
        assert shop.content(stored) == meant.file.content


def is_stored_or_refused(shop: Shop, meant: Meant, answer: httpx.Response) -> None:
    """What is right is stored as it was meant, and what is wrong named."""
    if meant.wrong:
        assert answer.status_code == 400, answer.text
        assert {one["field"] for one in answer.json()["errors"]} == meant.wrong
    else:
        assert answer.status_code == 200, answer.text
        is_as_meant(shop, meant, answer.json()["messageId"])


@by_chance(30, data=st.data(), meant=generated.messages(files=True))
def test_a_multipart_body(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    is_stored_or_refused(shop, meant, post(shop, SEND, data.draw(generated.multipart(meant)), MULTIPART))


@by_chance(15, data=st.data(), meant=generated.messages(files=False))
def test_a_json_body(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    body = json.dumps(data.draw(generated.members(meant)), ensure_ascii=data.draw(st.booleans())).encode()
    is_stored_or_refused(shop, meant, post(shop, SEND, body, JSON))


@by_chance(10, data=st.data(), meant=generated.messages(files=False))
def test_a_urlencoded_body(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    body = generated.urlencoded(data.draw(generated.pairs(meant)))
    is_stored_or_refused(shop, meant, post(shop, SEND, body, URLENCODED))


@by_chance(15, data=st.data(), rows=st.lists(generated.messages(files=False), min_size=1, max_size=4))
def test_a_csv_file(shop: Shop, data: st.DataObject, rows: list[Meant]) -> None:
    answer = post(shop, BULK, data.draw(generated.table(rows)), CSV)
    assert answer.status_code == 200, answer.text
    found = accepted(shop, answer.json()["bulkId"])
    assert len(found) == len(rows)
    for meant, row in zip(rows, found, strict=True):
        if meant.wrong:
            assert {one["field"] for one in row["errors"]} == meant.wrong
        else:
            assert not row["errors"]
            is_as_meant(shop, meant, row["messageId"])


@by_chance(12, data=st.data(), meant=generated.messages(files=True))
def test_a_multipart_body_that_was_damaged(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    body = data.draw(generated.damaged(data.draw(generated.multipart(meant))))
    answer = post(shop, data.draw(st.sampled_from([SEND, BULK])), body, MULTIPART)
    if answer.is_success and FILE_PART.search(body):
        assert shop.message(answer.json()["messageId"])["media"]


FILE_PART = re.compile(rb'name="mediaFile"; filename="')


@by_chance(8, data=st.data(), meant=generated.messages(files=False))
def test_a_json_body_that_was_damaged_or_is_any(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    members = data.draw(generated.members(meant))
    if data.draw(st.booleans()):
        members[data.draw(st.sampled_from(sorted(members)))] = data.draw(generated.anything)
        post(shop, SEND, json.dumps(members).encode(), JSON)
    else:
        post(shop, SEND, data.draw(generated.damaged(json.dumps(members).encode())), JSON)


@by_chance(4, data=st.data(), meant=generated.messages(files=False))
def test_a_urlencoded_body_that_was_damaged(shop: Shop, data: st.DataObject, meant: Meant) -> None:
    body = data.draw(generated.damaged(generated.urlencoded(data.draw(generated.pairs(meant)))))
    post(shop, SEND, body, URLENCODED)


@by_chance(6, data=st.data(), rows=st.lists(generated.messages(files=False), min_size=1, max_size=3))
def test_a_csv_file_that_was_damaged(shop: Shop, data: st.DataObject, rows: list[Meant]) -> None:
    answer = post(shop, BULK, data.draw(generated.damaged(data.draw(generated.table(rows)))), CSV)
    if answer.is_success:
        assert len(accepted(shop, answer.json()["bulkId"])) == answer.json()["rows"]


def accepted(shop: Shop, bulk_id: str) -> list[dict[str, Any]]:
    """The rows of a bulk, each of them accepted or refused, as a worker does. Then it is over."""

    async def do(db: Database) -> None:
        while await bulk.accept_some(db, default_zone=None):
            pass

    shop.run(do)
    answer = shop.http.get(f"/api/messages/bulk/{bulk_id}", params={"limit": 100})
    shop.http.post("/api/messages/cancel", json={"bulkId": bulk_id}).raise_for_status()
    rows: list[dict[str, Any]] = answer.json()["rows"]
    for row in rows:
        assert bool(row["messageId"]) != bool(row["errors"])
        for one in row["errors"]:
            assert not _PYTHONS_WORDS.search(one["message"]), one
            assert one["message"] not in _OURS, one
    return rows


_OURS = {json.loads(text)[0]["message"] for text in (bulk._GIVEN_UP, bulk._NOT_WORDED)}
"""Of rows that we could not read, though each can be."""
