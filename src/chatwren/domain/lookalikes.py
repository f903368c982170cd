"""User names that look the same: the skeleton of Unicode's technical standard 39, with the library's table."""

import unicodedata
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import msgspec

# Unicode's Default_Ignorable_Code_Point, which the standard library does not know, and two that are drawn as nothing.
_UNSEEN: Final = (
    *(0xAD, 0x34F, 0x61C, 0x3164, 0xFEFF, 0xFFA0, 0x2800, 0x1D159),
    *range(0x115F, 0x1161),
    *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
)
_ROUNDS: Final = 4  # the small letter of a prototype may look like another: after so many nothing changes any more
_INVISIBLE: Final = frozenset(map(chr, _UNSEEN))


class _Alike(msgspec.Struct, gc=False):
    """What the table says of one of those that look like another."""

    c: str


def has_unseen(name: str) -> bool:
    """Whether the name holds a character that is drawn as nothing."""
    return not _INVISIBLE.isdisjoint(name)


def is_blank(name: str) -> bool:
    """Whether nothing of the name stands by itself: no letter, digit, sign or symbol, but spaces and marks at most."""
    return all(unicodedata.category(char)[0] in "ZMC" for char in name)


def skeleton(name: str) -> str:
    """What two names have in common that a reader cannot tell apart, whatever the case of their letters.

    The first call reads the table, which takes some hundredths of a second: not in an event loop.
    """
    text = name
    for _ in range(_ROUNDS):
        text = "".join(_prototype(char) for char in unicodedata.normalize("NFKD", text)).casefold()
    return " ".join(text.split())


def _prototype(char: str) -> str:
    return _prototypes().get(char, char)


@cache
def _prototypes() -> dict[str, str]:
    """Each confusable character to the one, or the several, that stand for all that look like it.

    The library lists both directions: what has one entry is a source, and its entry the prototype. Where two stand for
    each other alone, the first of them does for both. Its file is read here: by the library's own functions that takes
    7 MB, which stay, instead of 4, and 0.6 for what would download it.
    """
    file = Path(str(distribution("confusable-homoglyphs").locate_file("confusable_homoglyphs/confusables.json")))
    table = msgspec.json.decode(file.read_bytes(), type=dict[str, list[_Alike]])
    sources = {char: found[0].c for char, found in table.items() if len(char) == 1 and len(found) == 1}
    return {char: min(char, to) if sources.get(to) == char else to for char, to in sources.items()}
