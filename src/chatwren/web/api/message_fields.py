"""Reading the fields of requests about messages."""

import hashlib
from typing import Any
from uuid import UUID

import msgspec

from chatwren.domain.errors import Invalid, NotFound
from chatwren.domain.ids import parse_message_id
from chatwren.domain.messages import Shown
from chatwren.domain.text import absent, parse_boolean, required_text
from chatwren.domain.times import ParsedTime, parse_time
from chatwren.variation import Modifications
from chatwren.web.context import HttpRequest

MAX_PAGE = 10**9
"""Further on every list has ended."""

LANES = ("urgent", "normal", "bulk")
"""The lanes that a caller may choose."""

_MAX_SHORT = 200
_MAX_FIELDS = 100


def idempotency_key(request: HttpRequest) -> str | None:
    """The request's Idempotency-Key; None without one."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > _MAX_SHORT or not (key.isascii() and key.isprintable()):
        raise Invalid(f"Idempotency-Key must be at most {_MAX_SHORT} ASCII characters.", field="Idempotency-Key")
    return key or None


def fingerprint(*parts: object) -> bytes:
    """What two requests share that ask for the same."""
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def parse_moment(value: object, *, field: str, zone: str | None) -> ParsedTime | None:
    """A time; None when absent."""
    return None if absent(value) else parse_time(value, zone=zone, field=field)


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
    try:
        return Shown(str(value))
    except ValueError:
        raise Invalid(f"{field} must be one of {', '.join(Shown)}.", field=field) from None


def parse_lane(value: object, *, field: str) -> str:
    """The lane that the caller chooses; `normal` when absent."""
    if absent(value):
        return "normal"
    if value not in LANES:
        raise Invalid(
            f"{field} must be one of {', '.join(LANES)} (Chatwren finds by itself who is a new contact).", field=field
        )
    return str(value)


def parse_short(value: object, *, field: str) -> str | None:
    """A text of at most 200 characters; None when absent."""
    if absent(value):
        return None
    text = required_text(value, field=field)
    if len(text) > _MAX_SHORT:
        raise Invalid(f"{field} is longer than {_MAX_SHORT} characters.", field=field)
    return text


def parse_cursor(value: object, *, field: str) -> UUID | None:
    """The row id of a message; None when absent."""
    if absent(value):
        return None
    try:
        return parse_message_id(required_text(value, field=field))
    except NotFound:
        raise Invalid(f"{field} must be the nextCursor of an earlier page.", field=field) from None


def _object(value: object, field: str) -> dict[str, Any]:
    """A JSON object, or the JSON text of one, as a form sends it."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise Invalid(f"{field} must be a JSON object.", field=field)
    return value


def parse_modifications(value: object, *, field: str) -> tuple[Modifications, str | None] | None:
    """What aiModifications allow, and their seed; None when absent."""
    if absent(value):
        return None
    members = _object(value, field)
    return (
        Modifications(
            use_synonyms=parse_boolean(members.get("useSynonyms"), field=f"{field}.useSynonyms"),
            add_emojis=parse_boolean(members.get("addEmojis"), field=f"{field}.addEmojis"),
            shuffle_sentences=parse_boolean(members.get("shuffleSentences"), field=f"{field}.shuffleSentences"),
        ),
        parse_short(members.get("seed"), field=f"{field}.seed"),
    )


def parse_fields(value: object, *, field: str) -> dict[str, str] | None:
    """What fills placeholders; None when absent."""
    if absent(value):
        return None
    members = _object(value, field)
    if len(members) > _MAX_FIELDS:
        raise Invalid(f"{field} has more than {_MAX_FIELDS} members.", field=field)
    return {
        required_text(name, field=field): "" if absent(one) else required_text(one, field=f"{field}.{name}")
        for name, one in members.items()
    }
