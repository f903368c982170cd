"""Texts that are left alone, and texts that are handled with restraint."""

from dataclasses import dataclass
from functools import cache

from chatwren.variation import tables
from chatwren.variation.likely import is_likely_sensitive
from chatwren.variation.model import Unchanged
from chatwren.variation.signs import Signs


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a text is about. `frozen`: nothing may change; else: no emoji, and sentences keep their places."""

    reason: Unchanged
    frozen: bool


@cache
def _signs() -> Signs[Sensitivity]:
    """The signs in the order of the table: those that freeze come first."""
    table = tables.read("sensitive")
    names = {name: _all(phrases) for name, phrases in table.pop("names").items()}
    return Signs(
        table.pop("spellings"),
        names,
        (
            (
                " & ".join((sign, *(f"not {other}" for other in kind.get("unless", ())))),
                Sensitivity(Unchanged(f"{'sensitive' if kind['frozen'] else 'sober'}_{name}"), kind["frozen"]),
            )
            for name, kind in table.items()
            for sign in _all(kind["signs"])
        ),
    )


def _all(by_language: dict[str, list[str]]) -> list[str]:
    return [phrase for phrases in by_language.values() for phrase in phrases]


def sensitivity(whole: str) -> Sensitivity | None:
    """The first kind of sensitive text of which a sign stands in `whole` (not masked), or None.

    A text that no sign freezes, and that reads like those that are, is frozen too.
    """
    found = by_signs(whole)
    if (found is None or not found.frozen) and is_likely_sensitive(whole):
        return Sensitivity(Unchanged.LIKELY, frozen=True)
    return found


def by_signs(whole: str) -> Sensitivity | None:
    """What the signs alone say."""
    return _signs().first(whole)
