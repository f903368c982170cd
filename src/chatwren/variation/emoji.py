"""Emojis: a sentence of a known intent may end with one of the few that people put there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables
from chatwren.variation.marks import Marks, even_in
from chatwren.variation.masks import token_class
from chatwren.variation.phrases import Index, Phrase, Text
from chatwren.variation.sentences import Sentence

_TWO_FROM = 160  # characters: a shorter text takes one emoji at most
_MOST = 2
_LIST_ITEM = re.compile(rf"\s*(?:[-–•*]|{token_class('number')}[.)])")
_STANDS = re.compile(token_class("emoji"))
_LOOSE_END = re.compile(
    f"{token_class('link')}|{token_class('email')}|{token_class('code')}|{token_class('reference')}"
)


@dataclass(frozen=True, slots=True)
class Intent:
    """A thing that a sentence can say, and the emojis that fit it. The telling ones have the lowest rank.

    Attributes:
        even_in: the kinds of marks that the sentence may have.
    """

    name: str
    emojis: tuple[str, ...]
    rank: int
    even_in: frozenset[str]


@dataclass(frozen=True, slots=True)
class Spot:
    """A sentence, by number, that may end with one of `emojis`."""

    rule: str
    sentence: int
    emojis: tuple[str, ...]


@cache
def _intents(language: str) -> Index[Intent]:
    return Index(
        (Phrase(line, any_case=True), Intent(f"emoji/{name}", tuple(entry["emoji"]), rank, even_in(entry)))
        for rank, (name, entry) in enumerate(tables.read("emoji").items())
        if name != "never"
        for line in entry.get(language, ())
    )


@cache
def _never(language: str) -> Index[None]:
    return Index((Phrase(line, any_case=True), None) for line in tables.read("emoji")["never"][language])


def spots(text: Text, sentences: Sequence[Sentence], languages: Sequence[str], marks: Marks) -> list[Spot]:
    """Where emojis may stand: at most two, none where the text has one of its own."""
    if _STANDS.search(text.text) or any(next(_never(name).found(text), None) for name in languages):
        return []
    fitting = []
    for number, sentence in enumerate(sentences):
        part = Text(text.text[sentence.start : sentence.end])
        line = text.text[text.text.rfind("\n", 0, sentence.start) + 1 :]
        if not (_LOOSE_END.fullmatch(part.text[-1:]) or _LIST_ITEM.match(line)):
            fitting += [
                (intent, number)
                for name in languages
                for intent, hit in _intents(name).found(part)
                if not marks.forbid(hit, intent.even_in, offset=sentence.start)
            ]
    found: list[Spot] = []
    for intent, number in sorted(fitting, key=lambda pair: pair[0].rank):
        if len(found) == (_MOST if len(text.text) >= _TWO_FROM else 1):
            break
        emojis = tuple(emoji for emoji in intent.emojis if not any(emoji in spot.emojis for spot in found))
        if emojis and not any(spot.sentence == number or spot.rule == intent.name for spot in found):
            found.append(Spot(intent.name, number, emojis))
    return sorted(found, key=lambda spot: spot.sentence)
