"""Parsers of the fields that only a message has."""

from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Literal

import msgspec

from chatwren.domain.errors import Invalid
from chatwren.domain.fields import bounded
from chatwren.domain.model_names import MAX_MODEL_NAME, is_model_name
from chatwren.domain.text import MAX_SHORT, absent, parse_boolean, parse_short, required_text
from chatwren.variation import MOST_REWRITES, Modifications, Rewrite

LANES = ("urgent", "normal", "bulk")
"""The lanes that a caller may choose."""

_MAX_FIELDS = 100
_MAX_REWRITE = 4_096
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What aiModifications ask for.

    Attributes:
        seed: picks a previewed wording.
        rewrites: rewordings of the text that its author approves.
        approve: `auto`: the operator's language model is asked, and nobody looks at what passes the guard.
    """

    modifications: Modifications | None = None
    seed: str | None = None
    rewrites: tuple[Rewrite, ...] | None = None
    approve: Literal["auto"] | None = None


def parse_modifications(value: object, *, field: str) -> Asked:
    """What aiModifications ask for; nothing when absent."""
    if absent(value):
        return Asked()
    members = _object(value, field)
    rewrites = _parse_rewrites(members.get("rewrites"), field=f"{field}.rewrites")
    approve = _parse_approve(members.get("approve"), field=f"{field}.approve")
    if rewrites and approve:
        raise Invalid(f"{field} has rewrites, which you approve by giving them, and approve: auto.", field=field)
    return Asked(
        Modifications(
            use_synonyms=parse_boolean(members.get("useSynonyms"), field=f"{field}.useSynonyms"),
            add_emojis=parse_boolean(members.get("addEmojis"), field=f"{field}.addEmojis"),
            shuffle_sentences=parse_boolean(members.get("shuffleSentences"), field=f"{field}.shuffleSentences"),
        ),
        parse_short(members.get("seed"), field=f"{field}.seed"),
        rewrites,
        approve,
    )


def _parse_rewrites(value: object, *, field: str) -> tuple[Rewrite, ...] | None:
    """Rewordings as a preview gave them, which the guard has not seen yet; None when absent, or none are left."""
    if absent(value):
        return None
    if not isinstance(value, list) or len(value) > MOST_REWRITES:
        raise Invalid(f"{field} must be a list of at most {MOST_REWRITES}, as a preview gives them.", field=field)
    return tuple(_parse_rewrite(one, field=f"{field}[{number}]") for number, one in enumerate(value)) or None


def _parse_rewrite(value: object, *, field: str) -> Rewrite:
    if not isinstance(value, dict):
        raise Invalid(f"{field} must be an object with text and model, as a preview gives it.", field=field)
    model = required_text(value.get("model"), field=f"{field}.model", at_most=MAX_MODEL_NAME)
    if not is_model_name(model):
        raise Invalid(f"{field}.model is no name of a model.", field=f"{field}.model")
    return Rewrite(required_text(value.get("text"), field=f"{field}.text", at_most=_MAX_REWRITE), model)


def _parse_approve(value: object, *, field: str) -> Literal["auto"] | None:
    if absent(value) or value == "author":
        return None
    if value != "auto":
        raise Invalid(f"{field} must be author or auto.", field=field)
    return "auto"


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
