"""The one tree of errors. Everything that a caller of Chatwren can be told is one of these.

Each error has a stable `code` (programs may depend on it), a `message` (one sentence that a person can act on) and says
whether the same request can succeed later without being changed (`permanent` is then False).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and what turns the direction of a text: a client's names and values may hold some."""


def _sentence(message: str) -> str:
    return _UNSEEN.sub(lambda unseen: unseen[0].encode("unicode_escape").decode(), message)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request."""

    field: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", _sentence(self.message))


class ChatwrenError(Exception):
    """Root of the tree.

    Attributes:
        code: stable identifier, snake_case.
        message: a sentence for a person. What nobody would see stands there as an escape.
        permanent: whether repeating the unchanged request is pointless.
        extra: further members of the answer, such as `suggestion`.
    """

    default_code: ClassVar[str] = "internal"
    permanent: ClassVar[bool] = True

    def __init__(self, message: str, *, code: str | None = None, extra: Mapping[str, object] | None = None) -> None:
        self.message = _sentence(message)
        super().__init__(self.message)
        self.code = code or self.default_code
        self.extra = dict(extra or {})


class Invalid(ChatwrenError):
    """Malformed or unacceptable input. Names each field that is at fault."""

    default_code = "invalid"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        fields: Sequence[FieldError] = (),
        code: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, code=code, extra=extra)
        self.fields = tuple(fields) if field is None else (FieldError(field, message), *fields)


class NotAuthenticated(ChatwrenError):
    """No session, or a wrong user name or password."""

    default_code = "not_authenticated"


class Forbidden(ChatwrenError):
    """Known, but not allowed: the CSRF guard, a disabled user."""

    default_code = "forbidden"


class NotFound(ChatwrenError):
    """It does not exist, or belongs to another user: the two cannot be told apart."""

    default_code = "not_found"


class Conflict(ChatwrenError):
    """The state of things forbids it: a user name taken, nothing linked, an outcome unknown."""

    default_code = "conflict"


class TooLarge(ChatwrenError):
    """A body or file over its limit."""

    default_code = "too_large"


class UnsupportedType(ChatwrenError):
    """A request body of a type that this route does not read."""

    default_code = "unsupported_media_type"


class Transient(ChatwrenError):
    """The same request can succeed later.

    Attributes:
        retry_after: seconds until a retry makes sense.
    """

    permanent = False

    def __init__(
        self, message: str, *, retry_after: float, code: str | None = None, extra: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, code=code, extra=extra)
        self.retry_after = retry_after


class TooMany(Transient):
    """A limit on the number of requests."""

    default_code = "too_many_requests"


class Unavailable(Transient):
    """Something that the request needs is not there right now."""

    default_code = "unavailable"


def forget_traces(error: BaseException | None) -> None:
    """Let go of what the request held: an error and the frames of its traceback hold each other.

    Such circles wait for the garbage collector, which comes seldom, and by then refused requests would fill the memory.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
