r"""The wordings of a text as spintax, so that a person may read them, take some out, and add others.

What belongs to the text is escaped, placeholders are kept. Sentences that may change places stand there in each order.
"""

import re
from collections.abc import Mapping, Sequence

from chatwren.domain.errors import Invalid
from chatwren.domain.text import MAX_MESSAGE_BYTES
from chatwren.variation.bounds import bounded
from chatwren.variation.emoji import Own
from chatwren.variation.masks import Masked
from chatwren.variation.model import Modifications, Unchanged
from chatwren.variation.moves import Run
from chatwren.variation.opening import Opening, at_start
from chatwren.variation.pipeline import check_filled, fill, may_be_reworded, planned
from chatwren.variation.plan import Plan
from chatwren.variation.rewrites import Reworded
from chatwren.variation.template import Piece, Placeholder, Template, escaped

_MOST_BRANCHES = 8
"""Texts that the spintax of the text itself can become. Each may be varied in ways of its own, and is written out."""
_MOST_CHARACTERS = 12_288
"""Of all of them."""

# While the text's own signs are not escaped, those of groups are private characters, as the masks' are.
_OPEN, _BAR, _CLOSE = "\U0010fff0", "\U0010fff1", "\U0010fff2"
_GROUPS = str.maketrans({_OPEN: "{", _BAR: "|", _CLOSE: "}"})
_NAMED = re.compile("\0([^\0]+)\0")


def spintax(
    text: str,
    allowed: Modifications,
    *,
    fields: Mapping[str, str] | None = None,
    rewrites: Sequence[Reworded] = (),
) -> str | None:
    """The spintax that gives the wordings that `vary` gives, and the text's own; each is as likely as the others.

    None where it would be longer than a text may be; where the text's own spintax can become more than eight texts, or
    long ones, or has code beside it; or where it could not be read as it is meant: within code, braces are no group.

    Args:
        text: as the user wrote it.
        allowed: what may be done to it.
        fields: values for its placeholders. They tell whether the text is one that may be varied, and are not written.
        rewrites: of the text, which then has no spintax.

    Raises:
        MissingField: a placeholder has no value, or is none.
        Invalid: the text is not one that a person would write.
    """
    template = bounded(text)
    values = dict(fields or {})
    check_filled(template, values)
    if template.count > 1 and (
        "`" in text or template.count > _MOST_BRANCHES or template.count * len(text) > _MOST_CHARACTERS
    ):
        return None
    branches: list[str] = []
    wordings = 0
    texts: list[Sequence[Piece]] = [template.resolve(index)[0] for index in range(template.count)]
    if rewrites and may_be_reworded(fill(texts[0], values)):
        texts += [one.pieces for one in rewrites]
    for pieces in texts:
        found = planned(pieces, fill(pieces, values), allowed)
        if isinstance(found, Unchanged):
            branches.append(_NAMED.sub(r"{{\1}}", escaped(_marked(pieces))))
            wordings += 1
            continue
        written = _written(*found)
        if written is None:
            return None
        branches.append(written)
        wordings += found[0].possible + 1
    if wordings == template.count == len(texts):
        return text
    made = branches[0] if len(branches) == 1 else f"{{{'|'.join(branches)}}}"
    return made if len(made.encode()) <= MAX_MESSAGE_BYTES and _count(made) == wordings else None


def _written(plan: Plan, masked: Masked) -> str | None:
    """The spintax of one text, or None."""
    text = _with_groups(plan)
    if text is None:
        return None
    for own in plan.own:
        text = _with_own(text, own)
    marks = {name: f"\0{name}\0" for name in masked.names}
    made = _NAMED.sub(r"{{\1}}", masked.unmask(escaped(masked.stretched(text)), marks)).translate(_GROUPS)
    last = plan.wording(plan.possible, lambda part: part).text
    read = Template(made)
    ends = [_marked(read.resolve(index)[0]) for index in (0, read.count - 1)]
    return made if ends == [masked.unmask(one, marks) for one in (plan.text, last)] else None


def _with_groups(plan: Plan) -> str | None:
    """The masked text with a group for each choice but its own emojis, or None."""
    if any(sign in plan.text for sign in (_OPEN, _BAR, _CLOSE)):
        return None
    parts = [_sentence(plan, number) for number in range(len(plan.sentences))]
    if plan.opening:
        parts[0] = _opened(plan, plan.opening, parts[0])
    starts = {run.sentences[0]: run for run in plan.runs}
    made: list[str] = []
    position = number = 0
    while number < len(parts):
        made.append(plan.text[position : plan.sentences[number].start])
        last = number
        if run := starts.get(number):
            last = run.sentences[-1]
            if run.orders * sum(len(parts[one]) for one in run.sentences) > MAX_MESSAGE_BYTES:
                return None
            made.append(_group([_in_order(plan, parts, run, run.order(index)) for index in range(run.orders)]))
        else:
            made.append(parts[number])
        position, number = plan.sentences[last].end, last + 1
    return "".join((*made, plan.text[position:]))


def _sentence(plan: Plan, number: int) -> str:
    sentence = plan.sentences[number]
    position, made = sentence.start, []
    for site in plan.sites:
        if sentence.start <= site.start < sentence.end:
            made += [plan.text[position : site.start], _group([plan.text[site.start : site.end], *site.wordings])]
            position = site.end
    made.append(plan.text[position : sentence.end])
    made += [_group(["", *(f" {emoji}" for emoji in spot.emojis)]) for spot in plan.spots if spot.sentence == number]
    return "".join(made)


def _opened(plan: Plan, opening: Opening, part: str) -> str:
    """The first sentence with a group for its beginning, in which the greetings are."""
    site = at_start(plan.text, plan.sites)
    before = plan.text[: site.start] if site else ""
    said = [plan.text[site.start : site.end], *site.wordings] if site else [opening.first]
    rest = part[len(before) + len(_group(said)) if site else len(opening.first) :]
    first = [f"{before}{one}" for one in said]
    greeted = [opening.before(greeting, one) for greeting in opening.greetings for one in first]
    return _group([*first, *greeted]) + rest


def _in_order(plan: Plan, parts: Sequence[str], run: Run, order: Sequence[int]) -> str:
    made = [parts[order[0]]]
    for before, after, number in zip(run.sentences, run.sentences[1:], order[1:], strict=False):
        made += [plan.text[plan.sentences[before].end : plan.sentences[after].start], parts[number]]
    return "".join(made)


def _with_own(text: str, own: Own) -> str:
    """`text` with a group wherever the emoji stands, in which the spaces are that go with it."""

    def group(match: re.Match[str]) -> str:
        return _group([match[0].replace(own.token, emoji) if emoji else own.none for emoji in (own.token, *own.emojis)])

    return re.sub(f"{own.token} *" if own.leading else f" *{own.token}", group, text)


def _group(alternatives: Sequence[str]) -> str:
    return f"{_OPEN}{_BAR.join(alternatives)}{_CLOSE}"


def _count(text: str) -> int | None:
    """How many texts it can become, or None where it is not one that may be read."""
    try:
        return bounded(text).count
    except Invalid:
        return None


def _marked(pieces: Sequence[Piece]) -> str:
    return "".join(f"\0{piece.name}\0" if isinstance(piece, Placeholder) else piece for piece in pieces)
