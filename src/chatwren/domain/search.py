"""Searching in texts as people do: without case, and without the accents of Latin, Greek and Cyrillic letters."""

import re
import unicodedata
from functools import cache, lru_cache

_ACCENTS = "\u0300-\u036f"
_ACCENT = re.compile(f"[{_ACCENTS}]")
_LETTERS = (range(0x41, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
"""Where letters with accents are. Marks of other scripts, such as vowels of Hindi, are no accents."""
_SAME = str.maketrans("øłđħŧıς", "oldhtiσ")
_ALPHANUMERIC = re.compile(r"\w")


def pattern_of(text: str) -> str:
    """A regular expression of PostgreSQL that finds a text wherever it stands, whatever its case and accents."""
    return "".join(_one(char) for char in plain(text))


def plain(text: str) -> str:
    """A text without case and accents, as far as it is of letters that have them; of accents alone, as it is."""
    return "".join(_plain(char) for char in _ACCENT.sub("", text)) or text


@lru_cache(4096)
def _plain(char: str) -> str:
    """A letter without case and accents; any other character as it is."""
    if not any(ord(char) in part for part in _LETTERS):
        return char
    parts = unicodedata.normalize("NFD", char.lower())
    bare = _ACCENT.sub("", parts)
    return (bare if len(bare) == 1 < len(parts) else char.lower()).translate(_SAME)


def _one(char: str) -> str:
    """What finds a character, and the accents that stand after it as characters of their own."""
    both = {char, char.lower(), char.upper()}
    if (written := _written().get(char)) is not None:
        found = f"[{written}]"
    elif len(both) > 1:
        found = f"[{''.join(one for one in sorted(both) if len(one) == 1)}]"
    else:
        found = char if _ALPHANUMERIC.fullmatch(char) or not char.isascii() else f"\\{char}"
    return f"{found}[{_ACCENTS}]*"


@cache
def _written() -> dict[str, str]:
    """Plain letters, and all the ways in which each is written."""
    ways: dict[str, str] = {}
    for char in (chr(number) for part in _LETTERS for number in part):
        if char.isalpha():
            way = _plain(char)  # itself may stand elsewhere, as the small letter of Ɯ does
            ways[way] = ways.get(way, way) + char
    return ways
