"""Which language a text is written in, and whether it is formal. Unsure means: none.

The commonest words tell it, and where too few of them stand in the text, all words that are known of a language.
"""

import re
from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables, vocabulary
from chatwren.variation.phrases import Index, Phrase, Text
from chatwren.variation.words import needs_accent, unaccented, words

_DEVANAGARI = re.compile(r"[\u0900-\u097f]")
_LETTER = re.compile(r"[^\W\d_]|[\u0900-\u097f]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_SHARE = 0.3  # of the letters: less than this of another script is a name or an address
_CLAUSES = re.compile(r"[.,;:!?।\n]")
_LOOKED_AT = 400  # characters of a text whose words were found to be of a language, for parts in another
_MANY = 6  # common words that only one language has, and no other's, leave no doubt
_SHORT = 6  # words: a text this short is known by one word
_ROMAN_HINDI = "hinglish"


@dataclass(frozen=True, slots=True)
class _Tables:
    latin: dict[str, frozenset[str]]
    devanagari: dict[str, frozenset[str]]
    formal: dict[str, Index[None]]


@cache
def _tables() -> _Tables:
    data = tables.read("languages")
    return _Tables(
        {name: _spellings(line.split()) for name, line in data["latin"].items()},
        {name: frozenset(line.split()) for name, line in data["devanagari"].items()},
        {name: Index((Phrase(line, any_case=True), None) for line in lines) for name, lines in data["formal"].items()},
    )


def _spellings(known: list[str]) -> frozenset[str]:
    """The words, and without their accents those that are no others then."""
    return frozenset((*known, *(unaccented(word) for word in known if not needs_accent(word))))


def languages(text: str) -> tuple[str, ...]:
    """The supported languages in which the masked `text` is written: one, or none, or two where each has its script."""
    letters = len(_LETTER.findall(text)) or 1
    devanagari = len(_DEVANAGARI.findall(text)) / letters
    latin = len(_LATIN.findall(text)) / letters
    if 1 - devanagari - latin >= _SHARE:
        return ()
    found: list[str | None] = []
    if devanagari >= _SHARE:
        found.append(_best(text, "devanagari", _tables().devanagari))
    if latin >= _SHARE or not found:
        found.append(_best(text, "latin", _tables().latin))
    if None in found:
        return ()
    return tuple(name for name in found if name in tables.LANGUAGES)


def is_formal(text: Text, language: str) -> bool:
    """Whether the text keeps its distance: `Dear Sir`, `Yours faithfully`."""
    return next(_tables().formal[language].found(text), None) is not None


def _best(text: str, script: str, known: dict[str, frozenset[str]]) -> str | None:
    found = words(text)
    hits = {name: [word for word in found if word in common] for name, common in known.items()}
    if known is _tables().latin:
        roman = [word for word in hits[_ROMAN_HINDI] if word not in known["en"]]
        if len(set(roman)) >= (1 if len(found) <= _SHORT else 2) and len(roman) * 10 >= len(found):
            # English words stand in every Hinglish text, so English does not count against it.
            hits["en"] = []
        else:
            hits[_ROMAN_HINDI] = []
    ranked = sorted(hits, key=lambda name: -len(hits[name]))
    best, second = ranked[0], ranked[1]
    own = set(hits[best]) - known[second]
    foreign = [word for word in hits[second] if word not in known[best]]
    if len(hits[best]) < (1 if len(found) <= _SHORT else 2) or not own:
        return vocabulary.told(found, script)
    if len(foreign) * 2 > len([word for word in hits[best] if word not in known[second]]):
        return vocabulary.told(found, script) if len(set(foreign)) == 1 else None  # two languages in one text
    if len(own) >= _MANY and not foreign:
        return best
    clauses = [words(clause) for clause in _CLAUSES.split(text[:_LOOKED_AT])]
    return None if vocabulary.foreign(clauses, script, best) else best
