"""The system under test, as it is run: `chatwren serve --sandbox`."""

import asyncio
import contextlib
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class System:
    """A running Chatwren in sandbox mode.

    Attributes:
        url: of the HTTP API and its pages.
        phones_url: of the simulated phones.
        environment: what a further node of it has to know.
    """

    url: str
    phones_url: str
    environment: dict[str, str]


class Phones:
    """The simulated phones, over their HTTP interface. Numbers are digits."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def scan(self, number: str, code: str) -> None:
        """Link the account that shows this QR code to a phone."""
        await self._do("POST", f"/phones/{number}/scan", {"qr": code})

    async def write(self, number: str, to: str, text: str) -> None:
        """Send a text from a phone."""
        await self._do("POST", f"/phones/{number}/messages", {"to": to, "text": text})

    async def messages(self, number: str) -> list[dict[str, Any]]:
        """What a phone shows, in the order of first arrival."""
        shown: list[dict[str, Any]] = await self._do("GET", f"/phones/{number}/messages")
        return shown

    async def create_group(self, name: str, *, owner: str, participants: Sequence[str]) -> str:
        """A new group's id."""
        made = await self._do("POST", "/groups", {"name": name, "owner": owner, "participants": participants})
        return str(made["id"])

    async def _do(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


class User:
    """Somebody who has signed up, as a client of the HTTP API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def register(self, name: str) -> None:
        """Sign up under a user name that begins with `name`."""
        await self._do(
            "POST",
            "/api/auth/register",
            name=name.title(),
            phone="+919812345678",
            email=f"{name}@example.com",
            username=f"{name}-{secrets.token_hex(4)}",
            password="correct horse battery staple",
        )

    async def get(self, path: str) -> Any:
        """The JSON at a path."""
        return await self._do("GET", path)

    async def download(self, url: str) -> bytes:
        """What is at a URL."""
        return (await self._client.get(url)).raise_for_status().content

    async def link(self, phones: Phones, number: str) -> None:
        """Have a simulated phone scan this user's code, and wait for the connection."""
        await phones.scan(number, (await self.get("/api/whatsapp/createqr"))["qrCode"])
        await self.until("/api/whatsapp/status", lambda state: bool(state["connected"]))

    async def send(self, to: str, text: str) -> str:
        """Send a text; the path of the message."""
        answer = await self._do("POST", "/api/messages/send", phoneId=f"+{to}", message=text)
        return f"/api/messages/{answer['messageId']}"

    async def until(self, path: str, true: Callable[[Any], bool], seconds: float = 20) -> Any:
        """The JSON at a path, once it is as wanted."""
        async with asyncio.timeout(seconds):
            while not true(found := await self.get(path)):  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.1)
        return found

    async def _do(self, method: str, path: str, **fields: str) -> Any:
        answer = await self._client.request(method, path, json=fields or None)
        assert answer.is_success, answer.text
        return answer.json()


def a_number() -> str:
    """A phone number that no other test uses."""
    return f"9198{secrets.randbelow(10**8):08}"


@contextlib.asynccontextmanager
async def running(*command: str, environment: dict[str, str], ready: str) -> AsyncIterator[re.Match[str]]:
    """A `chatwren` command, for as long as the context lasts.

    Args:
        command: its arguments.
        environment: its settings.
        ready: pattern in what it says once it is ready. The context gives the match.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatwren", *command),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    is_ready = asyncio.get_running_loop().create_future()

    async def listen(output: asyncio.StreamReader) -> None:
        said = ""
        async for line in output:
            if not is_ready.done():
                said += line.decode()
                if found := re.search(ready, said):
                    is_ready.set_result(found)
        if not is_ready.done():
            is_ready.set_exception(RuntimeError(f"chatwren {command[0]} ended before it was ready:\n{said}"))

    assert process.stdout is not None
    listening = asyncio.create_task(listen(process.stdout))
    try:
        yield await is_ready
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await listening
        await process.wait()
