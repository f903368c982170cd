"""The way of a text: spintax, sensitivity, language, masks, wordings, places, emojis, the check, placeholders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from chatwren.domain.text import too_long
from chatwren.variation import tables
from chatwren.variation.draw import draw
from chatwren.variation.emoji import Spot, spots
from chatwren.variation.invariants import broken
from chatwren.variation.language import is_formal, languages
from chatwren.variation.marks import Marks
from chatwren.variation.masks import Masked, TooManyTokens
from chatwren.variation.model import Change, MissingField, Modifications, NoPlaceholder, Unchanged, Variation
from chatwren.variation.moves import Run, runs
from chatwren.variation.phrases import Text
from chatwren.variation.rules import Site, sites
from chatwren.variation.sensitivity import sensitivity
from chatwren.variation.sentences import Sentence, split
from chatwren.variation.template import Piece, Placeholder, Template, unescaped

TABLE_VERSION = f"1-{tables.fingerprint()}"
"""Changes whenever a table does: a seed gives the same text only with the same tables."""

_LONGEST = 4096  # characters of a WhatsApp message; longer texts are not varied
_MOST = 65_536  # characters of the longest text that is put together
_COUNTED = 1_000_000


def vary(
    text: str | Template, modifications: Modifications, *, seed: str, fields: Mapping[str, str] | None = None
) -> Variation:
    """One wording of `text`, chosen by `seed` alone.

    Spintax is resolved and placeholders are filled in any case; the rest happens as `modifications` allow. The text's
    own wording is not among those that are drawn, if there is another.

    Args:
        text: as the user wrote it; as a template, where it is worded more than once.
        modifications: what may be done to it.
        seed: any string; the same text, tables and seed give the same result in every process.
        fields: values for the placeholders `{{name}}`. They are never varied.

    Raises:
        MissingField: a placeholder, in whatever branch of the spintax, has no value, or is none (`NoPlaceholder`).
        Invalid: filled, the text has more than 65,536 characters.
    """
    template = Template(text) if isinstance(text, str) else text
    values = dict(fields or {})
    _check_filled(template, values)
    pieces, spins = template.resolve(draw(template.count, TABLE_VERSION, seed, "spintax"))
    length = sum(len(values[piece.name] if isinstance(piece, Placeholder) else piece) for piece in pieces)
    if length > _MOST:  # before it is put together: a short text with a long value, many times
        raise too_long(length)
    changes = [Change("spintax", spin.before, _fill(spin.after, values)) for spin in spins]
    filled = _fill(pieces, values)
    outcome = _modify(pieces, filled, modifications, seed, values)
    possible = template.count * outcome.possible
    unchanged = outcome.unchanged
    return Variation(
        outcome.text, (*changes, *outcome.changes), seed, min(possible, _COUNTED), unchanged and unchanged.value
    )


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
    _check_filled(Template(text), {})
    return unescaped(text)


def _check_filled(template: Template, values: Mapping[str, str]) -> None:
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


def _fill(pieces: Sequence[Piece], values: Mapping[str, str]) -> str:
    return "".join(values[piece.name] if isinstance(piece, Placeholder) else piece for piece in pieces)


def _modify(
    pieces: Sequence[Piece], filled: str, modifications: Modifications, seed: str, values: dict[str, str]
) -> _Outcome:
    def same(reason: Unchanged) -> _Outcome:
        return _Outcome(filled, (), 1, reason)

    if modifications == Modifications():
        return same(Unchanged.NOTHING_ASKED)
    if len(filled) > _LONGEST:
        return same(Unchanged.TOO_LONG)
    sensitive = sensitivity(filled)
    if sensitive and sensitive.frozen:
        return same(sensitive.reason)
    try:
        masked = Masked(pieces)
    except TooManyTokens:
        return same(Unchanged.LANGUAGE)
    text = Text(masked.text)
    if not text.words:
        return same(Unchanged.NOTHING_FITS)
    found = languages(masked.text)
    if not found:
        return same(Unchanged.LANGUAGE)
    plan = _plan(text, masked, found, modifications, sober=sensitive is not None)
    if plan.possible == 0:
        return same(sensitive.reason if sensitive else Unchanged.NOTHING_FITS)
    return _carry_out(plan, masked, filled, seed, values)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that may be done to a text."""

    text: str
    sentences: list[Sentence]
    sites: list[Site]
    runs: list[Run]
    spots: list[Spot]

    @property
    def possible(self) -> int:
        """How many wordings there are beside the text's own."""
        kept = prod(len(site.wordings) + 1 for site in self.sites) * prod(run.orders for run in self.runs)
        return kept * prod(len(spot.emojis) for spot in self.spots) if self.spots else kept - 1


def _plan(text: Text, masked: Masked, found: Sequence[str], modifications: Modifications, *, sober: bool) -> _Plan:
    formal = {language: is_formal(text, language) for language in found}
    sentences = split(text.text)
    marks = Marks(text, sentences, found, masked.weighty())
    return _Plan(
        text.text,
        sentences,
        [site for site in sites(text, found, formal, marks) if _within_one(site, sentences)]
        if modifications.use_synonyms
        else [],
        runs(text, sentences, found) if modifications.shuffle_sentences and not sober else [],
        spots(text, sentences, found, marks)
        if modifications.add_emojis and not sober and not any(formal.values())
        else [],
    )


def _within_one(site: Site, sentences: Sequence[Sentence]) -> bool:
    return any(sentence.start <= site.start and site.end <= sentence.end for sentence in sentences)


def _carry_out(plan: _Plan, masked: Masked, filled: str, seed: str, values: dict[str, str]) -> _Outcome:
    index = draw(plan.possible, TABLE_VERSION, seed, "wording") + (0 if plan.spots else 1)
    worded: list[tuple[Site, str]] = []
    for site in plan.sites:
        index, choice = divmod(index, len(site.wordings) + 1)
        if choice:
            worded.append((site, site.wordings[choice - 1]))
    orders: list[tuple[Run, tuple[int, ...]]] = []
    for run in plan.runs:
        index, choice = divmod(index, run.orders)
        if choice:
            orders.append((run, run.order(choice)))
    emojis: list[tuple[Spot, str]] = []
    for spot in plan.spots:
        index, choice = divmod(index, len(spot.emojis))
        emojis.append((spot, spot.emojis[choice]))

    parts = _worded(plan, worded)
    after = "".join(_joined(plan, parts, orders))
    failed = broken(plan.text, after, shuffled=bool(orders))
    changes = [
        Change(site.rule, masked.unmask(plan.text[site.start : site.end], values), masked.unmask(said, values))
        for site, said in worded
    ]
    for run, order in orders:
        changes.append(
            Change(
                "move",
                *(
                    masked.unmask(" ".join(parts[number] for number in numbers), values)
                    for numbers in (run.sentences, order)
                ),
            )
        )
    for spot, emoji in emojis:
        bare = masked.unmask(parts[spot.sentence], values)
        parts[spot.sentence] += f" {emoji}"
        changes.append(Change(spot.rule, bare, f"{bare} {emoji}"))
    text = masked.unmask("".join(_joined(plan, parts, orders)), values)
    if failed:
        return _Outcome(filled, (Change(f"check/{failed}", text, filled),), 1, Unchanged.CHECK_FAILED)
    return _Outcome(text, tuple(changes), plan.possible, None)


def _worded(plan: _Plan, worded: Sequence[tuple[Site, str]]) -> list[str]:
    """The sentences with the chosen wordings in them."""
    parts = []
    for sentence in plan.sentences:
        position, made = sentence.start, []
        for site, said in worded:
            if sentence.start <= site.start < sentence.end:
                made += [plan.text[position : site.start], said]
                position = site.end
        parts.append("".join((*made, plan.text[position : sentence.end])))
    return parts


def _joined(plan: _Plan, parts: Sequence[str], orders: Sequence[tuple[Run, tuple[int, ...]]]) -> list[str]:
    """The sentences in their new order, with what lies between them where it was."""
    places = {old: new for run, order in orders for old, new in zip(run.sentences, order, strict=True)}
    made, position = [], 0
    for number, sentence in enumerate(plan.sentences):
        made += [plan.text[position : sentence.start], parts[places.get(number, number)]]
        position = sentence.end
    return [*made, plan.text[position:]]
