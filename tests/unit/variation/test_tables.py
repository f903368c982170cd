"""Every rule and every emoji intent, tried on the examples that stand beside it."""

import pytest

from chatwren.variation import tables
from chatwren.variation.emoji import spots
from chatwren.variation.invariants import broken
from chatwren.variation.language import is_formal
from chatwren.variation.marks import KINDS, LATER, Marks, even_in
from chatwren.variation.masks import Masked
from chatwren.variation.phrases import Hit, Text, say
from chatwren.variation.rules import Rule, rules
from chatwren.variation.sentences import split
from chatwren.variation.template import Template

RULES = [
    (language, rule, entries[rule.name.partition("/")[2]])
    for language in tables.LANGUAGES
    for entries in [tables.read(language)]
    for rule in rules(language)
]
NO_INTENTS = {"never", "own", "neutral"}
INTENTS = [
    (name, language, example)
    for name, entry in tables.read("emoji").items()
    for language, example in entry.get("yes", {}).items()
]


def _prepared(example: str) -> Text:
    return Text(Masked(Template(example).resolve(0)[0]).text)


def _marks(text: Text, language: str) -> Marks:
    return Marks(text, split(text.text), (language,), {})


def _first(rule: Rule, text: Text, language: str) -> Hit | None:
    formal = is_formal(text, language)
    marks = _marks(text, language)
    hits = (hit for phrase in rule.find for hit in phrase.hits(text) if rule.allows(hit, text, marks, formal=formal))
    return next(hits, None)


def _examples(entry: str | list[str]) -> list[str]:
    return [entry] if isinstance(entry, str) else entry


@pytest.mark.parametrize(("language", "rule", "entry"), RULES, ids=[rule.name for _, rule, _ in RULES])
def test_a_rule_applies_where_it_should_and_nowhere_else(
    language: str, rule: Rule, entry: dict[str, str | list[str]]
) -> None:
    assert entry.keys() <= {
        "find",
        "say",
        "register",
        "unless_before",
        "unless_after",
        "unless_text",
        "even_in",
        "accents",
        "yes",
        "no",
    }
    for example in _examples(entry["yes"]):
        text = _prepared(example)
        hit = _first(rule, text, language)
        assert hit is not None, f"does not apply: {example}"
        for template in rule.say:
            said = text.text[: hit.start] + say(template, hit, text) + text.text[hit.end :]
            assert said != text.text, f"{template} says the same"
            kept = " ".join((text.text[: hit.start], *hit.kept, text.text[hit.end :]))
            assert broken(text.text, said, kept=kept, languages=(language,)) is None, f"{template} changes a fact"
    for example in _examples(entry["no"]):
        assert _first(rule, _prepared(example), language) is None, f"applies: {example}"


def test_there_are_about_four_hundred_rules_in_five_languages() -> None:
    assert len(RULES) >= 400
    assert {language for language, _, _ in RULES} == set(tables.LANGUAGES)


@pytest.mark.parametrize(("name", "language", "example"), INTENTS, ids=[f"{name}-{code}" for name, code, _ in INTENTS])
def test_an_intent_is_found_in_its_example(name: str, language: str, example: str) -> None:
    text = _prepared(example)
    assert f"emoji/{name}" in {spot.rule for spot in spots(text, split(text.text), (language,), _marks(text, language))}


def test_every_intent_has_an_example_in_each_of_its_languages() -> None:
    for name, entry in tables.read("emoji").items():
        if name not in NO_INTENTS:
            assert entry["yes"].keys() == {key for key in entry if key in tables.LANGUAGES}, name


def test_what_may_stand_even_in_a_question_is_a_kind_of_mark() -> None:
    entries = [entry for _, _, entry in RULES] + [
        e for name, e in tables.read("emoji").items() if name not in NO_INTENTS
    ]
    for entry in entries:
        assert even_in(entry) <= KINDS | {LATER}, entry
    assert tables.read("languages")["marks"].keys() == KINDS
