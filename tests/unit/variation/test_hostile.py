"""Texts written to cost: what they can become is bounded before it is made."""

import contextlib
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatwren.domain.errors import Invalid
from chatwren.domain.text import MAX_MESSAGE_BYTES
from chatwren.variation import MissingField, Modifications, Template, bounded, vary
from chatwren.variation.bounds import MAX_DEPTH, MAX_GROUPS

EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
NOTHING = Modifications()
MEGABYTE = 1_000_000
MOST = 12 * MEGABYTE
"""What one text of 65,536 bytes may take while it is worded: one character takes up to 4 bytes, a sign an object."""
N = MAX_MESSAGE_BYTES


def peak(work: Callable[[], Any]) -> int:
    """The most bytes that `work` held at a time. What it refuses is refused."""
    tracemalloc.start()
    try:
        with contextlib.suppress(Invalid):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMBS = {
    "nested": "{a|" * 10_000 + "😀" + "}" * 10_000,
    "nested, shallow enough to be read": "{a|" * 2_400 + "😀" * 10_000 + "}" * 2_400,
    "nested and wide": "{|" * 10_900 + "{|||}" * 6_500 + "}" * 10_900,
    "nested around a choice of many": "{|" * 1_600 + "{|||}" * 600 + "}" * 1_600,
    "empty choices": "{|}" * (N // 3),
    "as many choices as are read": "{|||}" * MAX_GROUPS,
    "bars": "{" + "|" * (N - 2) + "}",
    "never closed": "{" * N,
    "never closed, with bars": "{|" * (N // 2),
    "closed without bars": "{" * (N // 2) + "}" * (N // 2),
    "escaped": "\\{" * (N // 2),
    "placeholders": "{{a}}" * (N // 5),
    "half placeholders": "{{ a }" * (N // 6),
    "long names": ("{{" + "a" * 64 + " " + "a" * 64) * (N // 131),
    "links with braces": "www.a{b" * (N // 7),
    "code that never ends": "``````" + "a" * (N - 6),
    "emojis": "😀" * (N // 4),
    "marks": "e" + "\u0301" * 2_000,
    "marks, many": "e" + "\u0316\u0301" * 16_000,
    "digits": "1" * N,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_memory_is_bounded_whatever_the_text(text: str) -> None:
    assert len(text.encode()) <= N
    assert peak(lambda: vary(bounded(text), EVERYTHING, seed="1", fields={"a": "x"})) < MOST


@pytest.mark.parametrize("times", [2_000, 13_000])
@pytest.mark.parametrize("value", ["é" * 16_000, "{a|b}" * 3_000, "😀" * 16_000])
def test_long_values_are_not_put_together(times: int, value: str) -> None:
    text = "{{a}}" * times
    fields = {"a": value}
    assert peak(lambda: [vary(bounded(text), EVERYTHING, seed=str(seed), fields=fields) for seed in range(8)]) < MOST


def test_of_a_short_and_a_far_too_long_text_the_long_one_is_refused_unmade() -> None:
    template = bounded("{short|" + "{{a}}" * 2_000 + "}")
    outcomes = set()
    for seed in map(str, range(40)):
        try:
            outcomes.add(vary(template, NOTHING, seed=seed, fields={"a": "é" * 16_000}).text)
        except Invalid as error:
            outcomes.add(error.message)
    assert outcomes == {"short", "message has 32,000,000 characters; WhatsApp takes 4,096 at most."}


def nested(depth: int) -> str:
    return "{a|" * depth + "b" + "}" * depth


def test_groups_nest_to_a_depth_that_somebody_would_write() -> None:
    assert bounded(nested(MAX_DEPTH)).count == MAX_DEPTH + 1
    assert bounded("{a|b}" * MAX_GROUPS).groups == MAX_GROUPS
    assert bounded("{" * 3_000 + "}" * 3_000).depth == 0  # no groups: they hold no bar
    assert bounded("{{x|y} and {|z}").depth == 1  # of what is never closed, nothing is nested


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (nested(MAX_DEPTH + 1), "20 deep"),
        ("{" + nested(MAX_DEPTH + 1), "20 deep"),
        ("{x}" + "{y|" + nested(MAX_DEPTH) + "}", "20 deep"),
        ("{a|b}" * (MAX_GROUPS + 1), "1,000 groups"),
        ("{" * 10_001, "10,000 of the signs"),
        ("{" + "|" * 10_000, "10,000 of the signs"),
    ],
)
def test_what_nobody_would_write_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as caught:
        bounded(text)
    assert [one.field for one in caught.value.fields] == ["message"]


def test_a_template_is_worded_as_its_text() -> None:
    text = "{Hi|Hello {dear|good}} {{name}}, thank you for your order. {Bye|See you}!"
    template = bounded(text)
    for seed in map(str, range(20)):
        assert vary(template, EVERYTHING, seed=seed, fields={"name": "Bob"}) == vary(
            text, EVERYTHING, seed=seed, fields={"name": "Bob"}
        )


@given(
    st.lists(st.sampled_from(["{", "|", "}", "{a|", "|b}", "{{x}}", "\\", "`", "😀", "www.", " ", "é"]), max_size=400)
)
@settings(max_examples=150, deadline=None)
def test_every_template_is_read_in_memory_of_its_own_size(parts: list[str]) -> None:
    text = "".join(parts)

    def word() -> None:
        template = Template(text)
        for index in (0, template.count - 1):
            pieces, spins = template.resolve(index)
            assert sum(len(piece) for piece in pieces if isinstance(piece, str)) <= len(text)
            assert sum(len(spin.before) for spin in spins) <= len(text)

    assert peak(word) < 100_000 + 2_000 * len(text)


# Each of these took seconds, or the cube of its length.
SLOW = {
    "stops": "the order is " + "." * 4_000 + "x",
    "stops of several kinds": "the order is " + "!?…" * 1_300 + "x",
    "stops and closing signs": "the order is " + ".)" * 2_000 + "x",
    "a long word before many stops": "the order is " + "a" * 2_000 + " b." * 600,
    "words of one letter": "the order is " + "A. " * 1_300,
    "spaces in a gap": "mubarak janamdin" + " " * 4_000 + "x",
    "hard spaces in a gap": "please let me know if you need anything" + " \u00a0" * 2_000 + "x",
    "spaces at the end of a sentence": "thank you for your patience" + " " * 4_000 + "x",
    "spaces between stops": "thank you." + (" " * 60 + ".") * 60,
    "names": "Hi " + "Aa " * 1_300,
    "a name without an end": "Hi " + "Aa" * 2_000,
    "one wish many times": "Happy birthday! " * 250,
    "one word that no rule allows": "please not " * 370,
    "digits and signs": "the order is " + "1-" * 2_000,
    "amounts": "the order is " + "1:0" * 1_300,
    "quotes that never end": "the order is " + '"a ' * 1_300,
    "marks": "the order is e" + "\u0301" * 4_000,
    "families": "the order is " + "👩‍" * 2_000,
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_a_text_of_4096_characters_takes_no_time(text: str) -> None:
    text = text[:4096]
    assert vary(text, EVERYTHING, seed="1").text.count("\n") == text.count("\n")


@given(
    st.lists(
        st.sampled_from(
            ["please", "thank you", "Hi Tom", "order", "not", " ", "  ", ".", "…", "!", "a", "A", "1", "\n"]
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([1, 100, 700]),
)
@settings(max_examples=80, deadline=None)
def test_whatever_is_repeated_takes_no_time(parts: list[str], times: int) -> None:
    text = ("Thank you for your order. " + "".join(parts) * times)[:4096]
    try:
        varied = vary(text, EVERYTHING, seed="1")
    except MissingField:
        return
    assert re.findall(r"\d+", varied.text) == re.findall(r"\d+", text)
