"""Opening: a text without a greeting may begin with one, or with none.

Before words that may lose their capital it stands with a comma: "Hi, your order is ready". Before the name of who is
spoken to it is "Hi Bob, ", and where a text begins with another name, or with a label or a sign, it has a line of its
own, as in a letter.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from chatwren.variation import tables
from chatwren.variation.masks import token_class
from chatwren.variation.moves import Run
from chatwren.variation.phrases import NAME, Text
from chatwren.variation.rules import Site
from chatwren.variation.sentences import Sentence
from chatwren.variation.words import LETTER, needs_accent, unaccented, words

_SIGNS = ("¿", "¡")
_NO_WORDS = re.compile(r"[{}\[\]<>=;\\]")  # of programs and tables
_FEWEST = 4  # words: a text of fewer says nothing that a greeting would lead to
_BY_NAME = re.compile(rf"(?:{token_class('placeholder')}|{NAME}(?: ji| जी))(?: ji| जी)?, ?(?=[{LETTER}])")
_BEGINS = re.compile(rf"(?P<sign>[¿¡]?)(?P<word>[{LETTER}]+)(?P<comma>, ?(?=[{LETTER}]))?")
_APART = re.compile(rf"(?:[{LETTER}]+ ){{0,3}}[{LETTER}]+[,:]|[{LETTER}]+ (?:ji|जी)(?![{LETTER}])")  # "Omar, ", "Tea: "
_DEVANAGARI = "hi"
_NEUTRAL = {"Hi", "Hello", "Olá"}  # of which nobody is astonished, whatever the text's faith, and in Portugal
_SENTENCE_LIKE = 4  # words that a line has which is a sentence
_DAYS_ARE_NAMES = {"en", "hinglish"}
_NO_NAMES = frozenset("today tomorrow tonight yesterday aaj kal parson".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Opening:
    """What a text may begin with.

    Attributes:
        rule: `en/opening`.
        greetings: with what stands between them and the text: "Hi, ".
        first: the text's first word, or the token of it.
        after: the same, as it is after a greeting.
        narrow: whether only a greeting will do at which nobody is astonished.
    """

    rule: str
    greetings: tuple[str, ...]
    first: str
    after: str
    narrow: bool

    def with_more(self, exclaimed: Sequence[str]) -> "Opening":
        """The same, with greetings that are sentences of their own, and leave the text its capital: "Hi! "."""
        fitting = [said for said in exclaimed if not self.narrow or said.strip("! ") in _NEUTRAL]
        return replace(self, greetings=(*self.greetings, *fitting))

    def before(self, greeting: str, text: str) -> str:
        """`text` with a greeting before it, which may begin with another wording than the text does."""
        if greeting.endswith("! "):
            return f"{greeting}{text}"
        if text.startswith(self.first):
            return f"{greeting}{self.after}{text[len(self.first) :]}"
        begins = text[:1] in _SIGNS
        return (
            f"{greeting}{text[:begins]}{text[begins].lower()}{text[begins + 1 :]}"
            if self.lowers
            else f"{greeting}{text}"
        )

    @property
    def lowers(self) -> bool:
        """Whether the text's first letter is a small one after a greeting."""
        return self.after != self.first


@dataclass(frozen=True, slots=True)
class _Table:
    say: Mapping[str, tuple[str, ...]]
    before: frozenset[str]
    verbs: frozenset[str]
    groups: frozenset[str]
    never: frozenset[str]
    never_says: tuple[str, ...]
    apart: frozenset[str]


@cache
def _table(language: str) -> _Table:
    entry: dict[str, Any] = tables.read("opening")[language]
    return _Table(
        {kind: tuple(entry[kind]) for kind in ("say", "letter", "name")},
        _several(entry["before"]),
        _several(entry["verbs"]),
        _several(entry.get("groups", "")),
        _several(entry["never"]),
        tuple(entry["never_says"]),
        frozenset((*entry.get("european", "").split(), *entry.get("apart", ()))),
    )


def _several(line: str) -> frozenset[str]:
    phrases = [word.replace("_", " ") for word in line.split()]
    return frozenset((*phrases, *(unaccented(phrase) for phrase in phrases if not needs_accent(phrase))))


def opening(
    text: Text,
    sentences: Sequence[Sentence],
    language: str,
    *,
    sites: Sequence[Site],
    runs: Sequence[Run],
    dates: Mapping[str, str],
) -> Opening | None:
    """What a text may begin with, or None.

    Args:
        text: masked; not formal, and not one to be sober with.
        sentences: its sentences.
        language: in which it is written.
        sites: where rules apply.
        runs: sentences that may change places.
        dates: what stands for a day or a date in it, by tokens.
    """
    table = _table(language)
    found = text.words
    if (
        len(found) < _FEWEST
        or _NO_WORDS.search(text.text)
        or not sentences
        or sentences[0].start
        or any(0 in run.sentences for run in runs)
    ):
        return None
    if _one_of(found, table.never) or any(text.says(phrase) for phrase in table.never_says):
        return None
    lines = [line for line in text.text.split("\n") if line.strip()]
    if len(lines) > 1 and not any(_is_sentence(line, table) for line in lines):
        return None
    site = at_start(text.text, sites)
    apart = not table.apart.isdisjoint(text.words)
    kind, first, after = _kind(text, sentences[0], language, dates)
    if kind is None or any(not _may_follow(said, kind, table) for said in (site.wordings if site else ())):
        return None
    greetings = list(table.say[kind])
    if apart:
        greetings = [said for said in greetings if said.rstrip(",") in _NEUTRAL]
    if first.lstrip("¿¡")[:1].islower():
        greetings = [said[0].lower() + said[1:] for said in greetings]
    between = {"say": ", ", "letter": ",\n", "name": " "}[kind]
    return Opening(f"{language}/opening", tuple(f"{said}{between}" for said in greetings), first, after, apart)


def at_start(text: str, sites: Sequence[Site]) -> Site | None:
    """Where a rule changes the first words of a masked text, if one does."""
    return next((site for site in sites if not text[: site.start].strip("¿¡")), None)


def _kind(whole: Text, sentence: Sentence, language: str, dates: Mapping[str, str]) -> tuple[str | None, str, str]:
    """How a greeting stands before the text, its first word, and what becomes of that."""
    text, table = whole.text, _table(language)
    found = whole.words
    first_sentence = text[sentence.start : sentence.end]
    if match := _BY_NAME.match(text):
        rest = text[match.end() :]
        return ("name" if _may_begin(rest, table) else None), text[0], text[0]
    tells = _tells(first_sentence, table)
    if match := _BEGINS.match(text):
        word = match["word"]
        first = match["sign"] + word
        lower = match["sign"] + word[0].lower() + word[1:]
        if language == _DEVANAGARI:
            return ("say" if tells and len(word) > 1 else None), first, first
        if found[0] in table.groups:
            return ("name" if match["comma"] and _one_of(found[1:], table.before) else None), first, lower
        if _one_of(found, table.before) and (len(word) == 1 or not word.isupper()):
            stays = language == "en" and (word == "I" or word.startswith(("I'", "I’")))
            return "say", first, first if stays else lower
        letter = tells and word[0].isupper() and len(first_sentence) < len(text) and not _APART.match(text)
        return ("letter" if letter and not match["sign"] else None), first, first
    if text[0] in dates:
        date = dates[text[0]]
        lower = language not in _DAYS_ARE_NAMES or date.lower() in _NO_NAMES
        return ("say" if date[0].isalpha() else None), text[0], date[0].lower() + date[1:] if lower else text[0]
    return ("letter" if "\n" in text else None), text[0], text[0]


def _is_sentence(line: str, table: _Table) -> bool:
    return len(words(line)) >= _SENTENCE_LIKE and _tells(line, table)


def _tells(sentence: str, table: _Table) -> bool:
    found = words(sentence)
    return len(found) >= _SENTENCE_LIKE - 1 and not table.verbs.isdisjoint(found)


def _may_begin(text: str, table: _Table) -> bool:
    found = words(text)
    return not table.before or _one_of(found, table.before)


def _may_follow(said: str, kind: str, table: _Table) -> bool:
    """Whether another wording of the text's first words may stand after the greeting."""
    found = words(said)
    return not _one_of(found, table.never) and (kind != "say" or not table.before or _one_of(found, table.before))


def _one_of(found: Sequence[str], phrases: frozenset[str]) -> bool:
    """Whether the words begin with one of the phrases, of up to three words."""
    return any(" ".join(found[:length]) in phrases for length in (1, 2, 3))
