"""Rules that a test puts into the English table."""

from collections.abc import Iterator
from typing import Protocol

import pytest

from chatwren.variation import rules, tables


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
