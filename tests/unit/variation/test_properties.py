"""What holds for every text: generated ones and the collected messages."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.variation.conftest import unopened

from chatwren.variation import MissingField, Modifications, Variation, vary

HERE = Path(__file__).parent
MESSAGES: list[dict[str, Any]] = [
    message
    for name in ("development.json", "messages.json", "later.json")
    for message in json.loads((HERE / name).read_text(encoding="utf-8"))
]
NAMES = re.compile(r"\{\{(\w+)\}\}")
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
FACT = re.compile(r"https?://\S+|\S+@\S+|\d[\d.,:/-]*\d|\d|[₹$€£%]")

CLAUSES = [
    "Hi Alice,",
    "hello Bob!",
    "Thank you for your order.",
    "Please contact us on +91 98200 12345.",
    "We are open till 9 pm.",
    "Follow us on Instagram.",
    "Free parking behind the house.",
    "Your order #A-1 has been confirmed.",
    "Is it ready?",
    "Please do not wait.",
    "https://x.example/a?b={c|d}",
    "*Thank you for coming*",
    "₹2,499.00",
    "14/08/2025",
    "{one|two}",
    "नमस्ते राम जी,",
    "कृपया हमें कॉल करें।",
    "Aapka order kal tak pahunch jayega.",
    "Hola Ana, gracias por tu compra.",
    "¿Puedes venir?",
    "Olá Ana, obrigado pela preferência!",
    "شكراً لك",
    "👩‍👩‍👧‍👦",
    "\n",
    "\n\n- ",
    "> quoted: thank you for it\n",
    "`code {`",
    "\\{x\\|y\\}",
    "١٢٣",
    "\U000f0000",
]


def _check(before: str, variation: Variation) -> None:
    """What must hold between a text without spintax and its variation, told without the package's own masks."""
    after = unopened(variation)
    added = "".join(
        change.after.removeprefix(change.before)
        for change in variation.changes
        if change.rule.startswith("emoji/") and change.rule != "emoji/own"
    )
    facts_after = Counter(FACT.findall(after))
    assert facts_after == Counter(FACT.findall(before))
    assert before.count("?") == after.count("?")
    assert before.count("\n") == after.count("\n")
    assert len(added.split()) <= 2
    assert bool(variation.changes) == (variation.text != before)
    assert (variation.unchanged_because is not None) == (not variation.changes)


@pytest.mark.parametrize("message", MESSAGES, ids=[message["id"] for message in MESSAGES])
def test_facts_stay_in_every_message(message: dict[str, Any]) -> None:
    text = (
        re.sub(r"\{([^{}|]*)\|[^{}]*\}(?!#)", r"\1", message["text"])
        if message["category"] == "spintax"
        else message["text"]
    )
    fields = {name: f"{{{{{name}}}}}" for name in NAMES.findall(text)}
    for seed in map(str, range(6)):
        variation = vary(text, EVERYTHING, seed=seed, fields=fields)
        _check(text, variation)
        if message["sensitive"] or not message["supported"]:
            assert variation.text == text
            assert not variation.changes


@given(st.lists(st.sampled_from(CLAUSES), max_size=12), st.sampled_from([" ", "\n", "", "  "]), st.text(max_size=8))
@settings(max_examples=150, deadline=None)
def test_whatever_is_put_together_keeps_its_facts(clauses: list[str], joint: str, seed: str) -> None:
    text = vary(joint.join(clauses), Modifications(), seed=seed).text  # without its spintax
    escaped = re.sub(r"([{|}])", r"\\\1", text)
    once = vary(escaped, EVERYTHING, seed=seed)
    _check_loosely(text, once)
    twice = vary(re.sub(r"([{|}])", r"\\\1", once.text), EVERYTHING, seed=seed)
    _check_loosely(once.text, twice)


def _check_loosely(before: str, variation: Variation) -> None:
    """Code and links keep a backslash that other text loses, so only what stands outside of them is compared."""
    assert Counter(re.findall(r"\d+", before)) == Counter(re.findall(r"\d+", variation.text))
    assert before.count("\n") == unopened(variation).count("\n")
    assert before.count("?") == variation.text.count("?")


@given(st.text(max_size=300), st.text(max_size=10), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_input_raises(text: str, seed: str, synonyms: bool, emojis: bool, shuffle: bool) -> None:  # noqa: FBT001
    try:
        first = vary(text, Modifications(synonyms, emojis, shuffle), seed=seed)
    except MissingField:
        return
    assert vary(text, Modifications(synonyms, emojis, shuffle), seed=seed) == first


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "* ",
        "*a",
        "{a|b}",
        "please ",
        '"x ',
        "1.",
        "a@",
        "www.",
        "\n> ",
        "हैं ",
        "`",
        "# ",
        "( ",
        "Mr. ",
        "1 ",
        "aB1-",
    ],
)
def test_long_texts_take_no_time(unit: str) -> None:
    variation = vary(unit * (65_536 // len(unit.encode())), EVERYTHING, seed="1")
    assert variation.unchanged_because is not None
    vary((unit * 4096)[:4096], EVERYTHING, seed="1")


@pytest.mark.parametrize("text", ["1" * 5000, "1-" * 2500, "12,345." * 800, "9" * 40 + "x"])
def test_a_long_number_takes_no_time(text: str) -> None:
    """With two repetitions that match the same digits, 40 of them would take longer than anybody waits."""
    assert vary(text, EVERYTHING, seed="1").text == text
