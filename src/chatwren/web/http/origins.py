"""Pages of other origins: which may use the API with the user's cookie (CORS), and who may change things (CSRF)."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from litestar.datastructures.headers import MutableScopeHeaders
from litestar.types import HTTPScope, Message, Receive, Send

from chatwren.domain.errors import Forbidden
from chatwren.web.http.asgi import HttpApp
from chatwren.web.http.errors import send_error

_LOCALHOST = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_PREFLIGHT_SECONDS = "600"
_SHOWN = 200


class Origins:
    """Gives allowed origins the headers that they need on every answer, and refuses what only a forged page would ask.

    The outermost layer but for logging: errors carry the headers too, and a preflight meets neither session nor
    throttle.
    """

    def __init__(
        self, app: HttpApp, *, allowed: Sequence[str], any_localhost: bool, public_url: str | None = None
    ) -> None:
        """Wrap `app`.

        Args:
            allowed: exact origins.
            any_localhost: any port of this machine is allowed too. Not for production.
            public_url: how browsers reach us: its origin is ours.
        """
        self._app = app
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)
        self._any_localhost = any_localhost
        self._public = _normal("://".join(urlsplit(public_url)[:2])) if public_url else None

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer a preflight, refuse a forged request, or hand the request on."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        allowed = origin is not None and self._allows(origin)
        if origin is not None and allowed:
            send = _with_headers(send, origin)
        if scope["method"] == "OPTIONS" and origin is not None and b"access-control-request-method" in headers:
            if allowed:
                await _answer_preflight(headers, send)
            else:
                await send_error(_refusal(origin), scope, send)
        elif scope["method"] not in _SAFE_METHODS and not allowed and self._is_forged(scope, headers, origin):
            await send_error(_refusal(origin or "of another site"), scope, send)
        else:
            await self._app(scope, receive, send)

    def _allows(self, origin: str) -> bool:
        return origin.lower() in self._allowed or (self._any_localhost and _LOCALHOST.fullmatch(origin) is not None)

    def _is_forged(self, scope: HTTPScope, headers: dict[bytes, str], origin: str | None) -> bool:
        """Whether a browser sent this from a page of another site. The origin is known not to be an allowed one."""
        site = headers.get(b"sec-fetch-site")
        if site is not None:
            return site not in {"same-origin", "none"}
        if origin is None:
            return False  # no browser: it attaches no cookie that a user did not give it
        return _normal(origin) not in {self._public, _normal(f"{scope['scheme']}://{headers.get(b'host', '')}")}


def _normal(origin: str) -> str:
    """An origin in the one spelling in which browsers write it: lower case, without the scheme's own port."""
    origin = origin.lower()
    return origin.removesuffix(":443") if origin.startswith("https:") else origin.removesuffix(":80")


def _refusal(origin: str) -> Forbidden:
    return Forbidden(
        f"Pages of the origin {origin[:_SHOWN]} may not use this server with the user's cookie. "
        "Whoever runs it can add the origin to CHATWREN_ALLOWED_ORIGINS.",
        code="origin_not_allowed",
    )


def _with_headers(send: Send, origin: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            headers["access-control-allow-origin"] = origin
            headers["access-control-allow-credentials"] = "true"
            headers["access-control-expose-headers"] = "Retry-After"
            headers.extend_header_value("vary", "Origin")
        await send(message)

    return send_with_headers


async def _answer_preflight(headers: dict[bytes, str], send: Send) -> None:
    answer = [
        (b"access-control-allow-methods", _METHODS.encode()),
        (b"access-control-allow-headers", headers.get(b"access-control-request-headers", "").encode("latin-1")),
        (b"access-control-max-age", _PREFLIGHT_SECONDS.encode()),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": answer})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
