"""Whether a text is likely one that must not vary though no sign says so: a linear model over pieces of its words.

What it knows it has from the texts in `tests/unit/variation/`, through `tools/learn-gate`, which writes its table. The
more of a text's pieces stand mostly in sensitive ones, the higher it scores.
"""

import math
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from zlib import crc32

from chatwren.variation import tables
from chatwren.variation.signs import plain_words

SIZE = 1 << 15
"""How many weights there are; pieces that fall on the same one share it."""

_PIECES = (2, 3, 4, 5)  # characters of a word's pieces
_LONGEST = 24  # characters of a word that are looked at
_WINDOW = 60  # words that are judged together, so that a long text does not hide a sentence
_STEP = 30


@dataclass(frozen=True, slots=True)
class _Model:
    weights: memoryview  # a byte each, signed
    threshold: float  # of the score, in units of the weights


@cache
def _model() -> _Model:
    table = tables.read("likely")
    return _Model(memoryview(b64decode(table["weights"])).cast("b"), table["threshold"])


def windows(text: str) -> list[Sequence[str]]:
    """The words of a text as they are judged: all of them, or of a long text overlapping stretches."""
    found = plain_words(text)
    return [found[start : start + _WINDOW] for start in range(0, max(len(found) - _WINDOW + _STEP, 1), _STEP)]


def places(words: Sequence[str]) -> list[int]:
    """Which weights a stretch of words adds up, each word and each pair of neighbours once."""
    found = [place for word in dict.fromkeys(words) for place in _of_word(word)]
    return found + [_place(f"{one} {next_}") for one, next_ in dict.fromkeys(pairwise(words))]


def is_likely_sensitive(text: str) -> bool:
    """Whether any stretch of `text` (not masked) scores above the threshold. Time grows with the text's length."""
    model = _model()
    return any(_score(words, model) > model.threshold for words in windows(text))


def _score(words: Sequence[str], model: _Model) -> float:
    total = count = 0
    for word in dict.fromkeys(words):
        weight, pieces = _weight(word)
        total += weight
        count += pieces
    for one, next_ in dict.fromkeys(pairwise(words)):
        total += model.weights[_place(f"{one} {next_}")]
        count += 1
    return total / math.sqrt(count or 1)


@lru_cache(2048)
def _weight(word: str) -> tuple[int, int]:
    """The sum of a word's weights, and how many they are."""
    found = list(_of_word(word))
    weights = _model().weights
    return sum(weights[place] for place in found), len(found)


def _of_word(word: str) -> Iterator[int]:
    framed = f"<{word[:_LONGEST]}>"
    yield _place(word[:_LONGEST])
    for length in _PIECES:
        for start in range(len(framed) - length + 1):
            yield _place(framed[start : start + length])


def _place(piece: str) -> int:
    return crc32(piece.encode("utf-8", "surrogatepass")) % SIZE
