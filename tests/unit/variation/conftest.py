"""Rules that a test puts into the English table, and texts that keep their beginning and end."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from chatwren.variation import Variation, emoji, plan, rules, tables


class Plant(Protocol):
    """Puts rules, each what it finds and what it says, before those of the English table."""

    def __call__(self, *planted: tuple[str, str], even_in: str | tuple[str, ...] = "any") -> None: ...


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    read = tables.read

    def add(*planted: tuple[str, str], even_in: str | tuple[str, ...] = "any") -> None:
        new = {
            f"planted-{number}": {"find": find, "say": [say], "even_in": even_in}
            for number, (find, say) in enumerate(planted)
        }
        monkeypatch.setattr(tables, "read", lambda name: (new if name == "en" else {}) | read(name))
        forget()
        rules.rules("en")

    def forget() -> None:
        rules.rules.cache_clear()
        rules._index.cache_clear()

    yield add
    monkeypatch.undo()
    forget()


def unopened(variation: Variation) -> str:
    """The text of a variation without the greeting that was put before it."""
    for change in variation.changes:
        if change.rule.endswith("/opening"):
            assert variation.text.startswith(change.after)
            return change.before + variation.text[len(change.after) :]
    return variation.text


@pytest.fixture
def phrases_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No greeting is added, and no emoji that fits whatever is said: what is left is due to the phrases."""
    monkeypatch.setattr(plan, "opening", lambda *_, **__: None)
    monkeypatch.setattr(emoji, "_smile", lambda *_: [])
