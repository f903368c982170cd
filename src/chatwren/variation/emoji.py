"""Emojis: a sentence of a known intent may end with one of the few that people put there, or with none.

One that the text has itself may become an equal one, or go.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables
from chatwren.variation.marks import Marks, even_in
from chatwren.variation.masks import ANY, token_class
from chatwren.variation.phrases import NAME, Index, Phrase, Text
from chatwren.variation.sentences import Sentence
from chatwren.variation.words import LETTER, WORD, words

_TWO_FROM = 160  # characters: a shorter text takes one emoji at most
_MOST = 2
_LIST_ITEM = re.compile(rf"\s*(?:[-–•*]|{token_class('number')}[.)])")
_STANDS = re.compile(token_class("emoji"))
# A link, after which a sign might be read as a part of it, or a sentence that goes on in the next line: "Regards,".
_LOOSE_END = re.compile(
    f"{token_class('link')}|{token_class('email')}|{token_class('code')}|{token_class('reference')}|[,;:–—-]"
)
_SIGNED = re.compile(rf", ?{NAME}(?: (?:of|from|at|and|&|de|y|e|aur|और) {NAME})? *\Z")  # "Thank you, Blue Bakery"
_MOST_OWN = 2
_SIGNATURE = 64  # characters
_NO_INTENTS = {"never", "own", "neutral"}
_SMILED_AT = 3  # words of a sentence that may end with an emoji that fits whatever is said
_STOPS = ".!?।…"
_FEWEST = (
    4  # words: what is shorter before an emoji is a part of the sentence after it: "Hi Ana 👋 Your glasses are in"
)
_WORDLIKE = re.compile(rf"[{LETTER}]|{ANY}")
_GOES_ON = re.compile(r"[¡¿]?[A-ZÀ-ÖØ-Þ][a-zà-ÿ]+ [a-zà-ÿ]")
_LABELLED = re.compile(r"[^:\n]{1,30}:")
_LABELLED_LINE = re.compile(r"^[ \u00a0]*[^\W\d][^:.!?।\n]{0,30}: ?\S", re.MULTILINE)
_PLAIN = "\ufe0f"  # what makes an emoji of a sign that is also a letter: some write it and some do not


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


@dataclass(frozen=True, slots=True)
class Own:
    """An emoji of the text, by its token, and what may stand there instead: "" is nothing.

    Attributes:
        leading: whether it begins a line.
        none: what stands there where there is none: a full stop where it parts two sentences, else "".
    """

    token: str
    emojis: tuple[str, ...]
    leading: bool
    none: str = ""

    def replaced(self, text: str, emoji: str) -> str:
        """`text` with this one in the token's place. Where it is none, the spaces between it and its words go too."""
        if emoji:
            return text.replace(self.token, emoji)
        before, after = text.split(self.token)
        return before + after.lstrip(" ") if self.leading else before.rstrip(" ") + self.none + after


@cache
def _intents(language: str) -> Index[Intent]:
    return Index(
        (Phrase(line, any_case=True), Intent(f"emoji/{name}", tuple(entry["emoji"]), rank, even_in(entry)))
        for rank, (name, entry) in enumerate(tables.read("emoji").items())
        if name not in _NO_INTENTS
        for line in entry.get(language, ())
    )


def _anywhere(lines: Iterable[str]) -> Index[None]:
    """Phrases of which it counts whether one is there."""
    return Index((Phrase(line, any_case=True), None) for line in lines)


@cache
def _never(language: str) -> Index[None]:
    return _anywhere(tables.read("emoji")["never"][language])


def is_grave(text: Text, languages: Sequence[str]) -> bool:
    """Whether it says something that no emoji fits, nor anything else that is cheerful."""
    return any(next(_never(name).found(text), None) for name in languages)


@cache
def _sober(language: str) -> Index[None]:
    return _anywhere(tables.read("emoji")["neutral"]["unless"][language])


@cache
def _pleasant(language: str) -> Index[None]:
    return _anywhere(map(str.strip, tables.read("emoji")["neutral"]["if"][language].split(",")))


@cache
def _neutral(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Emojis that fit whatever is said, and phrases beside which nobody folds hands."""
    entry = tables.read("emoji")["neutral"]
    return tuple(entry["emoji"][language]), tuple(entry["apart"])


def spots(text: Text, sentences: Sequence[Sentence], languages: Sequence[str], marks: Marks) -> list[Spot]:
    """Where emojis may stand: at most two, none where the text has one of its own."""
    if _STANDS.search(text.text) or is_grave(text, languages):
        return []
    fitting, ending = [], []
    labelled = {match.start() for match in _LABELLED_LINE.finditer(text.text)}
    for number, sentence in enumerate(sentences):
        part = Text(text.text[sentence.start : sentence.end])
        line = text.text.rfind("\n", 0, sentence.start) + 1
        listed = _LIST_ITEM.match(text.text, line) or (len(labelled) > 1 and line in labelled)
        if not (_LOOSE_END.fullmatch(part.text[-1:]) or _SIGNED.search(part.text[-_SIGNATURE:]) or listed):
            ending.append(number)
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
    if not found and ending:
        found = _smile(text, sentences, ending, languages[-1], marks)
    return sorted(found, key=lambda spot: spot.sentence)


def _smile(text: Text, sentences: Sequence[Sentence], ending: Sequence[int], language: str, marks: Marks) -> list[Spot]:
    """The last sentence that may end with an emoji that fits whatever is said, in a text on nothing sober.

    Args:
        text: masked.
        sentences: its sentences.
        ending: the numbers of those that may end with an emoji.
        language: in which it is written.
        marks: those of the text.
    """
    if next(_sober(language).found(text), None) or not next(_pleasant(language).found(text), None):
        return []
    for number in reversed(ending):
        sentence = sentences[number]
        part = text.text[sentence.start : sentence.end]
        if len(words(part)) >= _SMILED_AT and not marks.within(sentence.start):
            emojis, apart = _neutral(language)
            fitting = tuple(emoji for emoji in emojis if emoji != "🙏" or not any(map(text.says, apart)))
            return [Spot("emoji/neutral", number, fitting)]
    return []


@cache
def _equals() -> dict[str, tuple[str, ...]]:
    """What may stand instead of each emoji, which is written without `_PLAIN`."""
    return {
        emoji.rstrip(_PLAIN): tuple(other for other in group if other != emoji)
        for group in tables.read("emoji")["own"]["equal"]
        for emoji in group
        if emoji
    }


def _told(before: str) -> bool:
    """Whether a line up to an emoji ends in a sentence that lacks its full stop."""
    stop = max(before.rfind(sign) for sign in f"{_STOPS}:")
    last = before[stop + 1 :]
    return before[stop : stop + 1] != ":" and len(last.split()) >= _FEWEST and bool(_WORDLIKE.match(last[-1]))


def own(text: str, emojis: Mapping[str, str]) -> list[Own]:
    """The emojis of a masked text that may become others: at most two.

    They end a sentence or a line, or begin one, or part two sentences as a full stop would. None that comes again, or
    begins a line beside others that do, or stands before a label or after one: these are signs that somebody reads by.

    Args:
        text: masked.
        emojis: those in it, by their tokens.
    """
    lines = text.split("\n")
    bullets = sum(line.lstrip()[:1] in emojis for line in lines) > 1
    plain = Counter(emoji.rstrip(_PLAIN) for emoji in emojis.values())
    found: list[Own] = []
    for line in lines if emojis else ():
        for match in _STANDS.finditer(line):
            equal = _equals().get(emojis[match[0]].rstrip(_PLAIN), ())
            if not equal or plain[emojis[match[0]].rstrip(_PLAIN)] > 1:
                continue
            before, after = line[: match.start()].strip(), line[match.end() :].strip()
            leads = not before and after and not bullets and not _LABELLED.match(after)
            ends = before and (not after or before[-1] in _STOPS) and before[-1] not in emojis and before[-1] != ":"
            apart = not WORD.match(line, match.end()) and not WORD.match(line[match.start() - 1 : match.start()])
            parts = not ends and before[-1:] not in emojis and _told(before) and bool(_GOES_ON.match(after))
            if (leads or ends or parts) and apart and after[:1] not in emojis:
                found.append(Own(match[0], equal, leading=not (ends or parts), none="." if parts else ""))
    return found[:_MOST_OWN]
