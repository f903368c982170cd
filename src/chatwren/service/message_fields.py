"""Parsers of the fields that only a message has."""

from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from chatwren.domain.errors import Invalid
from chatwren.domain.fields import bounded
from chatwren.domain.text import MAX_SHORT, absent, parse_boolean, parse_short, required_text
from chatwren.variation import Modifications

LANES = ("urgent", "normal", "bulk")
"""The lanes that a caller may choose."""

_MAX_FIELDS = 100
_MAX_VALUE = 16_384
"""Characters of a value: more than go to WhatsApp, for what no text mentions may come along."""


def parse_lane(value: object, *, field: str, default: str) -> str:
    """The lane that the caller chooses; `default` when absent."""
    if absent(value):
        return default
    if not isinstance(value, str) or value not in LANES:
        raise Invalid(
            f"{field} must be one of {', '.join(LANES)} (Chatwren finds by itself who is a new contact).", field=field
        )
    return value


def _object(value: object, field: str) -> dict[str, Any]:
    """A JSON object, or the JSON text of one, as a form sends it."""
    if isinstance(value, str):
        try:
            value = bounded(msgspec.json.decode(value), field=field)
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
    """What fills placeholders; None when absent. A member that says that it has no value, as null does, has none."""
    if absent(value):
        return None
    members = _object(value, field)
    if len(members) > _MAX_FIELDS:
        raise Invalid(f"{field} has more than {_MAX_FIELDS} members.", field=field)
    return {
        required_text(name, field=field, at_most=MAX_SHORT): ""
        if one == ""
        else required_text(_written(one), field=f"{field}.{name}", at_most=_MAX_VALUE)
        for name, one in members.items()
        if one == "" or not absent(one)
    }


def _written(value: object) -> object:
    """A JSON number as a person writes it: without an exponent, or a fraction that is none. All else as it is."""
    if isinstance(value, float) and isfinite(value):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
