"""HEAD: what monitors, `wget --spider` and balancers ask instead of GET."""

import re

import httpx
import pytest

from tests.api.conftest import Person


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json", "/"])
def test_head_answers_as_get_but_for_the_body(path: str, http: httpx.Client) -> None:
    head, got = http.head(path), http.get(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    for name in ("content-type", "content-length", "cache-control", "location"):
        assert head.headers.get(name) == got.headers.get(name)


def test_head_asks_for_a_session_where_get_does(alice: Person, http: httpx.Client) -> None:
    assert http.head("/api/messages/queue").status_code == 401
    assert alice.http.head("/api/messages/queue").status_code == 200


def test_the_head_of_a_stream_has_an_end(alice: Person) -> None:
    assert alice.http.head("/api/events").headers["content-type"].startswith("text/event-stream")
    assert alice.http.get("/api/users/me").is_success  # on the same connection


def test_there_is_no_head_where_there_is_no_get(alice: Person) -> None:
    answer = alice.http.head("/api/messages/send")
    assert (answer.status_code, answer.content) == (405, b"")
    assert set(alice.http.put("/health/live").headers["allow"].split(", ")) >= {"GET", "HEAD"}


def test_it_is_counted_as_what_it_is(http: httpx.Client) -> None:
    http.head("/health/live")
    assert re.search(r'method="HEAD",route="/health/live",status="200"', http.get("/metrics").text)
