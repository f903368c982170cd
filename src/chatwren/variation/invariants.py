"""The check after everything: whatever the rules did, these must hold, or the original goes out."""

import re
from collections import Counter
from functools import cache

from chatwren.variation import tables
from chatwren.variation.masks import tokens
from chatwren.variation.words import words

_QUESTION = re.compile("[?؟]")
_SHORTEST, _LONGEST, _SLACK = 0.6, 1.6, 40  # times the original's length, and characters on top
_NUMBERS = re.compile(r"\d+")


def broken(before: str, after: str, *, shuffled: bool) -> str | None:
    """The name of the first invariant that does not hold between two masked texts, or None.

    Args:
        before: the original, masked.
        after: the new wording with the same tokens, without the emojis that were added.
        shuffled: whether sentences changed places, so that tokens may have too.
    """
    old, new = tokens(before), tokens(after)
    if (sorted(old) != sorted(new)) if shuffled else (old != new):
        return "facts"
    if _NUMBERS.findall(after):
        return "facts"  # every figure is masked; one that is not was made up
    if _negations(before) != _negations(after):
        return "negations"
    if len(_QUESTION.findall(before)) != len(_QUESTION.findall(after)):
        return "questions"
    if [not line.strip() for line in before.split("\n")] != [not line.strip() for line in after.split("\n")]:
        return "lines"
    if not _SHORTEST * len(before) - _SLACK <= len(after) <= _LONGEST * len(before) + _SLACK:
        return "length"
    return None


def _negations(text: str) -> Counter[str]:
    """How often each kind of negation stands in the text; contractions count as what they are short for."""
    known = _known()
    return Counter(known[word] for word in words(text) if word in known)


@cache
def _known() -> dict[str, str]:
    return {word: kind for kind, line in tables.read("languages")["negations"].items() for word in line.split()}
