"""How what handlers return is answered: as JSON in one go.

Litestar puts the headers of each answer together one by one, a tenth of all that web does for a request (ADR 8).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from litestar import MediaType, Request
from litestar.datastructures import Cookie
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.serialization import default_serializer, encode_json
from litestar.status_codes import HTTP_200_OK
from litestar.types import Receive, Scope, Send


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


@lru_cache
def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    made = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return [*made, (b"content-type", MediaType.JSON.encode())]
