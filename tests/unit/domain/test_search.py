"""What is searched for is found without its case and accents, and nothing else is."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.search import pattern_of, plain


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Mañana llegará", "manana llegara"),
        ("manana", "MAÑANA"),
        ("não", "NAO"),
        ("São Paulo", "sao p"),
        ("Jose\u0301 Ma\u0301rquez", "josé mar"),
        ("José", "Jose\u0301"),
        ("Łódź", "lodz"),
        ("Ångström", "angstrom"),
        ("İstanbul'da ılık", "istanbul'da ilik"),
        ("Việt Nam", "viet nam"),
        ("Ёлка", "елка"),
        ("Καλημέρα φίλος", "καλημερα ΦΙΛΟΣ"),
        ("STRASSE Straße", "straße"),
        ("100% (a+b)*[c] \\d $^|?{1}", "% (a+b)*[c] \\D $^|?{1}"),
        ("नमस्ते", "नमस्ते"),
        ("क़लम", "क़लम"),
        ("안녕하세요", "안녕"),
        ("がんばって", "がん"),
        ("a\u0301", "\u0301"),
        ("🙏 Danke", "🙏 dankE"),
        ("\ufa15 5 \u212b 300 \u212a", "\ufa15 5 \u212b 300 \u212a"),
        ("ＨＥＬＬＯ", "ｈｅｌｌｏ"),
    ],
)
def test_found(text: str, asked: str) -> None:
    assert re.search(pattern_of(asked), text)
    if text.isascii():
        assert plain(asked) in text.lower()


@pytest.mark.parametrize(
    ("text", "asked"),
    [("नमसते", "नमस्ते"), ("かんばって", "がん"), ("strasse", "straße"), ("abc", "a.c"), ("a", "aa"), ("안", "ㅇ")],
)
def test_not_found(text: str, asked: str) -> None:
    assert not re.search(pattern_of(asked), text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(max_size=5))
def test_a_text_finds_itself_wherever_it_stands(text: str, around: str) -> None:
    assert re.search(pattern_of(text), around + text + around)
