"""What is done for a text grows as it does: twice the text, at most about twice the work.

Work is counted as calls, of Python and of what is built in. What a regular expression does within one call is not seen
here: it is measured by bench/variation.py, with these same texts.
"""

import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from tests.unit.variation.pathological import BEFORE, UNITS, repeated

from chatwren.domain.errors import Invalid
from chatwren.domain.text import MAX_MESSAGE_BYTES
from chatwren.variation import Modifications, bounded, vary

EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
WHOLE = 2_000
MOST = 45  # calls for each character


def calls(text: str) -> int:
    """How many calls wording a text takes, once what it needs has been read."""
    counted = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    def word() -> None:
        with suppress(Invalid):
            vary(bounded(text), EVERYTHING, seed="1", fields={"a": "x"})

    word()
    sys.setprofile(count)
    try:
        word()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_twice_the_text_is_twice_the_work(unit: str, before: str) -> None:
    half, whole = (calls(repeated(unit, characters=length, before=before)) for length in (WHOLE // 2, WHOLE))
    assert whole < 2.2 * half + 2_000
    assert whole < MOST * WHOLE


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_the_longest_text_that_is_taken_takes_work_by_its_length(unit: str) -> None:
    text = unit * (MAX_MESSAGE_BYTES // len(unit.encode()))
    assert calls(text) < MOST * len(text)
