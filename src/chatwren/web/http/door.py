"""What a request must be like before anything looks at it: for one of our names, with one spelling.

A page of the Internet whose name is turned into an address of ours ("DNS rebinding") would be of our own origin, so the
name in Host counts: `Hosts`. And a path has one spelling, so that what stands before us can rule by it.
"""

import re
from urllib.parse import urlsplit

from litestar.types import HTTPScope, Receive, Send

from chatwren.domain.addresses import parse_address
from chatwren.domain.errors import ChatwrenError, Invalid, NotFound
from chatwren.settings import Settings
from chatwren.web.http.asgi import HttpApp
from chatwren.web.http.errors import Misdirected, send_error
from chatwren.web.http.proxies import PROXIED

_METRICS = b"/metrics"
_API = b"/api/"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)|\[([0-9A-Fa-f:.]{{2,45}})\])(?::[0-9]{{1,5}})?")
_LONGEST_HOST = 260
_NOT_PUBLIC = (".localhost", ".local", ".internal", ".test", ".home.arpa")
"""Ends of names that nobody can have in the public DNS."""
_HOSTS_KEPT = 1000
_PROXY_HEADERS = frozenset({b"forwarded", b"via", b"x-real-ip"})


class Hosts:
    """By which names this server may be asked: any address, names that the public DNS does not have, and its own."""

    def __init__(self, *, public_url: str | None, host: str | None) -> None:
        """Know the names that are our own.

        Args:
            public_url: how browsers reach us.
            host: what we listen on.
        """
        self._public = urlsplit(public_url).hostname if public_url else None
        self._own = frozenset(one.lower() for one in (self._public, host) if one)
        self._seen: dict[bytes, ChatwrenError | None] = {}

    def problem(self, host: bytes, *, vouched: bool) -> ChatwrenError | None:
        """What is wrong with the value of a Host header; None when nothing is.

        Args:
            vouched: a trusted proxy sent it. It is believed where there is no public URL to compare it with.
        """
        if len(host) > _LONGEST_HOST:
            return _malformed()
        if host not in self._seen:
            if len(self._seen) >= _HOSTS_KEPT:
                self._seen.clear()
            self._seen[host] = self._look(host.decode("latin-1"))
        problem = self._seen[host]
        return None if vouched and self._public is None and isinstance(problem, Misdirected) else problem

    def _look(self, host: str) -> ChatwrenError | None:
        found = _HOST.fullmatch(host)
        if found is None or (found[2] and parse_address(found[2]) is None):
            return _malformed()
        name = (found[1] or "").lower()
        if found[2] or parse_address(name) or "." not in name or name.endswith(_NOT_PUBLIC) or name in self._own:
            return None
        return Misdirected(
            f"This server does not know itself as {name}. Whoever runs it can set CHATWREN_PUBLIC_URL.",
            code="host_not_known",
        )


class Door:
    """Refuses what is not for us, or not in the one way in which it is asked."""

    def __init__(self, app: HttpApp, settings: Settings) -> None:
        """Wrap `app`."""
        self._app = app
        self._hosts = Hosts(public_url=settings.public_url, host=settings.host)
        self._metrics_port = settings.metrics_listener[1] if settings.metrics_listener else None

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer what is refused, or hand the request on."""
        problem = self._problem(scope)
        if problem is not None:
            await send_error(problem, scope, send)
        else:
            await self._app(scope, receive, send)

    def _problem(self, scope: HTTPScope) -> ChatwrenError | None:
        path = scope["raw_path"]
        hosts = 0
        host = b""
        for name, value in scope["headers"]:
            if name == b"host":
                hosts += 1
                host = value
        if hosts != 1 and (hosts or scope["http_version"] != "1.0"):  # of the health checks of old balancers
            return Invalid("A request has one header Host.", code="malformed_host")
        if hosts:
            problem = self._hosts.problem(host, vouched=PROXIED in scope["state"])
            if problem is not None:
                return problem
        if b"%" in path or b"//" in path or (path[-1:] == b"/" and path != b"/" and not path.startswith(_API)):
            return _nothing(scope)
        if self._metrics_port is None:
            refused = path == _METRICS and not _is_local(scope)
        else:
            refused = (path == _METRICS) != (_port(scope) == self._metrics_port)
        return _nothing(scope) if refused else None


def _malformed() -> Invalid:
    return Invalid("The header Host is no host name or address.", code="malformed_host")


def _nothing(scope: HTTPScope) -> NotFound:
    return NotFound(f"There is nothing at {scope['path']}. What there is: /docs.")


def _port(scope: HTTPScope) -> int | None:
    """The port that the request came to."""
    server = scope["server"]
    return server[1] if server else None


def _is_local(scope: HTTPScope) -> bool:
    """Whether somebody on this very machine asks, and nobody through a proxy on it."""
    client = parse_address(scope["client"][0]) if scope["client"] else None
    if client is None or not client.is_loopback or PROXIED in scope["state"]:
        return False
    return not any(name in _PROXY_HEADERS or name.startswith(b"x-forwarded-") for name, _ in scope["headers"])
