"""What is left alone: sensitive texts as people write them, and texts that only look so.

The texts of the first part were written before the signs, which were never mended for them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwren.variation import Modifications, Unchanged, vary
from chatwren.variation.sensitivity import Sensitivity, by_signs, sensitivity
from chatwren.variation.signs import Signs

TEXTS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sensitive.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("phrases_alone")
PLAIN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "plain.json").read_text(encoding="utf-8"))
FIRST = [text for text in TEXTS if text["part"] == "first"]
MENDED = [text for text in TEXTS if text["part"] != "first"]
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)


def frozen(text: str) -> bool:
    found = sensitivity(text)
    return found is not None and found.frozen


@pytest.mark.parametrize("text", MENDED, ids=lambda text: f"{text['kind']}-{text['lang']}")
def test_a_sensitive_text_is_left_alone_and_its_neighbour_is_not(text: dict[str, Any]) -> None:
    assert frozen(text["text"]) == text["sensitive"]


@pytest.mark.parametrize("text", PLAIN, ids=lambda text: f"{text['kind']}-{text['lang']}")
def test_a_plain_text_of_a_shop_is_left_alone_if_it_is_sensitive(text: dict[str, Any]) -> None:
    assert (sensitivity(text["text"]) is not None) == text["sensitive"]
    assert frozen(text["text"]) == text["sensitive"]


def test_of_texts_that_no_sign_was_made_for_hardly_any_is_misread() -> None:
    missed = [text["text"] for text in FIRST if text["sensitive"] and not frozen(text["text"])]
    caught = [text["text"] for text in FIRST if not text["sensitive"] and frozen(text["text"])]
    sensitive = sum(text["sensitive"] for text in FIRST)
    assert len(missed) <= 0.03 * sensitive, missed
    assert len(caught) <= 0.03 * (len(FIRST) - sensitive), caught


@pytest.mark.parametrize(
    ("text", "sober"),
    [
        ("Hi Alice, we noticed you cancelled your coffee box. Come back this week!", None),
        ("Hi all, we will be closed Mon 25 Dec. Back to normal on Wednesday.", None),
        ("Payment of 12,500 received with thanks against the invoice. Balance: nil.", None),
        ("Volvé este mes con el cupón VUELVO30 al pagar.", None),
        ("Pagamento recebido: mensalidade de novembro. Obrigado!", None),
        ("Su factura de mayo ya está en la página.", None),
        ("आपका ट्रैक्टर ठीक हो गया है। बिल 4200", None),
        ("No habrá clases el lunes por ser feriado.", None),
        ("You can cancel at any time.", None),
        ("Your parcel is delayed, sorry!", Unchanged.APOLOGY),
        ("Please pay the invoice by Friday.", Unchanged.PAYMENT_REMINDER),
    ],
)
def test_what_is_sober_and_what_only_looks_so(text: str, sober: Unchanged | None) -> None:
    assert sensitivity(text) == (sober and Sensitivity(sober, frozen=False))


def test_of_several_kinds_the_first_of_the_table_counts() -> None:
    text = "Your account is 30 days overdue, and we have your complaint. Your OTP is 482913."
    assert vary(text, EVERYTHING, seed="1").unchanged_because == Unchanged.ONE_TIME_CODE
    assert vary(text.partition(" Your OTP")[0], EVERYTHING, seed="1").unchanged_because == Unchanged.DEMAND


SIGNS = Signs(
    {"nhi": "nahi", "cant": "can not"},
    {"code": ["code", "pin code"], "login": ["log in", "acceso"]},
    [
        ("<code> + <login> & ## & not coupon", "code"),
        ("(stop|cease) … us*", "stop"),
        ("aag lagi", "fire"),
        ("lift mat (use|)", "lift"),
        ("can not", "cannot"),
        ("nahi #", "number"),
        ("no & yes", "both"),
    ],
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Your code for the login is 1234.", None),  # one word is not two
        ("CODE: 1234, to log-in", "code"),
        ("Código 1234 de acceso", None),  # another word
        ("code de ACCÈSO 12 34", "code"),
        ("the code. Hello there. You log in with 1234", None),  # not near
        ("code one two three four five six seven eight nine ten eleven twelve log in 1234", None),
        ("code one two three four five six seven eight nine ten log in 1234", "code"),
        ("code to log in: ₹1234", None),  # an amount
        ("code to log in: 12", None),
        ("coupon code to log in: 1234", None),
        ("Please stop the very loud and old machine using", "stop"),
        ("Please stop. We are using it", None),
        ("Please stop a b c d e f g using", None),
        ("cease using", "stop"),
        ("AAAG lagi", "fire"),
        ("ag lagi", "fire"),
        ("lift mat", "lift"),
        ("Can't", "cannot"),
        ("can’t", "cannot"),
        ("nhi 5", "number"),
        ("नहीं 5", None),
        ("yes\n\nno", "both"),
        ("𝗖𝗮𝗻 not", "cannot"),
        ("", None),
    ],
)
def test_a_sign_is_found_in_every_spelling_and_within_bounds(text: str, meaning: str | None) -> None:
    assert SIGNS.first(text) == meaning


def test_a_name_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="cod"):
        Signs({}, {}, [("<cod> & ##", "code")])


@pytest.mark.parametrize("word", ["no ", "the code ", "if you cancel ", "1 ", "\ufdfa", "a", "\n", "नहीं "])
def test_a_text_of_any_length_is_read(word: str) -> None:
    text = f"{word * (65_536 // len(word.encode()))}"
    assert by_signs(text) is None
    sensitivity(text)
