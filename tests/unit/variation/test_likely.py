"""The learned gate: texts that read like sensitive ones though no sign says so."""

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chatwren.variation import Modifications, Unchanged, likely, tables, vary
from chatwren.variation.likely import SIZE, is_likely_sensitive, places, windows
from chatwren.variation.sensitivity import Sensitivity, by_signs, sensitivity

TEXTS = Path(__file__).parent
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
ROUNDABOUT = "Ella is struggling to breathe, where is her inhaler?"
PASSAGE = (
    "Your daughter is struggling to breathe and the nurse is with her. We could not find her inhaler in the bag. An "
    "ambulance has been called, she is being taken to the hospital in town. Please come straight there, and phone us "
    "right away if anybody else may fetch her."
)
HARMLESS = "Come in any time. We are open daily from 9 to 6. Free parking behind the house."


def read(name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((TEXTS / name).read_text(encoding="utf-8"))
    return entries


def frozen(text: str) -> bool:
    found = sensitivity(text)
    return found is not None and found.frozen


def trainer() -> ModuleType:
    path = str(TEXTS.parents[2] / "tools" / "learn-gate")
    loader = importlib.machinery.SourceFileLoader("learn_gate", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("learn_gate", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", tables.LANGUAGES)
def test_what_it_was_taught_it_tells_apart(language: str) -> None:
    texts = read(f"gate/{language}.json")
    missed = [text["text"] for text in texts if text["sensitive"] and not frozen(text["text"])]
    caught = [text["text"] for text in texts if not text["sensitive"] and is_likely_sensitive(text["text"])]
    assert len(missed) <= 0.03 * len(texts), missed
    assert len(caught) <= 0.01 * len(texts), caught


def test_of_texts_that_it_was_not_taught_most_are_told_apart() -> None:
    texts = read("shops.json")
    sensitive = [is_likely_sensitive(text["text"]) for text in texts if text["sensitive"]]
    others = [is_likely_sensitive(text["text"]) for text in texts if not text["sensitive"]]
    assert sum(sensitive) >= 0.8 * len(sensitive)
    assert sum(others) <= 0.05 * len(others)


def test_a_text_that_no_sign_is_known_of_is_left_alone_and_says_so() -> None:
    assert by_signs(ROUNDABOUT) is None
    done = vary(ROUNDABOUT, EVERYTHING, seed="1")
    assert (done.text, done.unchanged_because) == (ROUNDABOUT, Unchanged.LIKELY)


def test_signs_go_first_and_name_the_kind() -> None:
    assert sensitivity(f"Your OTP is 482913. {ROUNDABOUT}") == Sensitivity(Unchanged.ONE_TIME_CODE, frozen=True)


def test_a_sensitive_sentence_is_found_in_a_long_harmless_text() -> None:
    long = " ".join([HARMLESS] * 12)
    assert not is_likely_sensitive(long)
    assert is_likely_sensitive(f"{long} {PASSAGE} {long}")


@pytest.mark.parametrize("text", ["", "...", "🎉", "\ud800", "\x00"])
def test_a_text_without_words_is_not_sensitive(text: str) -> None:
    assert not is_likely_sensitive(text)


def test_spelling_makes_no_difference_where_signs_see_none() -> None:
    assert places(windows("¡Señor, dé más!")[0]) == places(windows("senor de mas")[0])
    assert places(windows("room 12")[0]) == places(windows("ROOM 7")[0])


def test_a_word_of_any_length_has_few_pieces() -> None:
    assert len(places(["x" * 65_536])) < 100


def test_the_weights_are_those_of_the_texts() -> None:
    table = tables.read("likely")
    assert len(likely._model().weights) == SIZE
    assert table["made_from"] == trainer().digest(), "texts or trainer have changed: run tools/learn-gate"
