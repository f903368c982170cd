"""Sentences of a masked text. Nothing is ever lost: spans and what lies between them are the whole text."""

import re
from dataclasses import dataclass

from chatwren.variation.masks import ANY, token_class
from chatwren.variation.words import LETTER

# A full stop after one of these does not end a sentence.
_ABBREVIATIONS = frozenset(
    """mr mrs ms dr dra sr sra srta prof st ave av no nº vs etc approx dept pvt ltd co inc rs p.m a.m e.g i.e eg ie tel
    fig ud uds vd d da dna jr núm pág art apto exmo exma ref
    ext bldg rd blvd lic ing arq""".split()  # noqa: SIM905
)
# A run of stops is looked at from its beginning alone, and as a whole: else "......x" takes the square of its length.
# An emoji after it belongs to what is said, not to what comes next.
_END = re.compile(
    rf"(?<![.!?।…])[.!?।…]++[\"'”’»)\]]*+(?:[ \u00a0]?{token_class('emoji')})*(?=[ \u00a0\t]+\S|\n|\Z)"
    rf"|{ANY}(?=[ \t]*\n|\Z)|(?<=\S)(?=[ \t]*\n|\Z)"
)
_LAST_WORD = re.compile(rf"[./{LETTER}]+\Z")
_STOPS = ".!?।…:"
_LOOK_BACK = 16  # characters: longer than any abbreviation
_NEXT = re.compile(r"\S")
_NUMBER = re.compile(r"[ 0-9]*")
_FACT = re.compile(rf"\s*{ANY}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of one line, from its first to its last visible character."""

    start: int
    end: int
    line: int


def split(text: str) -> list[Sentence]:
    """The sentences of `text`, in order. A line break always ends one."""
    found = []
    offset = 0
    for number, line in enumerate(text.split("\n")):
        start = 0
        for match in _END.finditer(line):
            if match.end() < len(line) and not _ends(line, match):
                continue
            if line[start : match.end()].strip():
                lead = len(line[start : match.end()]) - len(line[start : match.end()].lstrip())
                found.append(Sentence(offset + start + lead, offset + match.end(), number))
            start = match.end()
        offset += len(line) + 1
    return found


def goes_on(text: str, before: Sentence, sentence: Sentence) -> bool:
    """Whether the line of a sentence ends in its middle, so that the next one is a part of it."""
    return (
        text[before.end : sentence.start].strip(" \u00a0") == "\n"
        and text[before.end - 1] not in _STOPS
        and text[sentence.start].isalpha()
        and not text[sentence.start].isupper()
    )


def _ends(line: str, match: re.Match[str]) -> bool:
    """Whether this full stop (or other sign) ends a sentence rather than an abbreviation or a number in a list."""
    after = _NEXT.search(line, match.end())
    goes_on = bool(after and after[0].islower())
    if match[0] != ".":
        return not goes_on or match[0][0] in "!?।"
    word = _LAST_WORD.search(line, max(0, match.start() - _LOOK_BACK), match.start())
    if word and (word[0].lower() in _ABBREVIATIONS or (len(word[0]) == 1 and word[0].isupper())):
        return False
    if _NUMBER.fullmatch(line, 0, match.start()) or _FACT.fullmatch(line, 0, match.start()):
        return False  # "1. Open the app"
    return not goes_on
