"""Rewordings of a whole text: as a language model wrote them, and as they may be used when they passed the guard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chatwren.variation.bounds import bounded
from chatwren.variation.guard import Fault, Guard, same
from chatwren.variation.template import Piece, Template

MOST_REWRITES = 12
"""Of one text."""
MOST_CHARACTERS = 2_000
"""Of a text that may have any. Longer ones take a model longer than an author waits."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A rewording of a text, which nobody has looked at.

    Attributes:
        text: a template, with the placeholders of the text.
        model: the name of what wrote it.
    """

    text: str
    model: str


@dataclass(frozen=True, slots=True)
class Reworded:
    """A rewording that the guard holds to say what the text says. Made by `held` alone.

    Attributes:
        rule: names it among the changes.
        pieces: of the rewording.
    """

    rule: str
    pieces: tuple[Piece, ...]


class RewriteRefused(Exception):
    """The guard refuses a rewording. Stays in here and in services.

    Attributes:
        number: of the rewording, from 0.
        faults: what is wrong with it.
    """

    def __init__(self, number: int, faults: Sequence[Fault]) -> None:
        super().__init__()
        self.number = number
        self.faults = faults


def survivors(template: Template, rewrites: Iterable[Rewrite]) -> list[Rewrite]:
    """Those of some rewordings that the guard lets pass, each once, `MOST_REWRITES` at most.

    Args:
        template: the text, without spintax.
        rewrites: what is said to say the same.
    """
    guard = Guard(template.resolve(0)[0])
    kept: list[Rewrite] = []
    for one in rewrites:
        if len(kept) < MOST_REWRITES and not any(same(one.text, other.text) for other in kept):
            kept += [one] if not guard.faults(one.text) else []
    return kept


@lru_cache(maxsize=16)  # the rows of a bulk have few texts
def held(text: str, rewrites: tuple[Rewrite, ...]) -> tuple[Reworded, ...]:
    """Rewordings that somebody gives for a text, all of which the guard has to let pass.

    Args:
        text: a template.
        rewrites: `MOST_REWRITES` at most.

    Raises:
        Invalid: the text is not one that a person would write.
        RewriteRefused: the guard refuses one.
    """
    template = bounded(text)
    if len(text) > MOST_CHARACTERS:
        raise RewriteRefused(0, [Fault.LENGTH])
    if template.count > 1:
        raise RewriteRefused(0, [Fault.MARKUP])
    guard = Guard(template.resolve(0)[0])
    for number, one in enumerate(rewrites):
        if faults := guard.faults(one.text):
            raise RewriteRefused(number, faults)
    return tuple(Reworded(f"model/{one.model}", tuple(Template(one.text).resolve(0)[0])) for one in rewrites)
