"""What arrives at the phones of those to whom somebody writes."""

import asyncio
from typing import Any

import httpx

from tests.e2e.house import House, Person
from tests.waiting import until

SEND, SCHEDULE, BULK = "/api/messages/send", "/api/messages/schedule", "/api/messages/bulk"


def ways(fields: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The same fields as JSON, URL-encoded and in parts, for a client of httpx. Values are numbers or texts."""
    texts = {name: str(value) for name, value in fields.items()}
    return {"json": fields}, {"data": texts}, {"files": {name: (None, text) for name, text in texts.items()}}


async def post_all(sender: Person, fields: dict[str, Any]) -> list[httpx.Response]:
    """The answers to a message that is sent in all of these ways."""
    return list(await asyncio.gather(*(sender.http.post(SEND, **way) for way in ways(fields))))


async def arrived(home: House, sender: Person, answer: httpx.Response) -> list[dict[str, Any]]:
    """What the recipient's phone shows of this sender, once it shows the message that was accepted with that answer."""
    assert answer.is_success, answer.text
    message = await sender.until_message(answer.json()["messageId"], receipt="read")
    return await home.phones.messages(message["to"].removeprefix("+"), sender=sender.number)


async def bulk(sender: Person, content: str | bytes, *, kind: str = "text/csv", **query: str) -> dict[str, Any]:
    """A bulk as the API shows it, once each of its rows is refused, or was sent and read."""
    answer = await sender.http.post(BULK, content=content, params=query, headers={"content-type": kind})
    assert answer.is_success, answer.text

    async def taken() -> dict[str, Any] | None:
        state: dict[str, Any] = await sender.get(f"{BULK}/{answer.json()['bulkId']}", limit=100)
        return state if state["status"] == "accepted" else None

    state: dict[str, Any] | None = await until(taken, what="the end of the bulk's rows")
    assert state is not None
    for row in state["rows"]:
        if row["messageId"]:
            await sender.until_message(row["messageId"], receipt="read")
    return state


def refusals(state: dict[str, Any]) -> dict[int, str]:
    """The field at fault of each row that was refused, by its line."""
    return {row["line"]: row["errors"][0]["field"] for row in state["rows"] if row["errors"]}


def refused(answer: httpx.Response, *fields: str) -> dict[str, Any]:
    """The body of an answer that refuses these fields in a sentence."""
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    told: dict[str, Any] = answer.json()
    assert {one["field"] for one in told["errors"]} == set(fields), told
    assert not any(word in told["message"] for word in ("Error", "Exception", "codec", "Traceback", "0x")), told
    return told
