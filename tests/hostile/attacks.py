"""What can be asked for that is cheap to ask and dear to answer: each a function of a client that is signed in."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx

from tests.unit.media import bombs

Ask = Callable[[httpx.Client], httpx.Response]
Make = Callable[[], Ask]

TO = "+919811111111"
BULK_SECONDS = 60.0
ALL_WAYS = {"useSynonyms": True, "addEmojis": True, "shuffleSentences": True}

TEXTS: dict[str, dict[str, Any]] = {
    "alternatives within each other": {"message": "{a|" * 10_000 + "\U0001f600" + "}" * 10_000},
    "placeholders that fill with much": {"message": "{{a}}" * 13_000, "fields": {"a": "é" * 16_000}},
    "many empty alternatives": {"message": "{|}" * 3_000},
    "many alternatives": {"message": "{aa|bb}" * 9_000},
    "alternatives that fill with much": {"message": "{{{a}}|{{a}}}" * 4_000, "fields": {"a": "x" * 4_000}},
    "braces without end": {"message": "{" * 65_000},
    "marks upon one letter": {"message": "a" + "\u0301" * 16_000 + "\u0316" * 16_000},
    "many sentences to vary": {"message": "Thank you for your order! Please reply. " * 1_600},
    "one word to vary": {"message": "thanks" * 10_900},
}


def preview(body: dict[str, Any]) -> Ask:
    """Twenty wordings of a text."""
    return lambda client: client.post(
        "/api/messages/preview", json={**body, "variants": 20, "aiModifications": ALL_WAYS}
    )


def send(body: dict[str, Any]) -> Ask:
    """A message with a text."""
    return lambda client: client.post("/api/messages/send", json={**body, "phoneId": TO, "aiModifications": ALL_WAYS})


def schedule(body: dict[str, Any]) -> Ask:
    """A message of tomorrow with a text."""
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return lambda client: client.post(
        "/api/messages/schedule", json={**body, "phoneId": TO, "aiModifications": ALL_WAYS, "scheduledTime": due}
    )


def rows(body: dict[str, Any], count: int) -> Ask:
    """A bulk of so many such messages."""
    row = json.dumps({**body, "phoneId": TO, "aiModifications": ALL_WAYS})
    return bulk((row + "\n").encode() * count, "application/x-ndjson")


def bulk(content: bytes, content_type: str) -> Ask:
    """A bulk of a file's content, until the worker has done with it."""

    def ask(client: httpx.Client) -> httpx.Response:
        answer = client.post("/api/messages/bulk", content=content, headers={"content-type": content_type})
        deadline = time.monotonic() + BULK_SECONDS
        while answer.is_success and time.monotonic() < deadline:
            state = client.get(f"/api/messages/bulk/{answer.json()['bulkId']}", params={"limit": 1})
            if not state.is_success or state.json()["status"] == "accepted":
                break
            time.sleep(0.2)
        return answer

    return ask


def upload(make: Callable[[], bytes]) -> Ask:
    """A message with a file."""
    content = make()
    return lambda client: client.post(
        "/api/messages/send", data={"phoneId": TO}, files={"mediaFile": ("picture.jpg", content)}
    )


def raw(path: str, content: bytes) -> Ask:
    """A request with such a body, said to be JSON."""
    return lambda client: client.post(path, content=content, headers={"content-type": "application/json"})


def log_in(username: str, password: str) -> Ask:
    """A log-in by somebody who is not signed in."""
    return lambda client: client.post(
        "/api/auth/login", json={"username": username, "password": password}, headers={"cookie": ""}
    )


def texts() -> Iterator[tuple[str, Make]]:
    """Each text in each place that takes one."""
    for name, body in TEXTS.items():
        yield f"preview: {name}", partial(preview, body)
        yield f"send: {name}", partial(send, body)
        yield f"schedule: {name}", partial(schedule, body)
        yield f"bulk: {name}", partial(rows, body, 10)


def files() -> Iterator[tuple[str, Make]]:
    """Rows of messages, and media."""
    names = ",".join(f"c{number}" for number in range(12_000))
    wide = ",".join(f"c{number}" for number in range(400))
    for name, content in {
        "many columns": f"phoneId,message,{names}\n{TO},hi\n",
        "one name many times": "phoneId,message" + ",a" * 25_000 + "\n",
        "many cells": f"phoneId,message,{wide}\n" + (f"{TO},hi" + ",x" * 400 + "\n") * 2_000,
        "a line without end": "phoneId,message," + "a" * 9_000_000,
        "a quotation without end": f'phoneId,message\n{TO},"' + "a\n" * 4_500_000,
    }.items():
        yield f"CSV: {name}", partial(bulk, content.encode(), "text/csv")
    for name, content in {
        "one of 9 MB": '{"a":[' + "[]," * 3_000_000 + "[]]}",
        "a depth without end": '{"a":' + "[" * 9_000_000,
        "empty ones": "\n" * 9_000_000,
        "many that are refused": '{"phoneId":"x","message":""}\n' * 2_000,
    }.items():
        yield f"JSON lines: {name}", partial(bulk, content.encode(), "application/x-ndjson")
    for name, make in bombs.BOMBS.items():
        yield f"media: {name}", partial(upload, make)


def people() -> Iterator[tuple[str, Make]]:
    """Names, passwords and bodies."""
    marks = "a" + "\u0301" * 16_000 + "\u0316" * 16_000
    yield "log-in: a name of marks", partial(log_in, marks, "a password")
    yield "log-in: a name of 1 MB", partial(log_in, "\ufdfa" * 340_000, "a password")
    yield "log-in: a password of 1 MB", partial(log_in, "alice", "x" * 1_000_000)
    yield "log-in: a wrong password", partial(log_in, "alice", "wrong password")
    person = json.dumps(dict.fromkeys(("name", "username", "password", "phone", "email"), marks))
    yield "register: a name of marks", partial(raw, "/api/auth/register", person.encode())
    for name, content in {
        "nothing but depth": '{"message":' + "[" * 1_000_000,
        "a number of 1 MB": '{"message":' + "9" * 1_000_000 + "}",
        "many members": json.dumps({f"m{number}": number for number in range(60_000)}),
    }.items():
        yield f"body: {name}", partial(raw, "/api/messages/send", content.encode())


def all_of_them() -> dict[str, Make]:
    """What makes each attack, by its name: making takes time as well."""
    return dict((*texts(), *files(), *people()))


SHORT = (
    *("preview: alternatives within each other", "preview: many empty alternatives", "send: many sentences to vary"),
    *("send: placeholders that fill with much", "schedule: alternatives that fill with much"),
    *("bulk: alternatives within each other", "bulk: placeholders that fill with much"),
    *("CSV: many columns", "CSV: many cells", "JSON lines: one of 9 MB", "log-in: a name of marks"),
    *("media: a GIF of 43 bytes", "media: a WebP with alpha within the pixels", "media: a JPEG of 3,000 scans"),
)
"""One or two of each kind."""
