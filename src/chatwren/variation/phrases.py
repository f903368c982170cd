r"""The little pattern language of the tables, so that a rule reads like the words that it is about.

    words               themselves; any run of spaces between them; the first letter may be a capital at the start of
                        a sentence, every other letter is as written (so that headings and shouting are left alone)
    (order|parcel)      one of these; `(please |)` one of these or nothing
    #   #date           any fact, or one of a kind: amount, date, time, phone, number, link, email, reference,
                        placeholder, quote, bold, code, mention, domain, capitals, emoji
    #?                  the number of what stands before it, or nothing: "#4821", "no. 4821", "(4821)", "{{order}}"; its
                        kinds are number, reference, phone, code, bold and placeholder
    *                   a name: one to four words with capitals, in bold or not, or a placeholder
    …                   anything within the sentence, or nothing: up to 40 characters in the middle, 80 at the end
    ^ at the beginning  only at the start of a sentence, or right after a greeting ("Hi Tom, …"); `^^` only at the
                        start of a line. A sentence also starts after an emoji, a bullet, a label and its colon
    $ at the end        only at the end of a sentence, or before an emoji

In what is said instead, `(1)` is what the first of `( )`, `#`, `*` stood for, `(2)` the second, and so on; `…` is what
`…` did, and `#` what `#?` did. Whatever of `#`, `#?`, `*` and `…` stands in a pattern is said again, each once: a rule
may not delete what it does not name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, count
from typing import Generic, TypeVar

from chatwren.variation import tables
from chatwren.variation.masks import token_class
from chatwren.variation.words import LETTER, WORD, is_accented, needs_accent, plain, unaccented, words

_CAPITAL = r"A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u017f\u0370-\u03ff\u0400-\u042f\u0590-\u06ff\u0900-\u0963"
_WRITTEN = token_class("placeholder"), token_class("bold"), token_class("capitals")
_TITLES = r"Mr|Mrs|Ms|Dr|Dra|Sr|Sra|Srta|Srs|Prof|Profa|Ing|Lic|Arq|Fr|St|Jr"  # with a full stop that ends no sentence
_NAME_WORD = rf"(?:{'|'.join(_WRITTEN)}|(?:[{_CAPITAL}]|{_TITLES})\.|[{_CAPITAL}][{LETTER}]*)"
NAME = rf"{_NAME_WORD}(?: (?:{_NAME_WORD}|ji|जी|de|da|do|bin|van)(?![{LETTER}])){{0,3}}"
_PARTS = re.compile(
    r"\((?P<choice>[^()]*)\)|(?P<number> ?#\?)|#(?P<kind>[a-z]*)|(?P<name>\*)|(?P<gap> ?… ?)|(?P<space> +)|(?P<sign>.)",
    re.DOTALL,
)
_SPACES = (
    r"[ \u00a0]++"  # all of them or none: beside a gap, which spaces fill too, they would take the cube of their number
)
_NUMBERS = "".join(token_class(kind)[1:-1] for kind in ("placeholder", "bold", "code", "reference", "number", "phone"))
_NUMBER_IS = r"no|n[º°]|n\.º|nr|n[úu]m|number|n[úu]mero|id|code|नं|नंबर|नम्बर|संख्या|क्रमांक"
_NUMBER = rf"[(\[]?(?:(?i:{_NUMBER_IS})(?![{LETTER}])[.:]*[ \u00a0]*)?#?[{_NUMBERS}][)\]]?"
_LITERAL = {"'": "['’]", "ँ": "[ँं]", "़": "़?"}
# Words with one of these are not found by `words`: of an apostrophe, it knows those between letters only.
_UNSURE = re.compile(r"\B'|'\B|[ँ़#*]")
_RECALL = re.compile(r"\((?P<slot>\d)\)|(?P<gap>…)|#")
_EMOJI = token_class("emoji")
_SENTENCE_BEFORE = re.compile(
    rf"(?:^|[.!?।…¡¿\n•·:]|{_EMOJI}|(?:^|\n)(?:[-–*] |{token_class('bold')})| [-–—|]|{token_class('number')}\))"
    r"[ \u00a0]*\Z"
)
_SENTENCE_AFTER = rf"(?=[ \u00a0]*(?:[.!?।…\n]|{_EMOJI}|\Z))"
_BEGINS_LINE = re.compile(rf"[¡¿ \u00a0•·*–-]|{_EMOJI}")
# Signs that Hindi is written with or without (ड़ and ढ़ are letters of their own, and keep theirs).
_NUKTA = re.compile("[कखगजफ]\u093c|[\u0958-\u095b\u095e]")

# What stands before a word with a capital in the middle of a sentence.
_AMID = re.compile(rf"[{LETTER},*] ")


@cache
def _left_out() -> frozenset[str]:
    """Words as nobody writes them who writes accents."""
    return frozenset(tables.read("languages")["without_accents"].split())


@cache
def _greeted() -> re.Pattern[str]:
    """What stands before words that follow a greeting in its own line: "Hi Tom, "."""
    greetings = "|".join(tables.read("languages")["greetings"])
    return re.compile(rf"(?:^|\n)(?:[ ¡]|{_EMOJI})*(?:{greetings})(?![{LETTER}])[^,.!?:\n]{{0,40}}, ?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a phrase stands, and what for.

    Attributes:
        slots: what `( )`, `#` and `*` stood for.
        gaps: what each `…` stood for.
        numbers: what each `#?` stood for.
        kept: what each of these and `*` stood for: words of the text, which the phrase does not name.
        capital: whether it begins a sentence with a capital.
        own: the words that the phrase names, and those of the numbers: "no. 4821" denies nothing.
        bare: whether it was found without accents that the phrase has.
    """

    start: int
    end: int
    slots: tuple[str, ...]
    gaps: tuple[str, ...]
    numbers: tuple[str, ...]
    kept: tuple[str, ...]
    capital: bool
    own: frozenset[str]
    bare: bool


class Text:
    """A masked text prepared for many phrases: what each of them asks is found out once.

    Attributes:
        text: itself.
        words: its words in order, as `words` gives them.
        bare: whether it has no accents, but for names in the middle of a sentence.
        spelling: signs that its writer does not use, and what stands for them.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = words(text)
        self.bare = not any(
            is_accented(word[0].lower()) and not (word[0][0].isupper() and _AMID.match(text, word.start() - 2))
            for word in (() if text.isascii() else WORD.finditer(text))
        )
        self._known = frozenset(map(unaccented, self.words))
        self._spaced = f" {' '.join(self.words)} "
        self.spelling: list[tuple[str, str]] = []
        if "’" in text:
            self.spelling.append(("'", "’"))
        if not _NUKTA.search(text):
            self.spelling += [(f"{letter}\u093c", letter) for letter in "कखगजफ"]
        if "ँ" not in text:
            self.spelling.append(("ँ", "ं"))

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where each word begins."""
        found: dict[str, list[int]] = {}
        for match in WORD.finditer(self.text):
            found.setdefault(unaccented(plain(match[0])), []).append(match.start())
        return found

    def has_of_each(self, groups: Iterable[AbstractSet[str]]) -> bool:
        """Whether of each of the groups a word stands in the text. They have no accents."""
        return not any(map(self._known.isdisjoint, groups))

    def places(self, group: AbstractSet[str]) -> list[int]:
        """Where one of the words, which have no accents, begins, in ascending order."""
        return sorted(chain.from_iterable(self._places[word] for word in group if word in self._places))

    def says(self, phrase: str) -> bool:
        """Whether the words of `phrase` stand in the text, one after the other."""
        return f" {unaccented(phrase) if self.bare else phrase} " in self._spaced

    def spelled(self, said: str, *, bare: bool = False) -> str:
        """A part of a table as the text's writer spells. `bare`: whether an accent is known to be left out."""
        for sign, other in self.spelling:
            said = said.replace(sign, other)
        if not is_accented(said):
            return said
        if bare or self._leaves_accents_out:
            return unaccented(said)
        return said if self.bare else WORD.sub(lambda match: self._word(match[0]), said)

    @cached_property
    def _leaves_accents_out(self) -> bool:
        return self.bare and not _left_out().isdisjoint(self.words)

    def _word(self, word: str) -> str:
        lower = plain(word)
        left_out = not needs_accent(lower) and lower not in self.words and unaccented(lower) in self.words
        return unaccented(word) if left_out else word

    def candidates(self, index: Mapping[str, Sequence[int]]) -> list[int]:
        """What `index` holds for the words of the text, without accents, and for none, in ascending order."""
        return sorted(chain.from_iterable(index[word] for word in (*self._known, "") if word in index))


class Phrase:
    """A pattern. It is compiled when a text first has its words: of a thousand, most never are.

    Where a text has no accents, the words of a phrase are found without theirs; in one that has, those are that are no
    other words then.

    Attributes:
        rarest: words, without accents, of which a text must have one, or the phrase cannot stand in it; "" when nothing
            is known.
    """

    def __init__(self, source: str, *, any_case: bool = False, as_written: bool = False) -> None:
        """Read a pattern.

        Args:
            source: the pattern.
            any_case: whether its letters may be capitals.
            as_written: whether it is found with its accents only: "pasá" is vos, and "pasa" may be tú.
        """
        self._line_start = source.startswith("^^")
        self._start = source.startswith("^")
        self._end = source.endswith("$")
        body = source.lstrip("^").removesuffix("$").strip()
        self._body = body
        self._capital = body[:1].isupper()
        self._any_case = any_case
        self._begins_with_choice = body.startswith("(")
        needed = _needed(body)
        self._needed = list(needed.values())
        self._first = needed.get(0)  # the words of which one is the first
        self._own = frozenset(map(unaccented, words(body)))
        accented = [word for word in words(body) if is_accented(word)]
        self._needs_accents = any(map(needs_accent, accented))
        self._in_bare = bool(accented) and not as_written
        self._in_any = self._in_bare and not self._needs_accents
        self.rarest: AbstractSet[str] = max(
            self._needed, key=lambda group: min(map(len, group)), default=frozenset({""})
        )

    @cached_property
    def _written(self) -> re.Pattern[str]:
        return self._compiled(spelled_bare=False)

    @cached_property
    def _bare(self) -> re.Pattern[str]:
        return self._compiled(spelled_bare=True)

    def _compiled(self, *, spelled_bare: bool) -> re.Pattern[str]:
        regex = _bounded(self._body, _regex(self._body, count(), either_case=not self._any_case, bare=spelled_bare))
        return re.compile(
            regex + (_SENTENCE_AFTER if self._end else ""), re.IGNORECASE if self._any_case else re.NOFLAG
        )

    @cached_property
    def _groups(self) -> dict[str, list[int]]:
        """The groups of the expression, by the letters of their names: see `_regex`."""
        index = (self._bare if self._in_any else self._written).groupindex
        return {
            letters: [number for name, number in index.items() if any(letter in name for letter in letters)]
            for letters in ("s", "g", "n", "kgn")
        }

    def hits(self, text: Text) -> Iterator[Hit]:
        """Where the phrase stands, from left to right."""
        if not text.has_of_each(self._needed):
            return
        for match in self._matches(text):
            at_start = bool(_SENTENCE_BEFORE.search(text.text, max(0, match.start() - 8), match.start()))
            upper = text.text[match.start()].isupper()
            if self._start and not (
                at_start or _greeted().search(text.text, max(0, match.start() - 64), match.start())
            ):
                continue
            if upper and not (self._any_case or self._capital or at_start):
                continue  # a capital within a sentence makes it a name
            if self._line_start and _BEGINS_LINE.sub("", text.text[: match.start()].rpartition("\n")[2]):
                continue
            slots, numbers = self._stood_for("s", match), self._stood_for("n", match)
            if self._begins_with_choice and at_start and upper:
                slots = (slots[0][0].lower() + slots[0][1:], *slots[1:])
            yield Hit(
                match.start(),
                match.end(),
                slots,
                self._stood_for("g", match),
                numbers,
                self._stood_for("kgn", match),
                at_start and upper,
                self._own.union(*map(words, map(unaccented, numbers))),
                text.bare and self._in_bare and not self._written.match(text.text, match.start()),
            )

    def _matches(self, text: Text) -> Iterator[re.Match[str]]:
        """Where the expression matches, before it is asked what stands around it."""
        regex = self._bare if self._in_any or (self._in_bare and text.bare) else self._written
        if self._first is None:
            yield from regex.finditer(text.text)
            return
        end = 0
        for place in text.places(self._first):
            if place >= end and (match := regex.match(text.text, place)):
                end = match.end()
                yield match

    def _stood_for(self, letters: str, match: re.Match[str]) -> tuple[str, ...]:
        return tuple(match[number] or "" for number in self._groups[letters])

    def drops(self, said: str) -> str | None:
        """What of the phrase, as it stands in its table, `said` does not say again, or says more than once; or None."""
        recalled = [match["slot"] or match[0] for match in _RECALL.finditer(said)]
        parts = list(_PARTS.finditer(self._body))
        slots = [part[0] for part in parts if part["choice"] is not None or part["kind"] is not None or part["name"]]
        for number, slot in enumerate(slots, 1):
            if any(sign in slot for sign in "#*…") and recalled.count(str(number)) != 1:
                return slot
        for sign, name in (("…", "gap"), ("#", "number")):
            if recalled.count(sign) != sum(part[name] is not None for part in parts):
                return "…" if name == "gap" else "#?"
        return None


def _regex(body: str, numbers: Iterator[int], *, either_case: bool, bare: bool, nested: bool = False) -> str:
    """The regular expression for a pattern.

    Args:
        body: the pattern without its anchors.
        numbers: by which its groups are told apart. The letters before tell what stands in them: `s` a slot, `g` a
            gap, `n` the number of a thing, `k` other words that are kept.
        either_case: whether its first letter may be a capital.
        bare: whether each letter may be without its accent.
        nested: whether it is a part of a choice: there is no slot in it, but the choice.
    """
    made: list[str] = []
    slot, gap, thing = ("", "k", "k") if nested else ("s", "g", "n")
    for part in _PARTS.finditer(body):
        first, number = either_case and not made, next(numbers)
        if part["choice"] is not None:
            choices = [
                _regex(one, numbers, either_case=first, bare=bare, nested=True) for one in part["choice"].split("|")
            ]
            made.append(f"(?P<s{number}>{'|'.join(choices)})")
        elif part["number"] is not None:
            made.append(f"(?:{_SPACES if part['number'][0] == ' ' else ''}(?P<{thing}{number}>{_NUMBER}))?")
        elif part["kind"] is not None:
            made.append(f"(?P<{slot}f{number}>{token_class(part['kind'])})")
        elif part["name"]:
            made.append(f"(?P<{slot}k{number}>{NAME})")
        elif part["gap"] and part.end() < len(body):
            made.append(rf"{_SPACES}(?:(?P<{gap}{number}>[^.!?।\n]{{1,40}}?){_SPACES})?")
        elif part["gap"]:
            made.append(rf"(?: (?P<{gap}{number}>[^.!?।\n]{{1,80}}))?")
        elif part["space"]:
            made.append(_SPACES)
        else:
            letter = part["sign"]
            either = f"{letter}{unaccented(letter)}" if bare and is_accented(letter) else letter
            both = first and letter.upper() != letter and len(letter.upper()) == 1
            either += either.upper() if both else ""
            made.append(f"[{either}]" if len(either) > 1 else _LITERAL.get(letter) or re.escape(letter))
    return "".join(made)


def _bounded(body: str, regex: str) -> str:
    """`regex` between boundaries of words, where `body` begins and ends with a word and not with a comma."""
    first, last = re.match(rf"[(*…#{LETTER}]", body), re.search(rf"(?:[)*…#{LETTER}]|#\?)\Z", body)
    comma_first, comma_last = re.match(r"\([^\w#]", body), re.search(r"[^\w ]\)\Z", body)
    before = f"(?<![{LETTER}])" if first and not comma_first else ""
    after = f"(?![{LETTER}])" if last and not comma_last else ""
    return f"{before}(?:{regex}){after}"


def _needed(body: str) -> dict[int, frozenset[str]]:
    """Sets of words of which a text must have one each, or the phrase cannot stand in it: a quick first look.

    They have no accents, and stand at the places in the pattern that they are for. At 0 are those that it begins with.
    """
    found = {}
    for part in re.finditer(rf"\((?P<choice>[^()]*)\)|(?P<word>[{LETTER}]+)", body):
        touching = body[part.start() - 1 : part.start()].strip("^ ") or body[part.end() : part.end() + 1].strip(
            "$ ,!:?."
        )
        choices = (part["choice"] or part["word"] or "").split("|")
        first_words = [words(choice)[:1] for choice in choices]
        if not touching and all(first_words) and not _UNSURE.search(part[0]):
            begins = part.start() == 0 and not all(WORD.match(choice) for choice in choices)
            found[part.start() - begins] = frozenset(unaccented(word) for group in first_words for word in group)
    return found


def say(template: str, hit: Hit, text: Text) -> str:
    """What stands instead of `hit`: slots recalled, the first letter and the spelling as in the text around it."""
    gaps, numbers = iter(hit.gaps), iter(hit.numbers)

    def recall(match: re.Match[str]) -> str:
        return hit.slots[int(match["slot"]) - 1] if match["slot"] else next(gaps if match["gap"] else numbers)

    said = _RECALL.sub(recall, text.spelled(template, bare=hit.bare))
    said = " ".join(said.split())
    first = next((position for position, letter in enumerate(said) if letter.isalpha()), None)
    if first is not None and hit.capital:
        said = said[:first] + said[first].upper() + said[first + 1 :]
    return said


T = TypeVar("T")


class Index(Generic[T]):
    """Phrases and what they stand for, found by the words of a text: of hundreds, a handful is tried."""

    def __init__(self, entries: Iterable[tuple[Phrase, T]]) -> None:
        self._entries = list(entries)
        self._by_word: dict[str, list[int]] = {}
        for number, (phrase, _) in enumerate(self._entries):
            for word in phrase.rarest:
                self._by_word.setdefault(word, []).append(number)

    def found(self, text: Text) -> Iterator[tuple[T, Hit]]:
        """What stands in `text`, in the order of the entries: one entry's hits from left to right, then the next's."""
        for number in text.candidates(self._by_word):
            phrase, meaning = self._entries[number]
            for hit in phrase.hits(text):
                yield meaning, hit
