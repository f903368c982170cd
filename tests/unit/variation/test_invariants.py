"""The net below the rules: whatever a table says, a fact does not change, or the original goes out."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatwren.variation import Modifications, Unchanged, rules, tables, vary
from chatwren.variation.invariants import broken
from chatwren.variation.masks import Masked

Plant = Callable[[str, str], None]

TEXT = "Your parcel will not arrive before 5 pm today.\nIs somebody at home? Please call us on +91 98200 12345."


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """Adds a rule to the English table."""
    read = tables.read

    def add(find: str, say: str) -> None:
        def with_it(name: str) -> dict[str, Any]:
            return ({"planted": {"find": find, "say": say, "even_in": "any"}} if name == "en" else {}) | read(name)

        monkeypatch.setattr(tables, "read", with_it)
        forget()

    def forget() -> None:
        rules.rules.cache_clear()
        rules._index.cache_clear()

    yield add
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("find", "say", "failed"),
    [
        ("before # #", "before (1)", "facts"),
        ("before # #", "before (1) (1) (2)", "facts"),
        ("before # #", "before (2) (1)", "facts"),
        ("your parcel", "your 2 parcels", "facts"),
        ("will not arrive", "will arrive", "negations"),
        ("will not arrive", "will never arrive", "negations"),
        ("your parcel", "not your parcel", "negations"),
        ("is somebody at home", "is somebody at home? Or at work", "questions"),
        ("your parcel", "what? Your parcel", "questions"),
        ("your parcel", "your parcel, which we packed with all the care that you know us for, " * 3, "length"),
    ],
)
def test_a_bad_rule_ends_in_the_check(plant: Plant, find: str, say: str, failed: str) -> None:
    plant(find, say)
    outcomes = [vary(TEXT, Modifications(use_synonyms=True), seed=str(seed)) for seed in range(12)]
    refused = [one for one in outcomes if one.unchanged_because == Unchanged.CHECK_FAILED]
    assert refused, "the planted rule was never drawn"
    for one in refused:
        assert one.text == TEXT
        assert [change.rule for change in one.changes] == [f"check/{failed}"]
        assert one.variants_possible == 1
    for one in outcomes:
        assert one.unchanged_because or not any(change.rule == "en/planted" for change in one.changes)


def test_a_good_rule_passes(plant: Plant) -> None:
    plant("your parcel", "your packet")
    outcomes = [vary(TEXT, Modifications(use_synonyms=True), seed=str(seed)) for seed in range(12)]
    assert any(change.rule == "en/planted" for one in outcomes for change in one.changes)
    assert all(one.unchanged_because != Unchanged.CHECK_FAILED for one in outcomes)


def mask(text: str) -> str:
    return Masked([text]).text


LONG = "We have packed it with care and it will be with you as soon as the driver comes by."


@pytest.mark.parametrize(
    ("before", "after", "failed"),
    [
        (mask("On 3 May and 4 June."), mask("On 3 May."), "facts"),
        ("Come.", "Come at 5.", "facts"),
        ("Do not come.", "Do come.", "negations"),
        ("Never come.", "Do not come.", "negations"),
        ("You can't come.", "You cannot come.", None),
        ("Is it ready?", "It is ready.", "questions"),
        ("It is ready.", "Is it ready?", "questions"),
        ("One.\nTwo.", "One. Two.", "lines"),
        ("One. Two.", "One.\nTwo.", "lines"),
        ("One.\n\nTwo.", "One.\nTwo.\n", "lines"),
        (LONG, LONG[:5], "length"),
        (LONG, LONG * 3, "length"),
        (LONG, LONG.replace("as soon as", "when"), None),
    ],
)
def test_each_invariant_by_itself(before: str, after: str, failed: str | None) -> None:
    assert broken(before, after, shuffled=False) == failed


def test_facts_change_places_only_where_sentences_do() -> None:
    masked = mask("Come on 3 May or call 0113 496 0000.")
    first, second = [char for char in masked if ord(char) >= 0xF0000]
    swapped = masked.translate({ord(first): second, ord(second): first})
    assert broken(masked, swapped, shuffled=True) is None
    assert broken(masked, swapped, shuffled=False) == "facts"
