"""Rules: the wordings that may stand for each other, and where in a text they apply."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

from chatwren.variation import tables
from chatwren.variation.marks import Marks, even_in
from chatwren.variation.phrases import Hit, Index, Phrase, Text, say
from chatwren.variation.words import WORD, words

_AROUND = 64  # characters: more than the longest word of a table's `unless_before` and `unless_after`
_LONG = 5  # letters: a word of this length said twice in one message is heard twice


@dataclass(frozen=True, slots=True)
class Rule:
    """A phrase, what may be said instead, and the surroundings that forbid it.

    ValueError is raised where what is said instead leaves out what the phrase does not name.

    Attributes:
        name: language and name, `en/order-confirmed`.
        register: `casual`: not in formal texts; `formal`: only there; "": everywhere.
        unless_before, unless_after: words that must not stand right before or after.
        unless_text: words or phrases that must not stand anywhere in the text.
        even_in: the kinds of marks that its sentence may have; without any, it is for plain statements alone.
    """

    name: str
    find: tuple[Phrase, ...]
    say: tuple[str, ...]
    register: str = ""
    unless_before: tuple[str, ...] = ()
    unless_after: tuple[str, ...] = ()
    unless_text: tuple[str, ...] = ()
    even_in: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for phrase, said in product(self.find, self.say):
            if dropped := phrase.drops(said):
                raise ValueError(f"{self.name}: find has {dropped}, and say must have it, once: {said}")

    def allows(self, hit: Hit, text: Text, marks: Marks, *, formal: bool) -> bool:
        """Whether the surroundings of `hit` are such that the rule keeps the meaning."""
        if self.register and (self.register == "formal") != formal:
            return False
        if any(text.says(phrase) for phrase in self.unless_text):
            return False
        if marks.forbid(hit, self.even_in):
            return False
        before = text.text[: hit.start].rstrip()[-_AROUND:].lower()
        after = text.text[hit.end :].lstrip()[:_AROUND].lower()
        return not (
            any(f" {before}".endswith(f" {word}") for word in map(text.spelled, self.unless_before))
            or any(
                after.startswith(word) and not WORD.match(after, len(word))
                for word in map(text.spelled, self.unless_after)
            )
        )


@dataclass(frozen=True, slots=True)
class Site:
    """A stretch of a masked text, and the wordings that may stand there. The text's own is not among them.

    Attributes:
        kept: the words of the stretch that the rule does not name.
    """

    rule: str
    start: int
    end: int
    wordings: tuple[str, ...]
    kept: str


@cache
def rules(language: str) -> tuple[Rule, ...]:
    """The rules of a language, in the order of its table."""
    return tuple(
        Rule(
            f"{language}/{name}",
            tuple(Phrase(line, as_written="accents" in entry) for line in _several(entry["find"])),
            tuple(_several(entry["say"])),
            entry.get("register", ""),
            unless_before=tuple(entry.get("unless_before", ())),
            unless_after=tuple(entry.get("unless_after", ())),
            unless_text=tuple(entry.get("unless_text", ())),
            even_in=even_in(entry),
        )
        for name, entry in tables.read(language).items()
    )


def sites(text: Text, languages: Sequence[str], formal: dict[str, bool], marks: Marks) -> list[Site]:
    """Where rules apply, from left to right, never overlapping, each rule at most once.

    Where two rules want the same words, the longer stretch wins, then the earlier rule. A wording that would repeat a
    long word of the text or of an earlier wording is left out.
    """
    candidates: dict[str, tuple[Rule, Hit]] = {}
    for language in languages:
        for rule, hit in _index(language).found(text):
            if rule.name not in candidates and rule.allows(hit, text, marks, formal=formal[language]):
                candidates[rule.name] = (rule, hit)
    chosen: list[tuple[Rule, Hit]] = []
    for rule, hit in sorted(candidates.values(), key=lambda pair: pair[1].start - pair[1].end):
        if all(hit.end <= other.start or hit.start >= other.end for _, other in chosen):
            chosen.append((rule, hit))
    chosen.sort(key=lambda pair: pair[1].start)
    return _without_echoes(text, chosen)


@cache
def _index(language: str) -> Index[Rule]:
    return Index((phrase, rule) for rule in rules(language) for phrase in rule.find)


def _without_echoes(text: Text, chosen: list[tuple[Rule, Hit]]) -> list[Site]:
    found = []
    around = Counter(text.words)
    new: set[str] = set()
    for rule, hit in chosen:
        own = Counter(words(text.text[hit.start : hit.end]))
        wordings = tuple(
            dict.fromkeys(
                said
                for said in (say(template, hit, text) for template in rule.say)
                if said != text.text[hit.start : hit.end]
                and not any(word in new or around[word] > own[word] for word in _long(said) - own.keys())
            )
        )
        if wordings:
            found.append(Site(rule.name, hit.start, hit.end, wordings, " ".join(hit.kept)))
            new.update(word for said in wordings for word in _long(said) - own.keys())
    return found


def _long(text: str) -> set[str]:
    return {word for word in words(text) if len(word) >= _LONG}


def _several(entry: str | list[str]) -> list[str]:
    return [entry] if isinstance(entry, str) else entry
