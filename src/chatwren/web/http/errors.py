"""Every way in which a request can fail, as one documented body.

The members of RFC 9457 (`type`, `title`, `status`, `detail`, `instance`), and for clients that look for them `success`,
`code`, `message`, `error` and `errors`.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import HTTPScope, Send

from chatwren.domain.errors import (
    ChatwrenError,
    Conflict,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    TooLarge,
    TooMany,
    Transient,
    Unavailable,
    UnsupportedType,
    forget_traces,
)
from chatwren.store.database import CLASHES, UNREACHABLE

log = structlog.get_logger(__name__)


class TooSlow(ChatwrenError):
    """The client did not send its request in time."""

    default_code = "too_slow"


class HeadersTooLarge(ChatwrenError):
    """More request line and headers than any honest client has."""

    default_code = "headers_too_large"


class MethodNotAllowed(ChatwrenError):
    """The address exists, but not for this method."""

    default_code = "method_not_allowed"


class Misdirected(ChatwrenError):
    """The request names a host that is none of ours."""

    default_code = "misdirected"


STATUS: dict[type[ChatwrenError], HTTPStatus] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Misdirected: HTTPStatus.MISDIRECTED_REQUEST,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

# Like UNREACHABLE: not the request's fault, and over when somebody has looked after the database.
_DATABASE_AWAY = (
    *UNREACHABLE,
    *CLASHES,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)
_DATABASE_RETRY_SECONDS = 2
_OF_WHO_IS_GONE = ("_user_id_fkey", "_account_id_fkey")
"""How the foreign keys end that fail for a user who was deleted while the request was under way."""

Headers = list[tuple[bytes, bytes]]

_ALWAYS: Headers = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told of an error, in whatever form.

    Attributes:
        error: of our tree.
        instance: where it happened, or a name for this one time.
        headers: that go with it.
    """

    error: ChatwrenError
    status: HTTPStatus
    instance: str
    headers: Headers


def told(error: Exception, scope: HTTPScope) -> Told:
    """What a client is told of `error`. What is nobody's fault but ours is logged. Its traceback is gone afterwards."""
    known, instance, headers = _understood(error, scope)
    forget_traces(error)
    status = next((STATUS[kind] for kind in type(known).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers += _ALWAYS
    if isinstance(known, Transient):
        headers.append((b"retry-after", b"%d" % max(1, round(known.retry_after))))
    return Told(known, status, instance, headers)


def answer(error: Exception, scope: HTTPScope) -> tuple[int, Headers, bytes]:
    """Status, headers and body that tell a client of `error`."""
    found = told(error, scope)
    wants_problem = any(
        b"application/problem+json" in value.lower() for name, value in scope["headers"] if name == b"accept"
    )
    media_type = b"application/problem+json" if wants_problem else b"application/json"
    body = msgspec.json.encode(_body(found.error, found.status, found.instance))
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *found.headers]
    return found.status.value, headers, body


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the application."""
    status, headers, body = answer(error, request.scope)
    by_name = {name.decode(): value.decode("latin-1") for name, value in headers}
    media_type = by_name.pop("content-type")
    del by_name["content-length"]  # Litestar sets it
    return Response(body, status_code=status, headers=by_name, media_type=media_type)


async def send_error(error: Exception, scope: HTTPScope, send: Send) -> None:
    """Answer a request that does not reach the application."""
    status, headers, body = answer(error, scope)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def plain_answer(error: ChatwrenError, *, more_headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The whole HTTP/1.1 answer to what could not even be read as a request. The connection is closed after it."""
    status = STATUS[type(error)]
    body = msgspec.json.encode(_body(error, status, "/"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *more_headers,
    ]
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join((*lines, b"", body))


def _understood(error: Exception, scope: HTTPScope) -> tuple[ChatwrenError, str, Headers]:
    """The error of our tree that says it, where it happened, and headers that go with it."""
    path = scope["path"]
    if isinstance(error, ChatwrenError) and any(kind in STATUS for kind in type(error).__mro__):
        return error, path, []
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _of_framework(error, scope), path, _allow(error)
    if isinstance(error, asyncpg.ForeignKeyViolationError) and error.as_dict()["constraint_name"].endswith(
        _OF_WHO_IS_GONE
    ):
        return NotAuthenticated("This user is not there any more; nothing was accepted."), path, []
    if isinstance(error, _DATABASE_AWAY):
        log.warning("web.database_unreachable", error=repr(error))
        message = "The database does not answer at the moment. Try again in a few seconds."
        return (
            Unavailable(message, code="database_unavailable", retry_after=_DATABASE_RETRY_SECONDS),
            path,
            [],
        )
    error_id = uuid.uuid4()
    log.error("web.unexpected", error_id=str(error_id), exc_info=error)
    message = f"Something went wrong here; it is not your request. Whoever runs this server finds it as {error_id}."
    return ChatwrenError(message), error_id.urn, []


def _of_framework(error: HTTPException, scope: HTTPScope) -> ChatwrenError:
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return NotFound(f"There is nothing at {scope['path']}. What there is: /docs.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed(f"{scope['path']} has no {scope['method']}. What it has: /docs.")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(error.detail)
        case _:
            return Invalid(error.detail)


def _allow(error: HTTPException) -> Headers:
    allow = (error.headers or {}).get("allow")
    return [(b"allow", allow.replace("GET", "GET, HEAD").encode())] if allow else []


def _body(error: ChatwrenError, status: HTTPStatus, instance: str) -> dict[str, object]:
    fields = error.fields if isinstance(error, Invalid) else ()
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": error.message,
        "instance": instance,
        "success": False,
        "code": error.code,
        "message": error.message,
        "error": error.message,
        "errors": [{"field": one.field, "message": one.message} for one in fields],
        **error.extra,
    }
