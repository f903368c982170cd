"""The language of short texts, as shops write them; and texts in other languages, or in two, which are left alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwren.variation import tables, vary
from chatwren.variation.language import languages
from chatwren.variation.masks import Masked
from chatwren.variation.model import Modifications, Unchanged
from chatwren.variation.template import Template

HERE = Path(__file__).parent
FOREIGN: dict[str, list[str]] = json.loads((HERE / "languages" / "foreign.json").read_text(encoding="utf-8"))
ALL = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)


def _found(text: str) -> tuple[str, ...]:
    return languages(Masked(Template(text).resolve(0)[0]).text)


def _own() -> Iterator[tuple[str, str]]:
    for name in tables.LANGUAGES:
        for one in json.loads((HERE / "gate" / f"{name}.json").read_text(encoding="utf-8")):
            if not one["sensitive"]:
                yield name, one["text"]


def test_texts_of_shops_are_known_by_their_words() -> None:
    own = list(_own())
    missed = [(name, text) for name, text in own if name not in _found(text)]
    assert len(missed) <= 0.02 * len(own), missed


def test_texts_in_other_languages_and_in_two_are_left_alone() -> None:
    texts = [text for lines in FOREIGN.values() for text in lines]
    wrong = [text for text in texts if _found(text)]
    assert len(texts) >= 120
    assert len(wrong) <= 2, wrong


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_a_plain_text_of_another_language_says_why(name: str) -> None:
    text = FOREIGN[name][0]
    assert vary(text, ALL, seed="1").unchanged_because == Unchanged.LANGUAGE


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("si señor, de 5 litros hay, de 2 se termino", "es"),
        ("A aula de cerâmica de amanhã passa para a sala 5, mesma hora.", "pt"),
        ("काजू कतली ताज़ा बनी है, 900 रुपये किलो", "hi"),
        ("Purana phone wapas do, naye par 3000 kam", "hinglish"),
        ("Blocked drain? Leaky tap? Call Manoj, same day service.", "en"),
        ("Namaste Anita ji, your three blouses and the petticoat are ready.", "en"),
    ],
)
def test_a_short_text_without_common_words_is_known(text: str, language: str) -> None:
    assert _found(text) == (language,)


@pytest.mark.parametrize(
    "text",
    [
        "Je pakketje is onderweg. Your package is on its way.",
        "Grazie mille, tu pedido llega mañana por la tarde",
        "123 !",
        "Xyzzy plugh",
    ],
)
def test_two_languages_or_none_are_none(text: str) -> None:
    assert _found(text) == ()
