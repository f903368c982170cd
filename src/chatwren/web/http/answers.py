"""How what handlers return is answered: as JSON in one go, or as pieces that end with the last of them.

Litestar puts the headers of each answer together one by one, a tenth of all that web does for a request (ADR 8).
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from functools import lru_cache
from typing import Any

from litestar import MediaType, Request
from litestar.datastructures import Cookie
from litestar.response import Response, Stream
from litestar.response.base import ASGIResponse
from litestar.serialization import default_serializer, encode_json
from litestar.status_codes import HTTP_200_OK
from litestar.types import Message, Receive, Scope, Send


class _Ready(ASGIResponse):
    """An answer that only has to be sent."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code, self.body = status, body
        self._ready = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self._ready})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Answer(Response[Any]):
    """What a handler returns that is no response already. What is nothing, or no JSON, is left to Litestar."""

    def to_asgi_response(
        self,
        app: Any,
        request: Request[Any, Any, Any],
        *,
        headers: dict[str, str] | None = None,
        cookies: Iterable[Cookie] | None = None,
        **more: Any,
    ) -> ASGIResponse:
        """What is sent of it.

        Args:
            headers: those that the route's answers have, or all.
        """
        if self.content is None or self.media_type not in {None, MediaType.JSON} or cookies or more:
            return super().to_asgi_response(app, request, headers=headers, cookies=cookies, **more)
        body = encode_json(self.content, default_serializer)
        length = (b"content-length", b"%d" % len(body))
        return _Ready(self.status_code or HTTP_200_OK, [*_encoded(tuple((headers or {}).items())), length], body)


class Whole(Stream):
    """Pieces of which it is known how long they are together.

    Litestar's Stream says that it is done after it has sent the last piece. A client that counts is quicker than that,
    and the next request on its connection would come before its turn.

    Args:
        size: bytes of all pieces.
    """

    def __init__(self, pieces: AsyncIterator[bytes], *, size: int, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers={**headers, "content-length": str(size)})
        self._size = size

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **more: Any) -> ASGIResponse:
        """What is sent of it."""
        return _UntilLast(super().to_asgi_response(app, request, **more), self._size)


class _UntilLast(ASGIResponse):
    """An answer that is done with the last of so many bytes."""

    def __init__(self, answer: ASGIResponse, size: int) -> None:
        self._answer, self._size = answer, size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left, done = self._size, False

        async def send_on(message: Message) -> None:
            nonlocal left, done
            if message["type"] == "http.response.body":
                if done:
                    return
                left -= len(message["body"])
                done = left <= 0
                message["more_body"] = message["more_body"] and not done
            await send(message)

        await self._answer(scope, receive, send_on)


@lru_cache
def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    made = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return [*made, (b"content-type", MediaType.JSON.encode())]
