"""Emojis: a choice, of which none is a part; and those that the text has itself."""

import pytest

from chatwren.variation import Modifications, Unchanged, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
EMOJIS = Modifications(add_emojis=True)
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)


def wordings(text: str, modifications: Modifications = EMOJIS) -> set[str]:
    return {vary(text, modifications, seed=str(seed)).text for seed in range(60)}


def test_no_emoji_is_one_of_the_choices() -> None:
    text = "Thank you for coming! Your parcel is on its way."
    found = wordings(text, Modifications(use_synonyms=True, add_emojis=True))
    assert {emoji for emoji in "📦🚚" for one in found if emoji in one} == {"📦", "🚚"}
    assert any(one.isascii() and one != text for one in found)
    assert text not in found


def test_where_nothing_else_changes_the_text_without_an_emoji_is_its_own_and_is_not_drawn() -> None:
    text = "Your parcel is on its way."
    assert wordings(text) == {f"{text} 📦", f"{text} 🚚"}
    assert vary(text, EMOJIS, seed="1").variants_possible == 2


@pytest.mark.parametrize(
    "text",
    [
        "The shop is open for you. Many thanks for your order,\nAlice of Blue Bakery",
        "The shop is open for you. Many thanks for your order, Alice of Blue Bakery",
        "The shop is open for you. Many thanks for your order, *Blue Bakery*",
        "Your parcel is on its way:\nit comes by van",
        "Your parcel is on its way –\nit comes by van",
        "श्रीमान रमेश जी, आपका ऑर्डर हमें मिल गया है।",
        "श्रीमती शर्मा, आपका ऑर्डर हमें मिल गया है।",
        "प्रिय अभिभावक, आपका ऑर्डर हमें मिल गया है।",
        "Shrimati Sharma ji, aapka order confirm ho gaya hai.",
    ],
)
def test_none_after_a_sentence_that_goes_on_and_none_in_formal_letters(text: str) -> None:
    assert wordings(text) == {text}


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("Thank you for your order! 🙏", {"Thank you for your order!"}),
        ("Thanks, see you 🙏\nAlice", {"Thanks, see you\nAlice"}),
        ("See you soon 😊", {"See you soon 🙂", "See you soon ☺️", "See you soon"}),
        ("🎉 Come and see us", {"🥳 Come and see us", "🎊 Come and see us", "Come and see us"}),
        ("Hi Bob! ☺ Come and see us", {f"Hi Bob!{one} Come and see us" for one in (" 😊", " 🙂", "")}),
        ("Your order is confirmed ✅", {"Your order is confirmed ✔️"}),
    ],
)
def test_an_emoji_of_the_text_becomes_an_equal_one_or_none(text: str, others: set[str]) -> None:
    assert wordings(text) == others
    assert vary(text, EMOJIS, seed="1").variants_possible == len(others)
    assert {change.rule for change in vary(text, EMOJIS, seed="1").changes} == {"emoji/own"}


@pytest.mark.parametrize(
    "text",
    [
        "✅ Open daily\n✅ Free parking for you",
        "🎉 Come and see us\n📞 Call the shop",
        "📦 Order: a box for you\nThe shop has it",
        "Your order: ✅\nThe shop has it",
        "We ❤️ all of you",
        "For you 🎉🎉",
        "For you 🎉 🥳",
        "For you 🦄",
        "😊",
        "Come to the shop🎉now",
        "Dear Sir, the shop is open for you 🙏",
        "We are sorry, the shop is closed today 🙏",
        "Your OTP is 4711 🙏",
        '"See you soon 😊" is the name of the shop',
    ],
)
def test_one_that_is_a_sign_or_stands_within_a_sentence_stays(text: str) -> None:
    assert wordings(text) == {text}


def test_two_of_the_text_change_at_most() -> None:
    text = "See you 😊\nThank you 🙏\nAll the best for you 🎉"
    assert vary(text, EMOJIS, seed="1").variants_possible == 7
    assert all(one.endswith("🎉") for one in wordings(text))


def test_without_being_asked_for_emojis_stay() -> None:
    text = "Thank you for your order! 🙏"
    assert all(one.endswith(" 🙏") for one in wordings(text, Modifications(use_synonyms=True, shuffle_sentences=True)))
    assert vary(text, Modifications(shuffle_sentences=True), seed="1").unchanged_because == Unchanged.NOTHING_FITS


def test_an_emoji_between_two_sentences_becomes_a_full_stop() -> None:
    text = "Your glasses have come in today 👓 Pick them up any time."
    assert wordings(text) == {text.replace(" 👓", ".")}


@pytest.mark.parametrize(
    "text",
    [
        "Hi Ana 👋 Your glasses are in.",
        "Your 👓 Glasses are in.",
        "Come in today 👓 and pick them up.",
        "Total for all of it 👓 120",
    ],
)
def test_no_full_stop_where_no_sentence_ends(text: str) -> None:
    assert wordings(text) == {text}
