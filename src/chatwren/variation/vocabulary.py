"""The language of texts in which few of the commonest words stand, by the words of many texts.

The table is learned (`tools/learn-language`): how often the words of a language stand in texts of shops, and in some of
languages that are not varied. A text is taken for a language only if half of its words are known in it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from math import log

from chatwren.variation import tables

_UNSEEN = 0.0003  # how often a word stands in a text of a language in none of whose texts it was seen
_MARGIN = 1.0  # how much likelier the language must be than the next, as a logarithm
_FAR = 4.0  # how much likelier a clause must be in another language, for the text to be in two
_CLAUSE = 2  # words that such a clause has at least
_KNOWN = 0.5  # of the words
_OTHERS = 2  # a language has at least this many words of its own for each that only another knows
_ENOUGH = 60  # words: more of a text are not looked at
_WITHIN = {"hinglish": {"en"}, "en": {"hinglish"}}  # English words stand in Hinglish texts, and "Namaste" in English
_DROPPED = str.maketrans({"\u093c": None, "ँ": "ं"})
_MARKS = re.compile("[\u0300-\u036f]")
_FIGURES = re.compile(r"[\d_]")


@cache
def _learned(script: str) -> dict[str, dict[str, float]]:
    """For each word the languages that have it, and how much likelier it is in their texts than a word not seen."""
    found: dict[str, dict[str, float]] = {}
    for name, entry in tables.read("vocabulary")[script].items():
        texts = entry.pop("texts")
        for power, line in entry.items():
            likelier = log(2 ** int(power) / texts + _UNSEEN) - log(_UNSEEN)
            for word in line.split():
                found.setdefault(word, {})[name] = likelier
    return found


def _folded(word: str) -> str:
    """A word without its accents, which people leave out."""
    return word if word.isascii() else _MARKS.sub("", unicodedata.normalize("NFD", word)).translate(_DROPPED)


def usable(found: Sequence[str]) -> list[str]:
    """Of the words of a text, as they are learned: those without figures, folded."""
    return [_folded(word) for word in found if word and not _FIGURES.search(word)]


def told(found: Sequence[str], script: str) -> str | None:
    """The language of a text by its words, or None: unsure, two at once, or one that is not varied.

    Args:
        found: the words, in lower case.
        script: `latin` or `devanagari`.
    """
    words = _looked_up(found[:_ENOUGH], script)
    (best, score), (_, next_score) = _ranked(words)
    if best not in tables.LANGUAGES or score - next_score < _MARGIN:
        return None
    known = sum(best in word for word in words)
    return None if known < _KNOWN * len(words) or _beside(words, best, fewest=1) else best


def foreign(clauses: Sequence[Sequence[str]], script: str, language: str) -> bool:
    """Whether a text that was taken for `language` is likelier in one that is not varied, or has parts in another.

    Args:
        clauses: its parts between signs, each by its words.
        script: `latin` or `devanagari`.
        language: one of those that are varied.
    """
    parts: list[list[Mapping[str, float]]] = []
    left = _ENOUGH
    for clause in clauses:
        parts.append(_looked_up([word for word in clause[:left] if len(word) > 1], script))
        left -= len(clause)
        if left <= 0:
            break
    words = [word for part in parts for word in part]
    likeliest, score = _ranked(words)[0]
    if likeliest not in tables.LANGUAGES and score - _score(words, language) >= _MARGIN:
        return True
    return _beside(words, language, fewest=2) or any(
        _likelier(part, language) for part in parts if len(part) >= _CLAUSE
    )


def _looked_up(found: Sequence[str], script: str) -> list[Mapping[str, float]]:
    learned = _learned(script)
    return [learned.get(word, {}) for word in usable(found)]


def _likelier(words: Sequence[Mapping[str, float]], language: str) -> bool:
    """Whether a clause is far likelier in another language."""
    likeliest, score = _ranked(words)[0]
    return likeliest not in _WITHIN.get(language, ()) and score - _score(words, language) >= _FAR


def _beside(words: Sequence[Mapping[str, float]], language: str, *, fewest: int) -> bool:
    """Whether another language stands in the text beside `language`: by at least so many words that only it has."""
    others = Counter(name for word in words if language not in word for name in word)
    for name, count in others.items():
        if count >= fewest and name not in _WITHIN.get(language, ()):
            own = sum(language in word and name not in word for word in words)
            if count * _OTHERS > own:
                return True
    return False


def _ranked(words: Sequence[Mapping[str, float]]) -> list[tuple[str, float]]:
    """The likeliest languages, and how likely they are; at least two entries."""
    scores: dict[str, float] = {}
    for word in words:
        for name, likelier in word.items():
            scores[name] = scores.get(name, 0.0) + likelier
    return [*sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])), ("", 0.0), ("", 0.0)][:2]


def _score(words: Sequence[Mapping[str, float]], language: str) -> float:
    return sum(word.get(language, 0.0) for word in words)
