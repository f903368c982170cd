"""Texts as shops write them: emojis, bullets and labels before lines, numbers after their nouns, names in bold."""

import pytest
from tests.unit.variation.conftest import Plant

from chatwren.variation import Modifications, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
SYNONYMS = Modifications(use_synonyms=True)
EMOJIS = Modifications(add_emojis=True)
SHUFFLE = Modifications(shuffle_sentences=True)
SEEDS = [str(number) for number in range(25)]


def rules(text: str) -> set[str]:
    return {change.rule for seed in SEEDS for change in vary(text, SYNONYMS, seed=seed).changes}


def wordings(text: str, modifications: Modifications = SYNONYMS) -> set[str]:
    return {vary(text, modifications, seed=seed).text for seed in SEEDS}


@pytest.mark.parametrize(
    "before",
    [
        "🎉 ",
        "🎉",
        "▸ ",
        "• ",
        "- ",
        "* ",
        "1) ",
        "Update: ",
        "*Update* ",
        "*Update:* ",
        "Blue Bakery - ",
        "Blue | ",
        "Hi! 😊 ",
    ],
)
def test_a_sentence_begins_after_an_emoji_a_bullet_and_a_label(before: str) -> None:
    assert "en/thank-you-for" in rules(f"{before}Thank you for coming to the shop.")
    assert "en/on-its-way" in rules(f"{before}Your parcel is on its way.")


@pytest.mark.parametrize("text", ["We saw Thank you for a while.", "For sale: in May Thank you for coming."])
def test_a_capital_elsewhere_is_a_name(text: str) -> None:
    assert "en/thank-you-for" not in rules(text)


def test_a_sentence_ends_before_an_emoji_and_a_line_may_begin_with_one() -> None:
    assert "en/thank-you-alone" in rules("See you on Monday. Thank you! 🎈")
    assert "en/hi" in rules("👋 Hi Bob, the shop is open.")


@pytest.mark.parametrize("name", ["*Ramesh*", "_Ramesh_", "RAMESH", "*Ramesh Kumar* ji", "Mr. *Kumar*"])
def test_a_name_may_be_in_bold_or_in_capitals(name: str) -> None:
    found = wordings(f"Hi {name}, the shop is open.")
    casual = set() if name.startswith("Mr.") else {f"Hi there {name}, the shop is open."}
    assert found == {f"Hello {name}, the shop is open."} | casual


@pytest.mark.parametrize(
    "number",
    [
        "#4821",
        "4821",
        "no. 4821",
        "No 4821",
        "nº 4821",
        "number 4821",
        "(#4821)",
        "ORD-4821",
        "{{id}}",
        "*#4821*",
        "9876543210",
    ],
)
def test_a_number_may_stand_after_its_noun(plant: Plant, number: str) -> None:
    plant(("your order #? is in the shop", "the shop has your order #"))
    fields = {"id": "4821"}
    text = f"Good to know: your order {number} is in the shop."
    assert {vary(text, SYNONYMS, seed=seed, fields=fields).text for seed in SEEDS} == {
        f"Good to know: the shop has your order {number.replace('{{id}}', '4821')}."
    }
    assert wordings(text.replace(f" {number}", "")) == {"Good to know: the shop has your order."}


@pytest.mark.parametrize("between", ["#4821 and #4822", "no", "on Monday", "4821, 4822", "at 5 pm"])
def test_nothing_else_may(plant: Plant, between: str) -> None:
    plant(("your order #? is in the shop", "the shop has your order #"))
    text = f"Good to know: your order {between} is in the shop."
    assert wordings(text) == {text}


def test_what_a_number_is_called_denies_nothing_and_another_no_does(plant: Plant) -> None:
    plant(("your order #? is in the shop", "the shop has your order #"), even_in=())
    text = "Your order no. 4821 is in the shop, with no box."
    assert wordings(text.replace(", with no box", "")) == {"The shop has your order no. 4821."}
    assert wordings(text) == {text}


@pytest.mark.parametrize(
    ("find", "say"), [("order #? is here", "order is here"), ("order #? is here", "# order # is here")]
)
def test_a_number_is_said_again_once(plant: Plant, find: str, say: str) -> None:
    with pytest.raises(ValueError, match=r"find has #\?, and say must have it, once"):
        plant((find, say))


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("Free parking behind the house\nWe accept cards", {"We accept cards\nFree parking behind the house"}),
        ("🚗 Free parking for you\n💳 We accept cards", {"💳 We accept cards\n🚗 Free parking for you"}),
        ("- Free parking for you.\n- We accept cards.", {"- We accept cards.\n- Free parking for you."}),
        ("▸ Free parking for you! 🚗\n▸ We accept cards! 💳", {"▸ We accept cards! 💳\n▸ Free parking for you! 🚗"}),
        (
            "Hi Bob!\nFree parking for you.\nWe accept cards.\nThank you!",
            {"Hi Bob!\nWe accept cards.\nFree parking for you.\nThank you!"},
        ),
        ("We accept cards. 💳 Free parking for you. 🚗", {"Free parking for you. 🚗 We accept cards. 💳"}),
    ],
)
def test_lines_that_stand_alone_change_places_with_their_bullets(text: str, others: set[str]) -> None:
    assert wordings(text, SHUFFLE) == others


@pytest.mark.parametrize(
    "text",
    [
        "Free parking for you.\n\nWe accept cards.",
        "1. Free parking for you.\n2. We accept cards.",
        "Free parking for you.\nWe accept cards.\nBut not Amex.",
        "Parking: free parking for you.\nPay: we accept cards.",
        "We deliver in Leeds\nfree delivery for all",
        "We accept cards. Free parking for you",  # without its stop, the last cannot stand first
    ],
)
def test_other_lines_stay(text: str) -> None:
    assert wordings(text, SHUFFLE) == {text}


def test_lines_of_one_sentence_do_not_change_places_with_sentences_of_a_line() -> None:
    text = "Free parking for you. We accept cards.\nFollow us on Instagram.\nWe are open daily from 9 to 6."
    assert wordings(text, SHUFFLE) == {
        text.replace("Free parking for you. We accept cards.", first).replace(
            "Follow us on Instagram.\nWe are open daily from 9 to 6.", then
        )
        for first in ("Free parking for you. We accept cards.", "We accept cards. Free parking for you.")
        for then in (
            "Follow us on Instagram.\nWe are open daily from 9 to 6.",
            "We are open daily from 9 to 6.\nFollow us on Instagram.",
        )
    } - {text}


def test_no_emoji_beside_one_of_several_labels() -> None:
    text = "Hola, este es un aviso para el cliente.\nCita: tienes cita el lunes\nLugar: la casa de Bob"
    assert wordings(text, EMOJIS) == {text}
    assert wordings(text.replace("Lugar: ", ""), EMOJIS) != {text.replace("Lugar: ", "")}
