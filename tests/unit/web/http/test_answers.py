"""Answers say the same as Litestar's own, in fewer steps, and are done with their last byte."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.datastructures import ResponseHeader
from litestar.testing import AsyncTestClient

from chatwren.web.http.answers import Answer, Whole


@get("/data", response_headers=[ResponseHeader(name="X-Of-The-Route", value="here")])
async def data() -> Mapping[str, object]:
    return {"text": "ü"}


@get("/nothing", status_code=204)
async def nothing() -> None:
    return None


@get("/page", media_type="text/html")
async def page() -> str:
    return "<p>ü</p>"


@pytest.mark.parametrize(
    ("path", "status", "body", "kind"),
    [
        ("/data", 200, '{"text":"ü"}', "application/json"),
        ("/nothing", 204, "", None),
        ("/page", 200, "<p>ü</p>", "text/html; charset=utf-8"),
    ],
)
async def test_as_litestar_would_say_it(path: str, status: int, body: str, kind: str | None) -> None:
    of_all = [ResponseHeader(name="Cache-Control", value="no-store")]
    said = []
    for one in (Answer, None):
        app = Litestar(
            [data, nothing, page],
            response_headers=of_all,
            response_class=one,
            openapi_config=None,
            logging_config=None,
        )
        async with AsyncTestClient(app) as client:
            answer = await client.get(path)
        said.append((answer.status_code, answer.content, dict(answer.headers)))
    ours, theirs = said
    assert ours == theirs
    assert (ours[0], ours[1].decode(), ours[2].get("content-type")) == (status, body, kind)
    assert ours[2]["cache-control"] == "no-store"
    assert ours[2].get("x-of-the-route") == ("here" if path == "/data" else None)


async def pieces() -> AsyncIterator[bytes]:
    yield b"ab"
    yield b"c"
    await asyncio.Event().wait()  # as long as a store takes to say that this was all


@get("/file")
async def file() -> Whole:
    return Whole(pieces(), size=3, media_type="text/plain", headers={})


async def test_a_file_is_answered_when_its_last_byte_is_out() -> None:
    """The client has it whole then, and its next request may not come before its turn."""
    app, said = Litestar([file], openapi_config=None, logging_config=None), asyncio.Queue[Any]()
    scope = {"type": "http", "method": "GET", "path": "/file", "raw_path": b"/file", "query_string": b"", "headers": []}

    async def receive() -> Any:
        await asyncio.Event().wait()

    answering = asyncio.create_task(app({**scope, "client": None, "server": None, "state": {}}, receive, said.put))  # type: ignore[arg-type]
    try:
        start, one, last = [await asyncio.wait_for(said.get(), 10) for _ in range(3)]
    finally:
        answering.cancel()
    assert (b"content-length", b"3") in start["headers"]
    assert (one["body"], one["more_body"], last["body"], last["more_body"]) == (b"ab", True, b"c", False)
    assert said.empty()
