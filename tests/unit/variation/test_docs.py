"""What docs/variation.md shows is true."""

import re
from pathlib import Path

import pytest

from chatwren.variation import Modifications, Unchanged, vary

PAGE = (Path(__file__).parents[3] / "docs" / "variation.md").read_text(encoding="utf-8")
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
EXAMPLES = ROWS[ROWS.index(["what was written", "what one recipient gets"]) + 1 :][:8]
REFUSED = [(row[0].strip("`"), row[2]) for row in ROWS if len(row) == 3 and re.fullmatch(r"`\w+`", row[0]) and row[2]]


@pytest.mark.parametrize(("written", "received"), EXAMPLES)
def test_an_example_is_one_of_the_wordings(written: str, received: str) -> None:
    assert any(vary(written, EVERYTHING, seed=str(seed)).text == received for seed in range(2000))


@pytest.mark.parametrize(("code", "text"), REFUSED)
def test_a_refused_text_is_refused_for_the_reason_given(code: str, text: str) -> None:
    assert vary(text, EVERYTHING, seed="1").unchanged_because == code


def test_every_code_is_told() -> None:
    assert all(f"`{code}`" in PAGE for code in Unchanged)
    assert len(REFUSED) >= 8
