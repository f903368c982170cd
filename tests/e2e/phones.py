"""The simulated phones, as people use them and as tests look at them."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx


class Phones:
    """The simulated phones. Numbers are digits."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def scan(self, number: str, code: str) -> None:
        """Scan a QR code with a phone."""
        await self._do("POST", f"/phones/{number}/scan", {"qr": code})

    async def refused(self, number: str, code: str) -> bool:
        """Scan a code; whether the other side did not take the phone."""
        return (
            await self._client.post(f"/phones/{number}/scan", json={"qr": code})
        ).status_code == httpx.codes.CONFLICT

    async def type_code(self, number: str, code: str) -> None:
        """Type a pairing code on a phone."""
        await self._do("POST", f"/phones/{number}/paircode", {"code": code})

    async def devices(self, number: str) -> int:
        """How many devices are linked to a phone."""
        return sum(len(one["companions"]) for one in await self._do("GET", "/phones") if one["number"] == number)

    async def rename_group(self, group: str, name: Any) -> None:
        """Give a group another name."""
        await self._do("PATCH", f"/groups/{group}", {"name": name})

    async def set(self, number: str, **changes: Any) -> None:
        """`receipts`: none, delivered or read; `registered`."""
        await self._do("PATCH", f"/phones/{number}", changes)

    async def write(self, number: str, to: str, text: str) -> None:
        """Send a text from a phone to a number or group."""
        await self._do("POST", f"/phones/{number}/messages", {"to": to, "text": text})

    async def write_raw(self, number: str, to: str, plaintext: bytes, **given: Any) -> None:
        """Send these bytes as a message, with id, timestamp, pushName or type as given: see engine/sandbox/doc.go.

        A text that no JSON string holds is `{"base64": ...}`.
        """
        raw = base64.b64encode(plaintext).decode()
        await self._do("POST", f"/phones/{number}/messages", {"to": to, "raw": raw, **given})

    async def receipt(self, number: str, to: str, ids: Sequence[Any], **given: Any) -> None:
        """Send a receipt for messages that need not exist, with a type, timestamp or group as given."""
        await self._do("POST", f"/phones/{number}/receipts", {"to": to, "ids": list(ids), **given})

    async def messages(self, number: str, *, sender: str | None = None) -> list[dict[str, Any]]:
        """What a phone shows, in the order of first arrival."""
        shown: list[dict[str, Any]] = await self._do("GET", f"/phones/{number}/messages")
        return [one for one in shown if sender is None or one["from"] == sender]

    async def media(self, message: dict[str, Any]) -> bytes:
        """The file of a message that a phone shows, as the phone has decrypted it."""
        path = f"/phones/{message['to']}/messages/{message['id']}/media"
        answer = await self._client.get(path, params={"from": message["from"]})
        assert answer.is_success, answer.text
        return answer.content

    async def create_group(self, name: Any, owner: str, participants: Sequence[str]) -> str:
        """A new group's id."""
        made = await self._do("POST", "/groups", {"name": name, "owner": owner, "participants": list(participants)})
        return str(made["id"])

    async def fault(self, kind: str, **details: Any) -> None:
        """Have WhatsApp misbehave, once or `count` times: see engine/sandbox/faults.go."""
        await self._do("POST", "/faults", {"kind": kind, **details})

    async def end_faults(self) -> None:
        """From now on WhatsApp behaves."""
        await self._do("DELETE", "/faults")

    async def stats(self) -> dict[str, int]:
        """What WhatsApp counts: see engine/sandbox/doc.go."""
        figures: dict[str, int] = await self._do("GET", "/stats")
        return figures

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """What phones show from now on, with the phone's number as `phone`; again when it changes.

        Raises:
            httpx.TransportError: the sandbox is not there, or no longer.
        """
        async with self._client.stream("GET", "/events", timeout=None) as stream:
            datas = (line.removeprefix("data: ") async for line in stream.aiter_lines() if line.startswith("data: {"))
            yield (message async for data in datas if "deliveries" in (message := json.loads(data)))

    async def _do(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()
