"""What the guard knows of words, read from its table: which phrases mean the same, and which words only join others."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables
from chatwren.variation.masks import ANY
from chatwren.variation.words import LETTER

_PIECE = re.compile(rf"{ANY}|[{LETTER}]+")
_DROPPED = str.maketrans({"\u093c": None, "ँ": "ं", "\u200c": None, "\u200d": None, "’": "'"})
_SHORT_FORMS = (
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\b(?:can't|cannot)\b"), "can not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"\bi'm\b"), "i am"),
)

_POSTPOSED = ("=limits", "=modality.can", "=modality.must")
_BINDING = (
    "=limits",
    "=negation",
    *(f"=modality.{one}" for one in ("can", "must", "should", "may", "future", "if", "unless", "when", "would")),
)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of one or two languages.

    Attributes:
        light: words that come and go as the grammar asks.
        phrases: by their first word, longest first: the words, and the concepts that they say.
        forms: kinds of persons and of address, by the words that tell of them.
        gender: m and f, by the words that tell of it.
        units: what is counted.
        before_numbers: words that change a number which they stand before.
        actions: of English, what somebody does who stands before it.
        impersonal: concepts in whose phrases it does not matter who says them.
        postposed: whether "after" stands after what it is about, and "can" after its verb.
    """

    light: frozenset[str]
    phrases: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[str, ...]]]]
    forms: Mapping[str, frozenset[str]]
    gender: Mapping[str, frozenset[str]]
    units: frozenset[str]
    before_numbers: frozenset[str]
    actions: frozenset[str]
    impersonal: frozenset[str]
    postposed: bool

    def has(self, word: str) -> bool:
        """Whether it is no name, but a word with which something is said."""
        word = word.lower()
        return word in self.light or word in self.phrases

    def personal(self, pieces: Sequence[str]) -> Iterator[str]:
        """The words but for phrases in which it does not matter who says them: "we appreciate" is a thank-you."""
        position = 0
        while position < len(pieces):
            for words, said in self.phrases.get(pieces[position], ()):
                if self.impersonal.issuperset(said) and tuple(pieces[position : position + len(words)]) == words:
                    position += len(words)
                    break
            else:
                yield pieces[position]
                position += 1

    def bound(self, concepts: Sequence[str]) -> list[str]:
        """Concepts, each with what it is about where its place tells that: "after payment" is not "payment after"."""
        found: list[str] = []
        held = ""
        for one in concepts:
            if self.postposed and found and one.startswith(_POSTPOSED):
                found[-1] += one
            elif one.startswith(_BINDING):
                held += one
            else:
                found.append(held + one)
                held = ""
        return [*found, held] if held else found

    def concepts(self, pieces: Sequence[str]) -> Iterator[str]:
        """What is said, in order: a concept for each phrase, tokens and unknown words as they are, no light words."""
        position = 0
        while position < len(pieces):
            for words, said in self.phrases.get(pieces[position], ()):
                if tuple(pieces[position : position + len(words)]) == words:
                    yield from said
                    position += len(words)
                    break
            else:
                if pieces[position] not in self.light:
                    yield pieces[position]
                position += 1


def pieces(text: str) -> list[str]:
    """The words and tokens of a masked text, as the lexicon writes them."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text.lower()).translate(_DROPPED))
    for short, long in _SHORT_FORMS if "'" in plain or "cannot" in plain else ():
        plain = short.sub(long, plain)
    return [piece.strip("-'") for piece in _PIECE.findall(plain)]


@cache
def lexicon(languages: tuple[str, ...]) -> Lexicon:
    """The lexicon of a text in these languages."""
    table = tables.read("guard")
    found = [table[language] for language in languages]
    phrases: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for one in found:
        for concepts, line in one["same"].items():
            for phrase in line.split(","):
                words = tuple(pieces(phrase))
                phrases.setdefault(words[0], []).append((words, tuple(f"={name}" for name in concepts.split())))
    for same in phrases.values():
        same.sort(key=lambda entry: -len(entry[0]))
    return Lexicon(
        _all(found, "light"),
        phrases,
        {kind: frozenset(pieces(line)) for one in found for kind, line in one.get("forms", {}).items()},
        {kind: frozenset(word for one in found for word in pieces(one["gender"][kind])) for kind in "mf"}
        if all("gender" in one for one in found)
        else {},
        _all(found, "units"),
        _all(found, "before_numbers"),
        frozenset(word for one in found for word in pieces(one.get("asks", {}).get("actions", ""))),
        frozenset(f"={name}" for name in table["all"]["impersonal"].split()),
        not {"hi", "hinglish"}.isdisjoint(languages),
    )


def _all(found: Sequence[Mapping[str, str]], name: str) -> frozenset[str]:
    return frozenset(word for one in found for word in pieces(one[name]))
