"""Texts written to cost, by every way in which a text comes."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from chatwren.service import wording
from chatwren.store import bulks
from chatwren.variation import Variation
from tests.api.conftest import Person, ahead

EVERYTHING = {"useSynonyms": True, "addEmojis": True, "shuffleSentences": True}
BOMBS: dict[str, dict[str, Any]] = {
    "nested": {"message": "{a|" * 10_000 + "😀" + "}" * 10_000, "aiModifications": EVERYTHING},
    "long values": {"message": "{{a}}" * 13_000, "fields": {"a": "é" * 16_000}},
    "long values in a branch": {"message": "{{{a}}|" + "{{a}}" * 1_500 + "}", "fields": {"a": "é" * 16_000}},
    "choices": {"message": "{|}" * 3_000, "aiModifications": EVERYTHING},
    "signs": {"message": "{" * 65_000, "fields": {}},
}


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_by_name_wherever_it_comes(shop: httpx.Client, bomb: dict[str, Any]) -> None:
    to = {"phoneId": "+919811111111"}
    kept = shop.post("/api/messages/send", json={**to, "message": "hello", "fields": bomb.get("fields", {})}).json()
    answers = [
        shop.post("/api/messages/send", json={**to, **bomb}),
        shop.post("/api/messages/schedule", json={**to, **bomb, "scheduledTime": ahead(hours=1)}),
        shop.post("/api/messages/preview", json={"variants": 20, **bomb}),
        shop.patch(f"/api/messages/{kept['messageId']}", json={"message": bomb["message"]}),
    ]
    for answer in answers:
        assert answer.status_code == 400, answer.text[:300]
        assert [one["field"] for one in answer.json()["errors"]] == ["message"]
    assert len(max((answer.text for answer in answers), key=len)) < 1_000


def test_names_and_values_of_fields_are_bounded(shop: httpx.Client) -> None:
    for fields, field in (
        ({"a": "x" * 16_385}, "fields.a"),
        ({"n" * 201: "x"}, "fields"),
        ({f"a{number}": "x" for number in range(101)}, "fields"),
        ({"a": ["x"]}, "fields.a"),
    ):
        answer = shop.post("/api/messages/preview", json={"message": "hello", "fields": fields})
        assert (answer.status_code, [one["field"] for one in answer.json()["errors"]]) == (400, [field])
        assert len(answer.text) < 1_000
    answer = shop.post("/api/messages/preview", json={"message": "hello {{a}}", "fields": {"a": "x" * 4_000}})
    assert answer.status_code == 200


def test_more_long_previews_than_a_user_may_have_are_refused_and_others_are_served(alice: Person, bob: Person) -> None:
    """Each of Alice's looks for as many wordings as there may be, of a text that has none other, for a second."""
    slow = {"message": "{|}" * 990 + "Thank you for your order. " + "1:0" * 700, "variants": 20}
    body = json.dumps({**slow, "aiModifications": EVERYTHING})

    def preview(_: int) -> httpx.Response:
        return alice.http.post("/api/messages/preview", content=body, headers={"content-type": "application/json"})

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(preview, range(8))
        took = []
        for number in range(20):
            began = time.monotonic()
            text = f"Thank you for your order, friend {number}."
            answer = bob.http.post("/api/messages/preview", json={"message": text, "aiModifications": EVERYTHING})
            took.append(time.monotonic() - began)
            assert answer.status_code == 200, answer.text
        found = list(answers)
    assert {one.status_code for one in found} == {200, 429}
    refused = next(one.json() for one in found if one.status_code == 429)
    assert (refused["code"], refused["limit"], refused["allowed"]) == ("limit_reached", "computing", 2)
    assert max(took) < 10  # a tenant is not kept waiting by another; how long exactly is for the bench


def test_work_ends_when_the_client_has_left(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    worded = []
    begun, left = threading.Event(), threading.Event()

    def word(*_: Any, **more: Any) -> Any:
        worded.append(more["seed"])
        begun.set()
        left.wait(20)
        return Variation(f"text {len(worded)}", (), more["seed"], 20, None)

    monkeypatch.setattr(wording, "word_template", word)
    with alice.server.client(headers={"cookie": alice.cookie}) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/messages/preview", json={"message": "hello", "variants": 20}, timeout=1)
        assert begun.is_set()
    alice.http.get("/api/users/me")  # the server has looked at its connections since
    left.set()
    monkeypatch.undo()
    assert alice.http.post("/api/messages/preview", json={"message": "hello {a|b}"}).status_code == 200
    assert worded == ["1"]


def test_a_bulk_whose_client_leaves_while_it_is_read_is_none(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.link("919876543210")
    left = threading.Event()
    line_of = bulks.line_of

    def slowly(*given: Any) -> bytes:
        left.wait(20)
        return line_of(*given)

    monkeypatch.setattr(bulks, "line_of", slowly)
    with alice.server.client(headers={"cookie": alice.cookie, "content-type": "application/x-ndjson"}) as client:
        body = '{"phoneId": "+919811111111", "message": "hello"}\n' * 10_000
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/messages/bulk", content=body, timeout=1)
    alice.http.get("/api/users/me")
    left.set()
    monkeypatch.undo()
    answer = alice.http.post("/api/messages/preview", json={"message": "hello {a|b}"})  # waits for Alice's own thread
    assert answer.status_code == 200
    assert alice.server.sql("SELECT count(*) FROM bulk") == [(0,)]
