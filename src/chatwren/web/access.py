"""Who asks, and whether they may: one guard before every handler, by what the handler declares.

A handler names the scope that it needs in its `Operation`, or as `access=` where it is not documented; None is whoever
comes. One that names nothing does not start.

What a caller asks for counts only while the proof of who they are lasts. Whoever was long in sending a body is asked
for it once more when that is complete: here, whatever the route. Services ask in the transaction that writes, where
much work lies before it or what it does cannot be undone (`service.sessions.confirm`, `store.messages.insert`).
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from litestar import Litestar
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from chatwren.domain.caller import Caller, Scope
from chatwren.domain.errors import ChatwrenError, Forbidden, NotAuthenticated
from chatwren.domain.whereabouts import Whereabouts
from chatwren.service.intake import NotAsSupposed
from chatwren.web.context import AnyConnection, HttpRequest, context
from chatwren.web.http import bodies
from chatwren.web.http.memory import LITTLE, OWNER, PLACE
from chatwren.web.http.sites import LOG_IN, missing_session
from chatwren.web.openapi import Operation

T = TypeVar("T")

_CALLER = "chatwren.caller"
_ASKED_AT = "chatwren.caller_asked_at"
_LASTS_SECONDS = 1.0
"""How long a proof is believed: what is quicker has not outlived its session by more, and costs no query."""


def access_of(handler: BaseRouteHandler) -> Scope | None:
    """The scope that a handler needs; None: it serves whoever comes.

    Raises:
        TypeError: it does not say.
    """
    operation = handler.opt.get("operation")
    if isinstance(operation, Operation):
        return operation.access
    if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {HttpMethod.OPTIONS}:
        return None  # Litestar's own, which says which methods a path has
    if "access" not in handler.opt:
        raise TypeError(f"{handler} does not declare who may call it.")
    declared: Scope | None = handler.opt["access"]
    return declared


def check_guarded(app: Litestar) -> None:
    """See that no request of an application is answered before the guard was asked.

    Raises:
        TypeError: a handler does not say who may call it, or has something else, or what is remembered, before it.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise TypeError(f"{route.path} is no route of HTTP: the guard is not asked there.")
        for handler in route.route_handlers:
            access_of(handler)
            if handler.resolve_before_request() is not guard or handler.cache:
                raise TypeError(f"{handler} would be answered before the guard is asked.")


async def guard(request: HttpRequest) -> None:
    """Let a request through whose caller may do what the handler declares.

    Of one user a few are let through at a time, each until its answer begins; those with a body once that has come.

    Raises:
        NotAuthenticated: it needs somebody, and there is no living session.
        Forbidden: it needs more than the caller may do.
        Unavailable: too many of the caller's wait.
    """
    handler = request.route_handler
    scope = access_of(handler)
    if scope is None:
        return
    operation = handler.opt.get("operation")
    found = _supposed(request, operation) or await who_asks(request)
    if not found.may(scope):
        raise Forbidden(f"This needs the scope {scope}.", code="scope_missing")
    request.scope[_CALLER] = found  # type: ignore[literal-required]
    request.scope["state"][OWNER] = found.user.id
    request.scope[_ASKED_AT] = time.monotonic()  # type: ignore[literal-required]
    if not isinstance(operation, Operation) or operation.body is None:
        await _enter(request, found)


def _supposed(request: HttpRequest, operation: object) -> Caller | None:
    """Who probably asks, where that will do: of what is little, and stored in one statement with the question."""
    if not (isinstance(operation, Operation) and operation.supposes) or "idempotency-key" in request.headers:
        return None
    length = request.headers.get("content-length", "")
    sid = session_id(request) if length.isdecimal() and int(length) <= LITTLE else None
    return context(request).sessions.supposed(sid) if sid else None


async def confirm(request: HttpRequest) -> None:
    """Ask who it is that was only supposed to ask.

    Raises:
        NotAuthenticated: no living session.
    """
    if request.scope.get(_CALLER) is not None and caller(request).standing is not None:
        request.scope[_CALLER] = await who_asks(request)  # type: ignore[literal-required]


async def as_supposed(request: HttpRequest, work: Callable[[], Awaitable[T]]) -> T:
    """Do something for the caller; once more, for who it turns out to be, before whoever was supposed is refused.

    Raises:
        NotAuthenticated: no living session.
        ChatwrenError: what the work raised for who certainly asks.
    """
    try:
        return await work()
    except (ChatwrenError, NotAsSupposed):
        if caller(request).standing is None:
            raise
    await confirm(request)
    return await work()


def body_chunks(request: HttpRequest, *, at_most: int, of_file: int = 0) -> AsyncIterator[bytes]:
    """The pieces of a request's body, whose caller may still ask for something when it is complete.

    Args:
        at_most: bytes.
        of_file: bytes that come on top where a file may be in it.

    Raises:
        NotAuthenticated: the session has ended meanwhile.
        Unavailable: too many of the caller's wait.
        TooLarge, TooSlow, Invalid: see bodies.
    """
    return bodies.body_chunks(request, at_most=at_most, of_file=of_file, at_end=partial(_ask_again, request))


async def _ask_again(request: HttpRequest) -> None:
    """Whether the caller of a request that has come whole may still ask for it, and now.

    Raises:
        NotAuthenticated: the session has ended meanwhile.
        Unavailable: too many of the caller's wait.
    """
    asked_at: float | None = request.scope.get(_ASKED_AT)  # type: ignore[assignment]
    if asked_at is None:
        return
    if time.monotonic() > asked_at + _LASTS_SECONDS:
        await who_asks(request)
    operation = request.route_handler.opt.get("operation")
    if isinstance(operation, Operation) and operation.body is not None and not operation.at_once:
        await _enter(request, caller(request))


async def _enter(connection: AnyConnection, found: Caller) -> None:
    """Wait until few of the caller's requests are being answered."""
    few = context(connection).few
    await few.enter(found.user.id)
    connection.scope["state"][PLACE] = partial(few.leave, found.user.id)


async def who_asks(connection: AnyConnection) -> Caller:
    """Who sends a request, by its session's cookie.

    Raises:
        NotAuthenticated: no living session.
    """
    sid = session_id(connection)
    found = await context(connection).sessions.caller(sid) if sid else None
    if found is None:
        samesite = context(connection).cookie.samesite
        advice = LOG_IN if sid else missing_session(connection.headers, samesite=samesite)
        raise NotAuthenticated(f"You are not logged in. {advice}")
    return found


def caller(request: HttpRequest) -> Caller:
    """Who sends a request to a handler that needs a scope."""
    found: Caller = request.scope[_CALLER]  # type: ignore[literal-required]
    return found


def whereabouts(request: HttpRequest) -> Whereabouts:
    """Where the caller writes from."""
    asks = caller(request)
    return Whereabouts(asks.user, asks.account, context(request).settings.timezone)


def session_id(connection: AnyConnection) -> str | None:
    """The id in a request's session cookie; None without one that we signed."""
    return context(connection).cookie.read(connection.headers.getall("cookie", []))
