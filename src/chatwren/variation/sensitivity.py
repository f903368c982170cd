"""Texts that are left alone, and texts that are handled with restraint."""

import re
from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables
from chatwren.variation.masks import sample
from chatwren.variation.model import Unchanged
from chatwren.variation.phrases import Index, Phrase, Text


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a text is about. `frozen`: nothing may change; else: no emoji, and sentences keep their places."""

    reason: Unchanged
    frozen: bool


# `_` binds letters in Python's eyes but not in a reader's; a figure stands apart from its unit.
_BLURRED = re.compile(r"(?P<figure>\d+(?:[.,:/-]\d+)*)|_")


@cache
def _signs() -> Index[Sensitivity]:
    """The signs in the order of the table: those that freeze come first."""
    return Index(
        (
            Phrase(sign, any_case=True),
            Sensitivity(Unchanged(f"{'sensitive' if kind['frozen'] else 'sober'}_{name}"), kind["frozen"]),
        )
        for name, kind in tables.read("sensitive").items()
        for signs in kind["signs"].values()
        for sign in signs
    )


def sensitivity(whole: str) -> Sensitivity | None:
    """The first kind of sensitive text of which a sign stands in `whole` (not masked), or None."""
    text = Text(_BLURRED.sub(lambda match: f" {sample('number')} " if match["figure"] else " ", whole))
    return next((kind for kind, _ in _signs().found(text)), None)
