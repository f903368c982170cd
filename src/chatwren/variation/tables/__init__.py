"""The tables, as data: read once, from the package itself."""

import tomllib
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "hinglish", "hi", "es", "pt")


_SHARED = frozenset({"emoji", "guard", "languages", "moves", "opening"})
"""Small ones that are read for each language, or in several places. What is made of the others is kept instead."""


def read(name: str) -> dict[str, Any]:
    """The table `name`, without its ending. Nobody may change what it holds."""
    return _kept(name) if name in _SHARED else tomllib.loads(_text(name))


@cache
def _kept(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def fingerprint() -> str:
    """Eight hexadecimal digits that change when any table does."""
    names = (*LANGUAGES, "emoji", "moves", "sensitive", "likely", "languages", "vocabulary", "opening")
    return sha256("\0".join(_text(name) for name in names).encode()).hexdigest()[:8]


def _text(name: str) -> str:
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
