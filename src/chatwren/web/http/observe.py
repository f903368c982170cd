"""What is known of the requests that were answered: the access log, and the numbers at /metrics.

Neither holds what identifies a user or opens anything: of an address only its route is noted, without the parameters in
its path and query.
"""

import math
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from litestar.types import HTTPScope, Message, Receive, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from chatwren.domain.dead_letters import Count
from chatwren.web.http.asgi import HttpApp

log = structlog.get_logger(__name__)

_NO_ROUTE = "(none)"
_OTHER_METHOD = "(other)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LETTERS_SECONDS = 10
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "chatwren_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "chatwren_http_request_seconds", "Time to the end of the answer.", ["route"], registry=self._registry
        )
        self._letters = Gauge(
            "chatwren_dead_letters", "What could not be stored and was put aside.", ["kind"], registry=self._registry
        )
        self._letters_not_kept = Gauge(
            "chatwren_dead_letters_not_kept", "For which there was no room.", ["kind"], registry=self._registry
        )
        self._letters_from = -math.inf
        self._kinds: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}  # to find them is what costs

    def add(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        kind = (method if method in _METHODS else _OTHER_METHOD, route, status)
        if kind not in self._kinds:
            self._kinds[kind] = (self._requests.labels(*kind), self._seconds.labels(route))
        requests, times = self._kinds[kind]
        requests.inc()
        times.observe(seconds)

    async def count_dead_letters(self, count: Callable[[], Awaitable[Sequence[Count]]]) -> None:
        """Note how many dead letters the database holds, unless that was asked of it just now."""
        if time.monotonic() - self._letters_from < _LETTERS_SECONDS:
            return
        self._letters_from = time.monotonic()
        counts = await count()
        self._letters.clear()
        self._letters_not_kept.clear()
        for one in counts:
            self._letters.labels(one.kind).set(one.kept)
            self._letters_not_kept.labels(one.kind).set(one.not_kept)

    def text(self) -> bytes:
        """The numbers in Prometheus' text format."""
        return generate_latest(self._registry)


class Observer:
    """Notes each request. The outermost layer."""

    def __init__(self, app: HttpApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Hand the request on, and note how it was answered."""
        began = time.perf_counter()
        status = 0  # stays so when the client goes away first

        def noting_send(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            await self._app(scope, receive, noting_send)
        finally:
            seconds = time.perf_counter() - began
            route = str(scope.get("path_template", _NO_ROUTE))
            self._metrics.add(method=scope["method"], route=route, status=status, seconds=seconds)
            note = log.debug if route in _QUIET else log.info
            note("web.request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))
