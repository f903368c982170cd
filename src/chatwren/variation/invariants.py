"""The check after everything: whatever the rules did, these must hold, or the original goes out."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import ceil, floor

from chatwren.variation import tables
from chatwren.variation.masks import tokens
from chatwren.variation.words import needs_accent, unaccented, words

_QUESTION = re.compile("[?؟]")
_SHORTEST, _LONGEST, _SLACK = 0.6, 1.6, 40  # times the original's length, and characters on top
_NUMBERS = re.compile(r"\d+")


def broken(
    before: str, after: str, *, kept: str, shuffled: bool = False, languages: Sequence[str] = tables.LANGUAGES
) -> str | None:
    """The name of the first invariant that does not hold between two masked texts, or None.

    Args:
        before: the original, masked.
        after: the new wording with the same tokens, without the emojis that were added.
        kept: the original without the words that rules name.
        shuffled: whether sentences changed places, so that tokens and words may have too.
        languages: in which they are written: "no" denies in Spanish, and is "in the" in Portuguese.
    """
    old, new = tokens(before), tokens(after)
    if (sorted(old) != sorted(new)) if shuffled else (old != new):
        return "facts"
    if _NUMBERS.search(after):
        return "facts"  # every figure is masked; one that is not was made up
    said = words(after)
    if not _survive(words(kept), said, shuffled=shuffled):
        return "words"
    if _negations(words(before), languages) != _negations(said, languages):
        return "negations"
    if len(_QUESTION.findall(before)) != len(_QUESTION.findall(after)):
        return "questions"
    if [not line.strip() for line in before.split("\n")] != [not line.strip() for line in after.split("\n")]:
        return "lines"
    if not fewest(len(before)) <= len(after) <= most(len(before)):
        return "length"
    return None


def fewest(length: int) -> int:
    """Characters that a wording of a masked text of `length` characters has at least."""
    return ceil(_SHORTEST * length - _SLACK)


def most(length: int) -> int:
    """Characters that it has at most."""
    return floor(_LONGEST * length + _SLACK)


def _survive(kept: Sequence[str], said: Sequence[str], *, shuffled: bool) -> bool:
    """Whether all of `kept` is in `said`, in its order unless sentences changed places."""
    if shuffled:
        return Counter(kept) <= Counter(said)
    left = iter(said)
    return all(word in left for word in kept)


def _negations(found: Sequence[str], languages: Sequence[str]) -> list[str]:
    """The kinds of the negations among these words, sorted; contractions count as what they are short for."""
    known = _known(tuple(languages))
    return sorted(known[word] for word in found if word in known)


@cache
def _known(languages: tuple[str, ...]) -> dict[str, str]:
    """The kind of each negation of these languages, also without the accents that people leave out."""
    known = {
        word: kind
        for kind, by_language in tables.read("languages")["negations"].items()
        for language in languages
        for word in by_language[language].split()
    }
    return known | {unaccented(word): kind for word, kind in known.items() if not needs_accent(word)}
