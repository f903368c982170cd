"""The tables, as data: read once, from the package itself."""

import tomllib
from hashlib import sha256
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "hinglish", "hi", "es", "pt")


def read(name: str) -> dict[str, Any]:
    """The table `name`, without its ending."""
    return tomllib.loads(_text(name))


def fingerprint() -> str:
    """Eight hexadecimal digits that change when any table does."""
    names = (*LANGUAGES, "emoji", "moves", "sensitive", "likely", "languages", "vocabulary", "opening")
    return sha256("\0".join(_text(name) for name in names).encode()).hexdigest()[:8]


def _text(name: str) -> str:
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
