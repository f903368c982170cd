"""Bodies without a length, without an end, and drop by drop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from litestar import Request

from chatwren.domain.errors import Invalid, TooLarge
from chatwren.web.http import bodies
from chatwren.web.http.errors import TooSlow
from chatwren.web.http.memory import HELD, Held

pytestmark = pytest.mark.anyio

Message = dict[str, Any]


def piece(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


async def read(
    *came: Message | Callable[[], Awaitable[Message]], length: str | None = None, whole: bool = False
) -> tuple[bytes | int, ...]:
    """What was read of a body of at most 10 bytes, and how many messages were asked for before its end was told."""
    left = list(came)
    told = []

    async def receive() -> Message:
        one = left.pop(0)
        return one if isinstance(one, dict) else await one()

    headers = [] if length is None else [(b"content-length", length.encode())]

    async def at_end() -> None:
        told.append(len(came) - len(left))

    scope: Any = {"type": "http", "headers": headers, "method": "POST", "path": "/", "query_string": b""}
    scope["state"] = {HELD: Held(whole=whole)}
    request: Any = Request(scope, receive=receive)  # type: ignore[arg-type]
    body = b"".join([chunk async for chunk in bodies.body_chunks(request, at_most=10, at_end=at_end)])
    return body, *told


async def test_pieces_without_a_length_up_to_the_bound() -> None:
    assert await read(piece(b"12345"), piece(b""), piece(b"67890", more=False)) == (b"1234567890", 3)
    with pytest.raises(TooLarge):
        await read(piece(b"12345"), piece(b"678901"), piece(b"", more=False))


@pytest.mark.parametrize("length", ["11", "9" * 20])
async def test_what_announces_too_much_is_refused_before_it_comes(length: str) -> None:
    async def never() -> Message:
        raise AssertionError("it was read")

    with pytest.raises(TooLarge):
        await read(never, length=length)


async def test_a_length_that_lies_bounds_nothing() -> None:
    with pytest.raises(TooLarge):
        await read(piece(b"12345678901", more=False), length="1")


async def test_a_client_that_goes_away_has_sent_half() -> None:
    with pytest.raises(Invalid) as refused:
        await read(piece(b"12345"), {"type": "http.disconnect"})
    assert refused.value.code == "body_incomplete"


async def test_what_has_come_is_not_late_however_late_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_GRACE_SECONDS", -9.0)

    async def rest() -> Message:
        await asyncio.sleep(0)
        return piece(b"67890", more=False)

    assert await read(piece(b"12345"), rest, whole=True) == (b"1234567890", 2)
    with pytest.raises(TooSlow):
        await read(piece(b"12345"), rest)


@pytest.mark.parametrize("drop", [b"", b"."])
async def test_drop_by_drop_is_too_slow(monkeypatch: pytest.MonkeyPatch, drop: bytes) -> None:
    monkeypatch.setattr(bodies, "_GRACE_SECONDS", 0.05)

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return piece(drop)

    with pytest.raises(TooSlow):
        await read(*[drip] * 9)


async def test_silence_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_SILENCE_SECONDS", 0.05)

    async def silence() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(TooSlow):
        async with asyncio.timeout(10):  # else the body's whole time would be waited for
            await read(piece(b"1"), silence)
