"""Moves: sentences that stand alone may change places with their neighbours, if these stand alone too.

Neighbours stand in one line, or each is a line by itself.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

from chatwren.variation import tables
from chatwren.variation.masks import token_class
from chatwren.variation.phrases import Hit, Index, Phrase, Text
from chatwren.variation.sentences import Sentence, goes_on
from chatwren.variation.words import LETTER

_MOST = 4  # sentences in one run
_FRAGMENT = 3  # words: what is this short may be a part of the sentence after it
_OPEN_ENDS = ("?", ":", "…", "...")
_EMOJI = token_class("emoji")
_BEFORE = re.compile(rf"(?:[¡ \u00a0•·*–-]|{_EMOJI})*")  # bullets and emojis, that go with their sentence
_AFTER = re.compile(rf"(?:[.!। \u00a0]|{_EMOJI})*")
_STOPPED = re.compile(rf"[.!?।…](?:[ \u00a0]|{_EMOJI})*\Z")
_STAYS, _LEANING = "stays", "leaning"  # parts of the table that hold no sentences to move


@dataclass(frozen=True, slots=True)
class Run:
    """Sentences, by number, one after the other, that may stand in any order."""

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
def _whole(language: str, *, move: bool) -> Index[None]:
    """The phrases that sentences which stand alone must consist of: those that move, or those that do not."""
    return Index(
        (Phrase(f"^{line}$", any_case=True), None)
        for name, kind in tables.read("moves").items()
        if name != _LEANING and (name != _STAYS) == move
        for line in kind.get(language, ())
    )


@cache
def _leaning(language: str) -> Index[None]:
    return Index((Phrase(word, any_case=True), None) for word in tables.read("moves")[_LEANING][language])


@cache
def _greeting() -> re.Pattern[str]:
    return re.compile(
        rf"(?:[¡ ]|{_EMOJI})*(?:{'|'.join(tables.read('languages')['greetings'])})(?![{LETTER}])", re.IGNORECASE
    )


def runs(text: Text, sentences: Sequence[Sentence], languages: Sequence[str]) -> list[Run]:
    """The runs of two or more movable sentences.

    What follows a run must stand alone too, or the run's last sentence stays where it is: "But not Amex." is about it.
    The first stays, where the sentence before may announce it: "What is new?", "This week only!".
    """
    if not any(True for language in languages for _ in _whole(language, move=True).found(text)):
        return []  # most texts have none, and need not be looked at by sentences
    found: list[list[int]] = [[]]
    in_line = Counter(sentence.line for sentence in sentences)
    for number, sentence in enumerate(sentences):
        part = Text(text.text[sentence.start : sentence.end])
        if found[-1] and not (len(found[-1]) < _MOST and _beside(text.text, sentences[number - 1], sentence, in_line)):
            found.append([])
        if _stands_alone(part, languages, move=True):
            found[-1].append(number)
        elif found[-1]:
            found.append([])
    kept = [_unbound(text, sentences, languages, run) for run in found if len(run) > 1]
    return [Run(tuple(run)) for run in kept if len(run) > 1]


def _beside(text: str, before: Sentence, sentence: Sentence, in_line: Counter[int]) -> bool:
    """Whether a sentence may change places with the one before, if both stand alone."""
    if before.line == sentence.line:
        return bool(
            _STOPPED.search(text, before.start, before.end) and _STOPPED.search(text, sentence.start, sentence.end)
        )
    by_themselves = in_line[before.line] == in_line[sentence.line] == 1 and sentence.line - before.line == 1
    return by_themselves and not goes_on(text, before, sentence)


def _unbound(text: Text, sentences: Sequence[Sentence], languages: Sequence[str], run: list[int]) -> list[int]:
    """The run without its ends that are bound to what stands around it."""
    before, after = run[0] - 1, run[-1] + 1
    if before >= 0 and _announces(text.text[sentences[before].start : sentences[before].end], languages):
        run = run[1:]
    if after < len(sentences):
        part = Text(text.text[sentences[after].start : sentences[after].end])
        if not any(_stands_alone(part, languages, move=move) for move in (True, False)):
            run = run[:-1]
    return run


def _announces(sentence: str, languages: Sequence[str]) -> bool:
    """Whether a sentence may need the one after it: it asks, ends with a colon or dots, or is a part of one."""
    part = Text(sentence)
    if sentence.endswith(_OPEN_ENDS):
        return True
    return (
        len(part.words) <= _FRAGMENT
        and not _greeting().match(sentence)
        and not any(_stands_alone(part, languages, move=move) for move in (True, False))
    )


def _stands_alone(part: Text, languages: Sequence[str], *, move: bool) -> bool:
    return any(
        _is_whole(hit, part.text) and not _leans(part, hit, language)
        for language in languages
        for _, hit in _whole(language, move=move).found(part)
    )


def _is_whole(hit: Hit, sentence: str) -> bool:
    return bool(_BEFORE.fullmatch(sentence, 0, hit.start) and _AFTER.fullmatch(sentence, hit.end))


def _leans(part: Text, whole: Hit, language: str) -> bool:
    return any(not hit.own <= whole.own for _, hit in _leaning(language).found(part))
