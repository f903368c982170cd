"""Words: what counts as one, in scripts whose vowel signs Python does not count as letters."""

import re

# Apostrophes and hyphens bind: "we" is no word of "we're", "hi" none of "hi-fi".
LETTER = r"\w\u0300-\u036f\u0900-\u0963\u0966-\u097f\u200c\u200d'’\-"
WORD = re.compile(rf"[{LETTER}]+")


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case, with plain apostrophes."""
    return [word.strip("-'") for word in WORD.findall(text.lower().replace("’", "'"))]


def plain(word: str) -> str:
    """A word as `words` gives it."""
    return word.lower().replace("’", "'").strip("-'")
