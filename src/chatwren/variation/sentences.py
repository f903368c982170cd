"""Sentences of a masked text. Nothing is ever lost: spans and what lies between them are the whole text."""

import re
from dataclasses import dataclass

from chatwren.variation.masks import ANY
from chatwren.variation.words import LETTER

# A full stop after one of these does not end a sentence.
_ABBREVIATIONS = frozenset(
    """mr mrs ms dr dra sr sra srta prof st ave av no nº vs etc approx dept pvt ltd co inc rs p.m a.m e.g i.e eg ie tel
    fig ud uds vd d da dna jr núm pág art apto exmo exma ref
    ext bldg rd blvd lic ing arq""".split()  # noqa: SIM905
)
_END = re.compile(rf"[.!?।…]+[\"'”’»)\]]*(?=[ \u00a0\t]+\S|\n|\Z)|{ANY}(?=[ \t]*\n|\Z)|(?<=\S)(?=[ \t]*\n|\Z)")
_LAST_WORD = re.compile(rf"[./{LETTER}]+\Z")


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


def _ends(line: str, match: re.Match[str]) -> bool:
    """Whether this full stop (or other sign) ends a sentence rather than an abbreviation or a number in a list."""
    after = line[match.end() :].lstrip()
    if match[0] != ".":
        return not after[:1].islower() or match[0][0] in "!?।"
    word = _LAST_WORD.search(line, 0, match.start())
    if word and (word[0].lower() in _ABBREVIATIONS or (len(word[0]) == 1 and word[0].isupper())):
        return False
    if not line[: match.start()].strip(" 0123456789") or re.fullmatch(rf"\s*{ANY}", line[: match.start()]):
        return False  # "1. Open the app"
    return not after[:1].islower()
