"""The way of a text: spintax, sensitivity, language, masks, wordings, places, emojis, the check, placeholders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatwren.domain.text import too_long
from chatwren.variation import tables
from chatwren.variation.draw import draw
from chatwren.variation.language import languages
from chatwren.variation.masks import Masked, TooManyTokens
from chatwren.variation.model import Change, MissingField, Modifications, NoPlaceholder, Unchanged, Variation
from chatwren.variation.phrases import Text
from chatwren.variation.plan import Plan, plan
from chatwren.variation.rewrites import Reworded
from chatwren.variation.sensitivity import sensitivity
from chatwren.variation.template import Piece, Placeholder, Template, unescaped

TABLE_VERSION = f"1-{tables.fingerprint()}"
"""Changes whenever a table does: a seed gives the same text only with the same tables."""

_LONGEST = 4096  # characters of a WhatsApp message; longer texts are not varied
_MOST = 65_536  # characters of the longest text that is put together
_COUNTED = 1_000_000


def vary(
    text: str | Template,
    modifications: Modifications,
    *,
    seed: str,
    fields: Mapping[str, str] | None = None,
    rewrites: Sequence[Reworded] = (),
) -> Variation:
    """One wording of `text`, chosen by `seed` alone.

    Spintax is resolved and placeholders are filled in any case; the rest happens as `modifications` allow. The text's
    own wording is not among those that are drawn, if there is another.

    Args:
        text: as the user wrote it; as a template, where it is worded more than once.
        modifications: what may be done to it.
        seed: any string; the same text, tables and seed give the same result in every process.
        fields: values for the placeholders `{{name}}`. They are never varied.
        rewrites: of the text, which then has no spintax. One of them, or the text itself, is drawn first.

    Raises:
        MissingField: a placeholder, in whatever branch of the spintax, has no value, or is none (`NoPlaceholder`).
        Invalid: filled, the text has more than 65,536 characters.
    """
    template = Template(text) if isinstance(text, str) else text
    values = dict(fields or {})
    check_filled(template, values)
    pieces, spins = template.resolve(draw(template.count, TABLE_VERSION, seed, "spintax"))
    length = sum(len(values[piece.name] if isinstance(piece, Placeholder) else piece) for piece in pieces)
    if length > _MOST:  # before it is put together: a short text with a long value, many times
        raise too_long(length)
    changes = [Change("spintax", spin.before, fill(spin.after, values)) for spin in spins]
    filled = fill(pieces, values)
    usable = rewrites if rewrites and may_be_reworded(filled) else ()
    number = draw(len(usable) + 1, TABLE_VERSION, seed, "rewrite")
    outcome = _modify(pieces, filled, modifications, seed, values) if not number else None
    if usable and (outcome is None or outcome.unchanged):
        number = number or draw(len(usable), TABLE_VERSION, seed, "rewrite again") + 1
        outcome = _reworded(usable[number - 1], filled, modifications, seed, values)
    assert outcome is not None  # noqa: S101 - without rewordings the number is 0
    possible = template.count * (len(usable) + 1) * outcome.possible
    unchanged = outcome.unchanged
    return Variation(
        outcome.text, (*changes, *outcome.changes), seed, min(possible, _COUNTED), unchanged and unchanged.value
    )


def unchanged_by_model(pieces: Sequence[Piece], filled: str) -> str | None:
    """The code of why a language model is not asked about a text, or None.

    Args:
        pieces: of the text.
        filled: the same, with values for its placeholders.
    """
    if sensitive := sensitivity(filled):
        return sensitive.reason.value
    try:
        masked = Masked(pieces)
    except TooManyTokens:
        return Unchanged.LANGUAGE.value
    return None if languages(masked.text) else Unchanged.LANGUAGE.value


def may_be_reworded(filled: str) -> bool:
    """Whether a text may have rewordings of a language model: it is none about which restraint is called for."""
    return len(filled) <= _LONGEST and sensitivity(filled) is None


def has_braces(text: str) -> bool:
    """Whether a text has two braces in a row, escaped or not: reading one may take a third of a second."""
    return "{{" in text or "}}" in text or r"\{\{" in text


def literal(text: str) -> str:
    r"""What goes out of a text for which nobody asked for anything: itself, to the letter.

    But no placeholder may reach the customer. A text that has two braces in a row is read for them, and there `\{` is a
    brace.

    Raises:
        MissingField: there is a placeholder, or what looks like one (`NoPlaceholder`).
    """
    if not has_braces(text):
        return text
    check_filled(Template(text), {})
    return unescaped(text)


def check_filled(template: Template, values: Mapping[str, str]) -> None:
    """Whether each placeholder has a value.

    Raises:
        MissingField: one has none, or is none (`NoPlaceholder`).
    """
    for name in template.names:
        if name not in values:
            raise MissingField(name)
    for odd in template.odd:
        raise NoPlaceholder(odd)
    if braced := template.braced(values):
        raise NoPlaceholder(braced)


@dataclass(frozen=True, slots=True)
class _Outcome:
    text: str
    changes: tuple[Change, ...]
    possible: int
    unchanged: Unchanged | None


def fill(pieces: Sequence[Piece], values: Mapping[str, str]) -> str:
    """The text of these pieces, with values for the placeholders."""
    return "".join(values[piece.name] if isinstance(piece, Placeholder) else piece for piece in pieces)


def planned(pieces: Sequence[Piece], filled: str, modifications: Modifications) -> tuple[Plan, Masked] | Unchanged:
    """What may be done to a text without spintax, and what its tokens stand for; or why nothing may.

    Args:
        pieces: of the text.
        filled: the same, with values for its placeholders.
        modifications: what is asked for.
    """
    if modifications == Modifications():
        return Unchanged.NOTHING_ASKED
    if len(filled) > _LONGEST:
        return Unchanged.TOO_LONG
    sensitive = sensitivity(filled)
    if sensitive and sensitive.frozen:
        return sensitive.reason
    try:
        masked = Masked(pieces)
    except TooManyTokens:
        return Unchanged.LANGUAGE
    text = Text(masked.text)
    if not text.words:
        return Unchanged.NOTHING_FITS
    found = languages(masked.text)
    if not found:
        return Unchanged.LANGUAGE
    made = plan(text, masked, found, modifications, sober=sensitive is not None)
    if made.possible == 0:
        return sensitive.reason if sensitive else Unchanged.NOTHING_FITS
    return made, masked


def _reworded(one: Reworded, filled: str, modifications: Modifications, seed: str, values: dict[str, str]) -> _Outcome:
    """A rewording, and what the tables make of it."""
    said = fill(one.pieces, values)
    outcome = _modify(one.pieces, said, modifications, seed, values)
    return _Outcome(outcome.text, (Change(one.rule, filled, said), *outcome.changes), outcome.possible, None)


def _modify(
    pieces: Sequence[Piece], filled: str, modifications: Modifications, seed: str, values: dict[str, str]
) -> _Outcome:
    found = planned(pieces, filled, modifications)
    if isinstance(found, Unchanged):
        return _Outcome(filled, (), 1, found)
    made, masked = found
    number = draw(made.possible, TABLE_VERSION, seed, "wording") + 1
    wording = made.wording(number, lambda part: masked.unmask(part, values))
    worded = masked.unmask(wording.text, values)
    if wording.failed:
        return _Outcome(filled, (Change(f"check/{wording.failed}", worded, filled),), 1, Unchanged.CHECK_FAILED)
    return _Outcome(worded, wording.changes, made.possible, None)
