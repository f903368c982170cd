"""Signs: what a text is about, by words that stand in it, as carelessly as people spell them.

Accents, capitals, apostrophes and hyphens are not looked at, "aa" is "a" and "w" is "v": a sign is found in every
spelling of its words.

    words               one after the other
    (code|pin)          one of these; `(your|)` one of these or nothing
    cancel*             any word that begins so
    #   ##              a number; one of four to eight digits that is no amount: it may be a code
    …                   up to six words in between, within the sentence
    <code>              one of the phrases that the table lists under this name
    a + b               both within twelve words of one sentence, whichever comes first
    a & b               both somewhere in the text
    a & not b           one of them, and not the other

`+` binds more tightly than `&`.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Generic, TypeVar

_GAP = 6  # words that `…` may stand for
_REACH = 6  # words to either side: two that are near each other have a word that is near to both
_DROPPED = re.compile("['’`\u0300-\u036f\u093c\u200b-\u200d\ufe0f]")
_PIECES = re.compile(
    r"(?P<money>[₹$€£¥]\s?|\b(?:rs|inr|usd|eur|ngn|kes|aed)\b\.?\s?)?(?P<figure>\d++(?:[.,:/ -]\d++)*+)"
    r"|(?P<word>[^\W\d_](?:[^\W\d_]|[\u0900-\u0963])*)"
    r"|(?P<end>[!?।;\n]|(?<=[^\W\d_]{3})\.|(?<=[\u0900-\u0963\d])\.)"
)
_CODE = re.compile(r"(?!(?:19[5-9]|20[0-4])\d$)\d{4,8}|\d{3}[ -]\d{3}|\d(?: \d){3,7}|\d\d(?: \d\d){1,3}|\d\d-\d\d-\d\d")
_LONG = re.compile(r"(.)\1{2,}")
_LIST = re.compile(r"\(([^()]*)\)")
_EXPANDED = 4  # times as long: more than letters come to that are written as one
_END = "."
_ANY = "…"

T = TypeVar("T")


def _folded(text: str) -> str:
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    if len(plain) > _EXPANDED * len(text):  # signs that stand for whole sentences: no word of ours is in them
        plain = unicodedata.normalize("NFD", text)
    plain = _DROPPED.sub("", plain.lower()).replace("ँ", "ं")
    return _LONG.sub(r"\1\1", plain).replace("aa", "a").replace("w", "v")


def _words(text: str, spellings: Mapping[str, Sequence[str]]) -> list[str]:
    """The words of a text as signs see them: `#` and `##` for figures, `.` where a sentence ends."""
    found: list[str] = []
    for piece in _PIECES.finditer(_folded(text)):
        if word := piece["word"]:
            found += spellings.get(word) or (word,)
        elif piece["figure"]:
            found.append("##" if not piece["money"] and _CODE.fullmatch(piece["figure"]) else "#")
        else:
            found.append(_END)
    return found


def plain_words(text: str) -> list[str]:
    """The words of a text, folded as signs see them: `#` and `##` for figures, without the ends of sentences."""
    return [word for word in _words(text, {}) if word != _END]


class _Node:
    """Where one is in the phrases after some of their words.

    Attributes:
        atoms: what is complete here.
        gap: where any words may stand in between before it goes on, or None.
    """

    __slots__ = ("_beginnings", "_lengths", "_words", "atoms", "gap")

    def __init__(self) -> None:
        self.atoms: list[int] = []
        self.gap: _Node | None = None
        self._words: dict[str, _Node] = {}
        self._beginnings: dict[str, _Node] = {}
        self._lengths: list[int] = []

    def grown(self, step: str) -> "_Node":
        """Where `step` leads, a new node where nothing has gone there before."""
        if step == _ANY:
            self.gap = self.gap or _Node()
            return self.gap
        whole = not step.endswith("*")
        nodes, word = (self._words, step) if whole else (self._beginnings, step[:-1])
        if word not in nodes:
            nodes[word] = _Node()
            self._lengths = self._lengths if whole else sorted({*self._lengths, len(word)})
        return nodes[word]

    def after(self, word: str, reached: dict["_Node", None]) -> None:
        """Put into `reached` where `word` leads."""
        if node := self._words.get(word):
            reached[node] = None
        if word == "##" and (node := self._words.get("#")):
            reached[node] = None
        for length in self._lengths:
            if node := self._beginnings.get(word[:length]):
                reached[node] = None


def _steps(phrase: str, spellings: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """The sequences of words that a phrase stands for, each choice made."""
    folded = _ANY.join(map(_folded, phrase.split(_ANY)))
    parts = [part.split("|") if number % 2 else [part] for number, part in enumerate(_LIST.split(folded))]
    for chosen in product(*parts):
        yield [step for word in " ".join(chosen).split() for step in spellings.get(word) or (word,)]


class Signs(Generic[T]):
    """Signs and what they mean. The first of them that stands in a text counts.

    KeyError is raised where a sign has a name that `names` does not have.
    """

    def __init__(
        self, spellings: Mapping[str, str], names: Mapping[str, Iterable[str]], signs: Iterable[tuple[str, T]]
    ) -> None:
        self._spellings = {_folded(word): _folded(usual).split() for word, usual in spellings.items()}
        self._names = names
        self._atoms: dict[str, int] = {}
        self._root = _Node()
        self._signs = [(self._parsed(sign), meaning) for sign, meaning in signs]
        self._of_atom: dict[int, list[int]] = defaultdict(list)
        for number, ((wanted, _), _) in enumerate(self._signs):
            self._of_atom[wanted[0][0]].append(number)

    def _parsed(self, sign: str) -> tuple[list[list[int]], list[list[int]]]:
        """What a sign asks for, and what it forbids: each a list of atoms that stand near each other."""
        wanted: list[list[int]] = []
        forbidden: list[list[int]] = []
        for part in sign.split(" & "):
            side = forbidden if wanted and part.startswith("not ") else wanted
            atoms = part.removeprefix("not ") if side is forbidden else part
            side.append([self._atom(atom) for atom in atoms.split(" + ")])
        return wanted, forbidden

    def _atom(self, source: str) -> int:
        """The number of a phrase or a named list of them; its words are put where they are looked up."""
        if source not in self._atoms:
            self._atoms[source] = number = len(self._atoms)
            for phrase in self._names[source[1:-1]] if source.startswith("<") else [source]:
                for steps in _steps(phrase, self._spellings):
                    node = self._root
                    for step in steps:
                        node = node.grown(step)
                    node.atoms.append(number)
        return self._atoms[source]

    def first(self, text: str) -> T | None:
        """What the first sign that stands in `text` means, or None. Takes time in proportion to the text's length."""
        places = self._places(_words(text, self._spellings))

        @cache
        def near(atoms: tuple[int, ...]) -> bool:
            if len(atoms) == 1:
                return atoms[0] in places
            both = -1
            for atom in atoms:
                both &= _spread(places.get(atom, 0))
            return bool(both)

        for number in sorted({number for atom in places for number in self._of_atom.get(atom, ())}):
            (wanted, forbidden), meaning = self._signs[number]
            if all(near(tuple(atoms)) for atoms in wanted) and not any(near(tuple(atoms)) for atoms in forbidden):
                return meaning
        return None

    def _places(self, words: Sequence[str]) -> dict[int, int]:
        """Where each atom ends, as the bits of a number. Between sentences is more room than anything reaches."""
        places: dict[int, int] = {}
        place = _REACH
        reached: dict[_Node, None] = {}
        waiting: dict[_Node, int] = {}  # beyond a `…`, until which place
        for word in words:
            place += 1
            if word == _END:
                place += 2 * _REACH
                reached, waiting = {}, {}
                continue
            before = (self._root, *reached, *waiting)
            reached = {}
            for node in before:
                node.after(word, reached)
            waiting = {node: last for node, last in waiting.items() if last > place}
            for node in reached:
                if node.gap:
                    waiting[node.gap] = place + 1 + _GAP
                for atom in node.atoms:
                    places[atom] = places.get(atom, 0) | 1 << place
        return places


def _spread(places: int) -> int:
    """`places` and those within reach of each."""
    spread = places
    for step in (1, 2, _REACH - 3):
        spread |= spread << step | spread >> step
    return spread
