"""Reading what requests about messages have besides a message's own fields."""

import hashlib
from uuid import UUID

import msgspec

from chatwren.domain.errors import Invalid, NotFound
from chatwren.domain.ids import parse_bulk_id, parse_message_id
from chatwren.domain.messages import Shown
from chatwren.domain.text import absent, required_text
from chatwren.web.context import HttpRequest

MAX_PAGE = 10**9
"""Further on every list has ended."""

_MAX_SHORT = 200
_STATUSES = frozenset(one.value for one in Shown)


def idempotency_key(request: HttpRequest) -> str | None:
    """The request's Idempotency-Key; None without one."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > _MAX_SHORT or not (key.isascii() and key.isprintable()):
        raise Invalid(f"Idempotency-Key must be at most {_MAX_SHORT} ASCII characters.", field="Idempotency-Key")
    return key or None


def fingerprint(*parts: object) -> bytes:
    """What two requests share that ask for the same."""
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def parse_count(value: object, *, field: str, default: int) -> int:
    """A whole number from 1; `default` when absent."""
    if absent(value):
        return default
    digits = value.strip() if isinstance(value, str) else ""
    digits = digits.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        raise Invalid(f"{field} must be a whole number from 1.", field=field)
    return int(digits) if len(digits) <= len(str(MAX_PAGE)) else MAX_PAGE


def parse_status(value: object, *, field: str) -> Shown | None:
    """A status to list; None when absent."""
    if absent(value):
        return None
    if not isinstance(value, str) or value not in _STATUSES:
        raise Invalid(f"{field} must be one of {', '.join(Shown)}.", field=field)
    return Shown(value)


def parse_bulk(value: object, *, field: str) -> UUID | None:
    """The row id of a bulk; None when absent."""
    if absent(value):
        return None
    try:
        return parse_bulk_id(required_text(value, field=field, at_most=_MAX_SHORT))
    except NotFound:
        raise Invalid(f"{field} must be the id of a bulk.", field=field) from None


def parse_cursor(value: object, *, field: str) -> UUID | None:
    """The row id of a message; None when absent."""
    if absent(value):
        return None
    try:
        return parse_message_id(required_text(value, field=field, at_most=_MAX_SHORT))
    except NotFound:
        raise Invalid(f"{field} must be the nextCursor of an earlier page.", field=field) from None
