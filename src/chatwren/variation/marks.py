"""Marks: words by which a sentence is no plain statement, so that a rule made for statements would misread it."""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from chatwren.variation import tables
from chatwren.variation.phrases import Hit, Index, Phrase, Text
from chatwren.variation.sentences import Sentence, goes_on
from chatwren.variation.words import WORD, needs_accent, plain, unaccented, words

KINDS = frozenset({"question", "negation", "condition", "setback"})
"""A setback tells that what its sentence says has come to nothing: "has been shipped and was returned"."""
LATER = "later"
"""Beside kinds in a table's `even_in`: negations and conditions, if they come after the words of the rule."""

_QUESTION_MARK = re.compile("[?؟¿]")


def even_in(entry: Mapping[str, str | list[str]]) -> frozenset[str]:
    """The kinds of marks that an entry of a table says its sentence may have; of all kinds, where it says "any"."""
    kinds = entry.get("even_in", ())
    return KINDS if kinds == "any" else frozenset(kinds)


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: str
    start: int
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Signs:
    """Words that are marks by themselves, the same for a text without accents, and phrases that are."""

    single: Mapping[str, str]
    bare: Mapping[str, str]
    several: Index[str]


@cache
def _signs(language: str) -> _Signs:
    signs = [
        (sign.strip(), kind)
        for kind, lines in tables.read("languages")["marks"].items()
        for sign in lines[language].split(",")
    ]
    single = {sign: kind for sign, kind in signs if WORD.fullmatch(sign)}
    return _Signs(
        single | {unaccented(sign): kind for sign, kind in single.items() if not needs_accent(sign)},
        single | {unaccented(sign): kind for sign, kind in single.items() if not needs_accent(sign, bare=True)},
        Index((Phrase(sign, any_case=True), kind) for sign, kind in signs if not WORD.fullmatch(sign)),
    )


class Marks:
    """The marks of a masked text."""

    def __init__(
        self, text: Text, sentences: Sequence[Sentence], languages: Sequence[str], weighty: Mapping[str, str]
    ) -> None:
        """Find them.

        Args:
            text: masked.
            sentences: its sentences.
            languages: those that it is written in.
            weighty: words in capitals or in bold, by their tokens: "NOT" is a mark as well.
        """
        found = [mark for language in languages for mark in _found(text, _signs(language), weighty)]
        found += [_Mark("question", match.start(), frozenset()) for match in _QUESTION_MARK.finditer(text.text)]
        self._starts = _starts(text.text, sentences) if found else []
        self._marks: dict[int, list[_Mark]] = defaultdict(list)  # by the number of their sentence
        for mark in found:
            self._marks[bisect(self._starts, mark.start)].append(mark)

    def forbid(self, hit: Hit, allowed: AbstractSet[str], *, offset: int = 0) -> bool:
        """Whether the sentence of a hit has a mark of a kind that is not allowed. The phrase's own words are none.

        Args:
            hit: what was found.
            allowed: kinds, and `LATER`.
            offset: where the text begins in which it was found.
        """
        start, end = hit.start + offset, hit.end + offset
        return any(
            mark.kind not in allowed
            and not (start <= mark.start < end and mark.words and mark.words <= hit.own)
            and not (LATER in allowed and mark.start >= end and mark.kind in {"negation", "condition"})
            for mark in self._marks.get(bisect(self._starts, start), ())
        )

    def within(self, place: int) -> bool:
        """Whether there is any in the sentence that stands at a place."""
        return bool(self._marks.get(bisect(self._starts, place)))


def _starts(text: str, sentences: Sequence[Sentence]) -> list[int]:
    """Where sentences begin, of which one that goes on in the next line is one."""
    found = [sentences[0].start] if sentences else []
    for before, sentence in pairwise(sentences):
        if not goes_on(text, before, sentence):
            found.append(sentence.start)
    return found


def _found(text: Text, signs: _Signs, weighty: Mapping[str, str]) -> Iterator[_Mark]:
    single = signs.bare if text.bare else signs.single
    if not single.keys().isdisjoint(text.words):
        for match in WORD.finditer(text.text):
            word = plain(match[0])
            if word in single:
                yield _Mark(single[word], match.start(), frozenset({unaccented(word)}))
    for kind, hit in signs.several.found(text):
        yield _Mark(kind, hit.start, hit.own)
    for token, stretch in weighty.items():
        for word in words(stretch):
            if word in single:
                yield _Mark(single[word], text.text.find(token), frozenset())
