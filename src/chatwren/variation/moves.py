"""Moves: sentences that stand alone may change places with their neighbours, if these stand alone too."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

from chatwren.variation import tables
from chatwren.variation.phrases import Hit, Index, Phrase, Text
from chatwren.variation.sentences import Sentence

_MOST = 4  # sentences in one run


@dataclass(frozen=True, slots=True)
class Run:
    """Sentences, by number, one after the other in one line, that may stand in any order."""

    sentences: tuple[int, ...]

    @property
    def orders(self) -> int:
        """In how many orders they can stand."""
        return factorial(len(self.sentences))

    def order(self, index: int) -> tuple[int, ...]:
        """The `index`-th order of the sentences; 0 is their own."""
        left = list(self.sentences)
        taken = []
        for size in range(len(left), 0, -1):
            position, index = divmod(index, factorial(size - 1))
            taken.append(left.pop(position))
        return tuple(taken)


@cache
def _alone(language: str) -> Index[None]:
    """The phrases that whole sentences must consist of to be moved."""
    return Index(
        (Phrase(f"^{line}$", any_case=True), None)
        for kind in tables.read("moves").values()
        for line in kind.get(language, ())
    )


def runs(text: Text, sentences: Sequence[Sentence], languages: Sequence[str]) -> list[Run]:
    """The runs of two or more movable sentences."""
    found: list[list[int]] = [[]]
    for number, sentence in enumerate(sentences):
        part = Text(text.text[sentence.start : sentence.end])
        if found[-1] and (sentences[found[-1][-1]].line != sentence.line or len(found[-1]) == _MOST):
            found.append([])
        if any(_is_whole(hit, part.text) for name in languages for _, hit in _alone(name).found(part)):
            found[-1].append(number)
        elif found[-1]:
            found.append([])
    return [Run(tuple(run)) for run in found if len(run) > 1]


def _is_whole(hit: Hit, sentence: str) -> bool:
    return not sentence[: hit.start].strip("¡¿ ") and not sentence[hit.end :].strip(".!?। ")
