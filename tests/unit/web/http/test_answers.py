"""Answers say the same as Litestar's own, in fewer steps."""

from collections.abc import Mapping

import pytest
from litestar import Litestar, get
from litestar.datastructures import ResponseHeader
from litestar.testing import AsyncTestClient

from chatwren.web.http.answers import Answer


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
        app = Litestar([data, nothing, page], response_headers=of_all, openapi_config=None, response_class=one)
        async with AsyncTestClient(app) as client:
            answer = await client.get(path)
        said.append((answer.status_code, answer.content, dict(answer.headers)))
    ours, theirs = said
    assert ours == theirs
    assert (ours[0], ours[1].decode(), ours[2].get("content-type")) == (status, body, kind)
    assert ours[2]["cache-control"] == "no-store"
    assert ours[2].get("x-of-the-route") == ("here" if path == "/data" else None)
