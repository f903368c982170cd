"""The clients of Python, as they are used."""

import asyncio
from contextlib import ExitStack
from typing import Any

import aiohttp
import httpx
import requests

from tests.clients.asked import Answered, Asked

_SECONDS = 60


def by_requests(asked: Asked) -> Answered:
    """Send it with requests."""
    with ExitStack() as stack:
        answer = requests.post(
            asked.url, headers={"cookie": asked.cookie}, timeout=_SECONDS, **_given(asked, stack), allow_redirects=False
        )
        return Answered(answer.status_code, answer.json())


def by_httpx(asked: Asked) -> Answered:
    """Send it with httpx."""
    with ExitStack() as stack, httpx.Client(timeout=_SECONDS) as client:
        answer = client.post(asked.url, headers={"cookie": asked.cookie}, **_given(asked, stack))
        return Answered(answer.status_code, answer.json())


def by_aiohttp(asked: Asked) -> Answered:
    """Send it with aiohttp."""
    return asyncio.run(_by_aiohttp(asked))


def _given(asked: Asked, stack: ExitStack) -> dict[str, Any]:
    """The arguments that requests and httpx have in common."""
    if asked.form == "json":
        return {"json": {**asked.fields, **asked.objects}}
    if asked.form == "urlencoded":
        return {"data": asked.texts()}
    files: list[tuple[str, Any]] = [
        (one.field, (one.name, stack.enter_context(one.path.open("rb")), *([one.type] if one.type else [])))
        for one in asked.files
    ]
    # Both make multipart of nothing but fields only of what looks like files without a name.
    fields = {} if files else {"files": [(name, (None, text)) for name, text in asked.texts().items()]}
    return fields or {"data": asked.texts(), "files": files}


async def _by_aiohttp(asked: Asked) -> Answered:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(headers={"cookie": asked.cookie}, timeout=timeout) as session:
        with ExitStack() as stack:
            given: dict[str, Any]
            if asked.form == "json":
                given = {"json": {**asked.fields, **asked.objects}}
            else:
                form = aiohttp.FormData(default_to_multipart=asked.form == "multipart")
                for name, text in asked.texts().items():
                    form.add_field(name, text)
                for one in asked.files:
                    file = stack.enter_context(one.path.open("rb"))
                    form.add_field(one.field, file, filename=one.name, content_type=one.type)
                given = {"data": form}
            async with session.post(asked.url, **given) as answer:
                return Answered(answer.status, await answer.json())
