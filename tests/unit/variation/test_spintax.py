"""The wordings of a text as spintax: the same ones, read back by the template of our own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwren.domain.errors import Invalid
from chatwren.variation import MissingField, Modifications, Template, Unchanged, bounded, spintax, vary
from chatwren.variation.pipeline import fill, planned

HERE = Path(__file__).parent
TEXTS: list[dict[str, Any]] = [
    message
    for name in ("development.json", "messages.json", "later.json")
    for message in json.loads((HERE / name).read_text(encoding="utf-8"))
]
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
FEW = 400  # wordings, all of which are compared
CLAUSES = [
    "Hi Alice,",
    "Thank you for your order.",
    "Thank you! 🙏",
    "🎉 Please contact us.",
    "Follow us on Instagram.",
    "Free parking behind the house.",
    "We accept cards.",
    "Your parcel (no. 4821) is on its way.",
    "`code {a|b}`",
    "`{{name}}`",
    "{{name}}",
    "\\{\\{x\\}\\}",
    "{one|two}",
    "a | b",
    "back\\slash",
    "www.a{b|c}",
    "*Thank you for coming*",
    "नमस्ते राम जी,",
    "आपका ऑर्डर #4821 तैयार है।",
    "Gracias por tu compra 😊",
    "\n",
    "`",
]


def wordings(text: str, fields: dict[str, str]) -> set[str] | int:
    """All wordings of a text and itself, as its plans have them; how many there are, where they are many."""
    template = bounded(text)
    found: set[str] = set()
    total = 0
    for index in range(template.count):
        pieces, _ = template.resolve(index)
        plan = planned(pieces, fill(pieces, fields), EVERYTHING)
        found.add(fill(pieces, fields))
        total += 1
        if not isinstance(plan, Unchanged):
            made, masked = plan
            total += made.possible
            for number in range(1, min(made.possible, FEW) + 1):
                found.add(masked.unmask(made.wording(number, str).text, fields))
    return found if total <= FEW else total


def read(text: str, fields: dict[str, str]) -> set[str] | int:
    """All that a spintax becomes, or how many texts."""
    template = bounded(text)
    if template.count > FEW:
        return template.count
    return {fill(template.resolve(index)[0], fields) for index in range(template.count)}


@pytest.mark.parametrize("message", TEXTS, ids=[message["id"] for message in TEXTS])
def test_it_gives_the_wordings_of_every_message_and_no_other(message: dict[str, Any]) -> None:
    text = message["text"]
    fields = dict.fromkeys(re.findall(r"\{\{(\w+)\}\}", text), "Bob")
    made = spintax(text, EVERYTHING, fields=fields)
    assert made is not None
    assert read(made, fields) == wordings(text, fields)
    assert Template(made).names == Template(text).names


@given(st.lists(st.sampled_from(CLAUSES), max_size=9), st.sampled_from([" ", "\n", "  "]))
@settings(max_examples=150, deadline=None)
def test_whatever_is_put_together_is_read_as_it_is_meant(clauses: list[str], joint: str) -> None:
    text = joint.join(clauses)
    fields = {"name": "Bob"}
    try:
        made = spintax(text, EVERYTHING, fields=fields)
    except MissingField:
        return
    if made is not None:
        assert read(made, fields) == wordings(text, fields)


def test_it_reads_as_somebody_would_write_it() -> None:
    assert spintax("Hi {{name}}, your parcel is on its way.", EVERYTHING, fields={"name": "Bob"}) == (
        "{Hi {{name}},|Hello {{name}},|Hi there {{name}},} your parcel "
        "{is on its way|is on the way|is already on its way}.{| 📦| 🚚}"
    )
    shuffle = Modifications(shuffle_sentences=True)
    assert spintax("We accept cards.\nFree parking for you.", shuffle) == (
        "{We accept cards.\nFree parking for you.|Free parking for you.\nWe accept cards.}"
    )
    assert spintax("See you {then} 😊", Modifications(add_emojis=True)) == "See you \\{then\\}{ 😊| 🙂| ☺️|}"
    assert spintax("See {you} `a|b` then 😊", Modifications(add_emojis=True)) == (
        "See \\{you\\} `a|b` then{ 😊| 🙂| ☺️|}"
    )


@pytest.mark.parametrize("text", ["Your OTP is 4711. {Bye|Ciao}!", "On the way {{name}}.", ""])
def test_of_a_text_that_is_left_alone_it_is_the_text(text: str) -> None:
    assert spintax(text, EVERYTHING, fields={"name": "Bob"}) == text


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for your order. " + "{a|b}" * 4,
        "{Hi|Hello} Bob, thank you for your order. " + "word " * 2_000,
        (
            "We accept cards of every bank in town. Free parking for all of you behind the old house. "
            "Follow us on Instagram and tell the others. We deliver in Leeds and in all towns around. Thank you! "
        )
        * 19,
        "`" + "please contact us, " * 40 + "`",
        "` {one|two} ` Thank you for your order. {one|two} `",
        "Thank you for your order. \U0010fff0",
    ],
    ids=["many branches", "long branches", "too long", "code", "code beside branches", "signs of its own"],
)
def test_what_cannot_be_said_so_is_none(text: str) -> None:
    assert vary(text, EVERYTHING, seed="1").variants_possible > 1
    assert spintax(text, EVERYTHING) is None


def test_what_vary_refuses_is_refused() -> None:
    with pytest.raises(MissingField):
        spintax("Hi {{name}}", EVERYTHING)
    with pytest.raises(Invalid, match="20 deep"):
        spintax("{a|" * 21 + "}" * 21, EVERYTHING)
