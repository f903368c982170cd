"""The guard: whether words that nobody has read say what the text says. A candidate is hostile until it holds.

Whatever a language model, or a client in its name, gives for a text is held against that: facts, names and capitals as
written and in order, the same sentences, questions and lines, and the same concepts in each sentence, of which one
stretch at most may have another place. A word that the lexicon does not know is a concept of its own, so that a clause,
a promise or an order from nowhere is refused with whatever it says. What is refused in error costs a wording.

Of what the tables say, whose words people have read, `invariants.broken` is asked alone; it is asked here too.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from itertools import chain

from chatwren.variation import tables
from chatwren.variation.invariants import broken, fewest, most
from chatwren.variation.language import languages
from chatwren.variation.lexicon import Lexicon, lexicon, pieces
from chatwren.variation.masks import ANY, Masked, TooManyTokens, token_class, tokens
from chatwren.variation.model import Modifications
from chatwren.variation.persons import a_gente, done, kinds, other_address, other_person
from chatwren.variation.phrases import Text
from chatwren.variation.plan import plan
from chatwren.variation.sensitivity import by_signs
from chatwren.variation.sentences import split
from chatwren.variation.template import Piece, Placeholder, Template
from chatwren.variation.words import LETTER

_LONGEST = 4096  # characters of a WhatsApp message
_NEAR = 25  # of so many words one at least must be another
_BEGINNING = 8  # words in which a model says that an answer comes
_UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200b\u200e\u200f"
    "\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_PLAIN = re.compile(rf"(?!_)[{LETTER}\s.,!?¡¿।…–—]|{ANY}")
_WORDS_END = re.compile("['’](?:m|re|ve|ll|d|s|t)?\\Z")
_QUOTES = re.compile(r"(?<!\w)['’-]|['’-](?!\w)")
_OTHER_LETTER = re.compile(r"(?![A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0900-\u097f_])[^\W\d]")
_TOKEN = re.compile(ANY)
_LATIN, _DEVANAGARI = re.compile(r"[A-Za-z\u00c0-\u024f]"), re.compile(r"[\u0904-\u0939]")
_WORD = re.compile(rf"{ANY}|[{LETTER}]+")
_CAPITALS = re.compile("[A-Z]+")
_NUMBER = re.compile(token_class("number"))
_MARKS = re.compile(r"[*_~`>#|\"“”«»„]")
_DATE = re.compile(token_class("date"))
_TIME = re.compile(f"[{token_class('date')[1:-1]}{token_class('time')[1:-1]}]")
_LEADS = re.compile(token_class("emoji"))
_ADDRESSED = re.compile(f"[{token_class('placeholder')[1:-1]}{token_class('bold')[1:-1]}]")


class Fault(StrEnum):
    """What is wrong with a candidate. Programs may depend on the codes."""

    FACTS = "facts"
    UNITS = "units"
    LIMITS = "limits"
    NAMES = "names"
    CLAUSES = "clauses"
    SENTENCES = "sentences"
    QUESTIONS = "questions"
    MODALITY = "modality"
    PERSON = "person"
    ADDRESS = "address"
    GENDER = "gender"
    NEGATION = "negation"
    OPT_OUT = "opt_out"
    LANGUAGE = "language"
    MARKUP = "markup"
    COPY = "copy"
    LENGTH = "length"
    SENSITIVE = "sensitive"


_OF_INVARIANTS = {
    "facts": Fault.FACTS,
    "words": Fault.CLAUSES,
    "lines": Fault.SENTENCES,
    "length": Fault.LENGTH,
}
_OF_CONCEPTS = {"=modality": Fault.MODALITY, "=limits": Fault.LIMITS, "=negation": Fault.NEGATION}


@dataclass(frozen=True)
class _Side:
    """The text, or a candidate for it, as the guard reads it.

    Attributes:
        written: with placeholders as `{{name}}`.
        masked: its facts taken out.
    """

    written: str
    masked: Masked

    @cached_property
    def text(self) -> str:
        return self.masked.text

    @cached_property
    def pieces(self) -> list[str]:
        return pieces(self.text)

    @cached_property
    def facts(self) -> list[str]:
        """What its tokens stand for; of days and months whatever their first letter."""
        names = {name: f"{{{{{name}}}}}" for name in self.masked.names}
        found = [(token, self.masked.unmask(token, names)) for token in tokens(self.text)]
        return [stretch.lower() if _DATE.match(token) else stretch for token, stretch in found]

    @cached_property
    def said(self) -> list[list[str]]:
        """The words of each sentence."""
        return [pieces(sentence) for sentence in self.sentences]

    @cached_property
    def sentences(self) -> list[str]:
        return [self.text[one.start : one.end] for one in split(self.text)]


def _side(made: Sequence[Piece]) -> _Side | None:
    written = "".join(f"{{{{{piece.name}}}}}" if isinstance(piece, Placeholder) else piece for piece in made)
    try:
        return _Side(written, Masked(made))
    except TooManyTokens:
        return None


class Guard:
    """Holds candidates against one text.

    Attributes:
        languages: those in which the text is written; none: nothing can be held against it.
    """

    def __init__(self, made: Sequence[Piece]) -> None:
        """Read the text.

        Args:
            made: the pieces of a text without spintax.
        """
        self._old = _side(made)
        self.languages = languages(self._old.text) if self._old else ()
        self._known = lexicon(self.languages)
        self._sensitive = by_signs(self._old.written) if self._old else None
        self._tables = list(self._of_tables(self._old)) if self._old and self.languages else []

    def _of_tables(self, old: _Side) -> Iterator[tuple[str, list[str]]]:
        """Stretches of the text with what the tables say instead: that means the same, here."""
        found = plan(Text(old.text), old.masked, self.languages, Modifications(use_synonyms=True), sober=True)
        for site in found.sites:
            yield _line(old.text[site.start : site.end]), [_line(said) for said in site.wordings]

    def faults(self, candidate: str) -> list[Fault]:
        """Everything that is wrong with a candidate; nothing, if it may go out.

        Args:
            candidate: a template. One that is far too long is not looked into.
        """
        old = self._old
        if old is None or not self.languages:
            return [Fault.LANGUAGE]
        if not fewest(len(old.written)) <= len(candidate) <= min(most(len(old.written)), _LONGEST):
            return [Fault.LENGTH]
        template = Template(candidate)
        if template.count > 1 or template.odd:
            return [Fault.MARKUP]
        new = _side(template.resolve(0)[0])
        if new is None:
            return [Fault.FACTS]
        return list(dict.fromkeys(self._found(old, new)))

    def _found(self, old: _Side, new: _Side) -> Iterator[Fault]:
        yield from _of_facts(old, new, self._known)
        found = languages(new.text)
        if (found and found != self.languages) or _scripts(old) != _scripts(new) or _OTHER_LETTER.search(new.text):
            yield Fault.LANGUAGE
        if _signs(old) != _signs(new) or _UNSEEN.search(new.written) or _chats(old, new):
            yield Fault.MARKUP
        as_made = list(self._of_words(old, new, new.said))
        if as_made and any(self._of_words(old, new, [self._as_written(words) for words in new.said])):
            yield from as_made
        if not _keeps_opting_out(old, new):
            yield Fault.OPT_OUT
        if _is_near(old.pieces, new.pieces):
            yield Fault.COPY
        if by_signs(new.written) not in {None, self._sensitive}:
            yield Fault.SENSITIVE

    def _of_words(self, old: _Side, new: _Side, said: Sequence[Sequence[str]]) -> Iterator[Fault]:
        """What is wrong with the words that the sentences of a candidate say."""
        known = self._known
        before, after = list(chain.from_iterable(old.said)), list(chain.from_iterable(said))
        spoken = list(zip(old.said, said, strict=True)) if len(old.said) == len(said) else [(before, after)]
        if any(
            other_person(kinds(known.forms, known.personal(one)), kinds(known.forms, known.personal(other)))
            or _others_do(one, other, known)
            for one, other in spoken
        ) or a_gente(old.text) != a_gente(new.text):
            yield Fault.PERSON
        if other_address(kinds(known.forms, before), kinds(known.forms, after)):
            yield Fault.ADDRESS
        if kinds(known.gender, after) - kinds(known.gender, before):
            yield Fault.GENDER
        yield from _of_concepts(_sentences(old, old.said, known), _sentences(new, said, known), known)

    def _as_written(self, words: Sequence[str]) -> list[str]:
        """A sentence of a candidate with the text's own words for those that the tables exchange for them."""
        line = f" {' '.join(words)} "
        for own, others in self._tables:
            if own not in line and (other := next((other for other in others if other in line), None)):
                line = line.replace(other, own, 1)
        return line.split()


def same(one: str, other: str) -> bool:
    """Whether two candidates for a text are so alike that one of them is enough."""
    return _is_near(pieces(one), pieces(other))


def _of_facts(old: _Side, new: _Side, known: Lexicon) -> Iterator[Fault]:
    if old.facts != new.facts:
        yield Fault.FACTS
    elif (failed := broken(old.text, new.text, kept="")) in _OF_INVARIANTS:
        yield _OF_INVARIANTS[failed]
    if old.text.count("?") != new.text.count("?"):
        yield Fault.QUESTIONS
    if _counted(old, known) != _counted(new, known):
        yield Fault.UNITS
    if _renames(old, new, known):
        yield Fault.NAMES


def _scripts(side: _Side) -> tuple[bool, bool]:
    return _LATIN.search(side.text) is not None, _DEVANAGARI.search(side.text) is not None


def _signs(side: _Side) -> tuple[Counter[str], int]:
    """Signs that WhatsApp or a reader takes for more than letters and stops."""
    signs = Counter(_PLAIN.sub("", side.text)) + Counter(_MARKS.findall(side.written))
    return signs, len(_QUOTES.findall(side.text))


def _chats(old: _Side, new: _Side) -> bool:
    """Whether it begins with what models say around an answer."""
    before, begun = f" {' '.join(old.pieces)} ", f" {' '.join(new.pieces[:_BEGINNING])} "
    return any(f" {phrase} " in begun and f" {phrase} " not in before for phrase in _phrases("chatter"))


@cache
def _phrases(name: str) -> list[str]:
    lines = tables.read("guard")["all"][name].split("\n")
    return [" ".join(pieces(phrase)) for line in lines for phrase in line.split(",") if phrase.strip()]


@cache
def _orders() -> frozenset[str]:
    """The words to reply, as they are written, by which one hears no more."""
    return frozenset(tables.read("guard")["all"]["opt_out_capitals"].split())


def _counted(side: _Side, known: Lexicon) -> list[tuple[str, str]]:
    """What stands before and after each number, of the words that make it another."""
    words = ["", *side.pieces, ""]
    return [
        (before if before in known.before_numbers else "", after if after in known.units else "")
        for before, number, after in zip(words, words[1:], words[2:], strict=False)
        if _NUMBER.match(number)
    ]


def _capitals(side: _Side) -> Iterator[tuple[str, bool]]:
    """The words with a capital, and whether it is there because a sentence begins."""
    for sentence in side.sentences:
        begins = True
        for match in _WORD.finditer(sentence):
            word = _WORDS_END.sub("", match[0])
            if word[:1].isupper() and word != "I":
                yield word, begins
            begins = begins and _LEADS.match(match[0]) is not None


def _renames(old: _Side, new: _Side, known: Lexicon) -> bool:
    """Whether a name is lost, or another comes."""
    old_words, new_words = ([_WORDS_END.sub("", word) for word in _WORD.findall(side.text)] for side in (old, new))
    left = iter(new_words)
    if not all(word in left for word, begins in _capitals(old) if not begins):
        return True
    usual = {word.lower() for word in old_words}
    return any(
        (word not in old_words) if not begins else not (word.lower() in usual or known.has(word))
        for word, begins in _capitals(new)
    )


def _line(text: str) -> str:
    """The words of a text with a space before and after each."""
    return f" {' '.join(pieces(text))} "


def _sentences(side: _Side, said: Iterable[Sequence[str]], known: Lexicon) -> list[list[str]]:
    """What each sentence says. One that only greets belongs to the next; how it greets does not matter."""
    found: list[list[str]] = []
    greeting: list[str] = []
    for sentence, words in zip(side.sentences, said, strict=True):
        concepts = list(known.concepts(words))
        others = [word for word in concepts if word != "=hello"]
        capitals = {word.lower() for word in _WORD.findall(sentence) if word[0].isupper()}
        if "=hello" in concepts and all(word in capitals or _ADDRESSED.match(word) for word in others):
            greeting += others
            continue
        found.append(greeting + others)
        greeting = []
    return [*found, greeting] if greeting else found


def _others_do(before: Sequence[str], after: Sequence[str], known: Lexicon) -> bool:
    """Whether something that both sentences speak of is done by somebody else in the other."""
    both = set(known.concepts(before)) & set(known.concepts(after))
    old, new = done(before, known), done(after, known)
    return any(old[one] != new[one] for one in both)


def _of_concepts(before: list[list[str]], after: list[list[str]], known: Lexicon) -> Iterator[Fault]:
    if len(before) != len(after):
        yield Fault.SENTENCES
        before, after = [list(chain.from_iterable(before))], [list(chain.from_iterable(after))]
    for one, other in zip(before, after, strict=True):
        wrong = Counter(one)
        wrong.subtract(other)
        for word in [word for word, count in wrong.items() if count and not _TOKEN.match(word)]:
            yield _OF_CONCEPTS.get(word.partition(".")[0], Fault.CLAUSES)
        if not any(wrong.values()) and not _moved_once(known.bound(one), known.bound(other)):
            yield Fault.CLAUSES


def _without_time(said: Sequence[str]) -> list[str]:
    """What is said without when, if that is told once: it has its place at the beginning as well as at the end."""
    places = [place for place, word in enumerate(said) if _TIME.match(word)]
    if places and places[-1] - places[0] < len(places):
        return [*said[: places[0]], *said[places[-1] + 1 :]]
    return list(said)


def _moved_once(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether they differ by one stretch, if at all, that stands in another place, and by the place of the time."""
    return _differ_by_one(one, other) or _differ_by_one(_without_time(one), _without_time(other))


def _differ_by_one(one: Sequence[str], other: Sequence[str]) -> bool:
    if Counter(one) != Counter(other):
        return False
    start, end = 0, len(one)
    while start < end and one[start] == other[start]:
        start += 1
    while end > start and one[end - 1] == other[end - 1]:
        end -= 1
    rest, moved = list(one[start:end]), list(other[start:end])
    return not rest or any(rest[cut:] + rest[:cut] == moved for cut in range(1, len(rest)))


def _keeps_opting_out(old: _Side, new: _Side) -> bool:
    """Whether the sentences that say how one hears no more are there to the letter, and no other."""
    return _opting_out(old) == _opting_out(new)


def _opting_out(side: _Side) -> list[list[str]]:
    found = []
    for sentence in side.sentences:
        words = pieces(side.masked.stretched(sentence))
        capitals = _CAPITALS.findall(side.masked.stretched(sentence))
        if any(f" {phrase} " in f" {' '.join(words)} " for phrase in _phrases("opt_out")) or not _orders().isdisjoint(
            capitals
        ):
            found.append(words)
    return found


def _is_near(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two texts are the same words, or of many words almost all the same."""
    if list(one) == list(other):
        return True
    before, after = Counter(one), Counter(other)
    changed = max((before - after).total(), (after - before).total())
    return 0 < changed < len(one) // _NEAR
