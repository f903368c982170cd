"""The edges of each rule of the wording: where it just applies, and where it just does not."""

import pytest

from chatwren.variation import Modifications, Unchanged, vary
from chatwren.variation.draw import draw
from chatwren.variation.language import languages
from chatwren.variation.sensitivity import sensitivity
from chatwren.variation.sentences import split

pytestmark = pytest.mark.usefixtures("phrases_alone")
SYNONYMS = Modifications(use_synonyms=True)
EMOJIS = Modifications(add_emojis=True)
SHUFFLE = Modifications(shuffle_sentences=True)
SEEDS = [str(number) for number in range(30)]


def wordings(text: str, modifications: Modifications) -> set[str]:
    return {vary(text, modifications, seed=seed).text for seed in SEEDS}


def test_two_sentences_that_stand_alone_change_places_with_their_facts() -> None:
    assert wordings("We are open daily from 9 to 6. Call us on 0113 496 0000.", SHUFFLE) == {
        "Call us on 0113 496 0000. We are open daily from 9 to 6."
    }


@pytest.mark.parametrize(
    "text",
    [
        "Follow us on Instagram. Your table is free at 8 pm. Free parking behind the house.",
        "Follow us on Instagram.\n\nFree parking behind the house.",
        "Hi Tom, follow us on Instagram. Free parking behind the house.",
    ],
    ids=["another between", "a blank line between", "after a greeting"],
)
def test_others_keep_their_places(text: str) -> None:
    assert wordings(text, SHUFFLE) == {text}


def test_of_a_payment_reminder_nothing_moves() -> None:
    text = "Hi Bob, the invoice of $20 is due on 3 May. Follow us on Instagram. Free parking behind the house."
    assert vary(text, SHUFFLE, seed="1").unchanged_because == Unchanged.PAYMENT_REMINDER
    assert wordings(text, SHUFFLE) == {text}


@pytest.mark.parametrize(
    "text",
    [
        "Dear Sir or Madam, your parcel is on its way. Yours faithfully, Bob",
        "Your parcel is on its way: https://x.example/a",
        "Your parcel is on its way to bob@x.example",
        "- Your parcel is on its way",
    ],
    ids=["formal", "link", "address", "list"],
)
def test_where_no_emoji_stands(text: str) -> None:
    assert wordings(text, EMOJIS) == {text}
    assert wordings("Your parcel is on its way", EMOJIS) != {"Your parcel is on its way"}


@pytest.mark.parametrize("quoted", ['"please contact us"', "“please contact us”", "«please contact us»"])
def test_what_somebody_said_is_kept_within_a_sentence(quoted: str) -> None:
    text = f"Hi all, my friend said {quoted} and left."
    found = wordings(text, SYNONYMS)
    assert found != {text}
    assert all(quoted in one for one in found)


def test_a_value_is_put_in_as_it_is() -> None:
    for seed in SEEDS:
        varied = vary("Hi {{name}}, thank you for shopping with us!", SYNONYMS, seed=seed, fields={"name": " Bob "})
        assert "  Bob , " in varied.text
        assert varied.changes


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Please call us. My phone is on.", "phone"),  # a wording would repeat a word of the text
        ("This is to inform you that we are closed. Just let us know.", "please"),  # two would repeat each other
    ],
)
def test_no_long_word_is_said_twice(text: str, word: str) -> None:
    found = wordings(text, SYNONYMS)
    assert max(one.lower().count(word) for one in found) == 1


def test_a_few_words_of_hinglish_are_names_in_a_long_english_text() -> None:
    english = "we would like to see all of you there with your friends and your families on Friday in our new office"
    assert languages(f"Dear all, the Chai aur Code evening for sab dost takes place again, and {english}") == ("en",)
    assert languages("Sharma ji aur sab dost, the party hai kal") == ("hinglish",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Hola Ana, pon la crema cada 8 horas.", Unchanged.MEDICAL), ("Su cuenta lleva 30 días así.", Unchanged.DEMAND)],
)
def test_a_figure_in_a_sign_may_be_any(text: str, reason: Unchanged) -> None:
    found = sensitivity(text)
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize(
    "sentences",
    [
        ("It takes approx. Two hours.", "Come by."),
        ("Mr. J. Smith of Example Ltd. Bombay is here.", "Hello!"),
        ("Is it 5 p.m. already?", "Yes… it is.", "Go!"),
        ("1. Open the app.", "Then tap Register."),
    ],
)
def test_an_abbreviation_or_a_number_in_a_list_ends_no_sentence(sentences: tuple[str, ...]) -> None:
    text = " ".join(sentences)
    assert tuple(text[one.start : one.end] for one in split(text)) == sentences


def test_the_parts_of_a_seed_have_boundaries() -> None:
    assert draw(1 << 64, "ab", "c") != draw(1 << 64, "a", "bc")


def test_a_name_ends_with_its_sentence() -> None:
    assert any("Hello Bob. Please" in one for one in wordings("Hi Bob. Please call us on 0113 496 0000.", SYNONYMS))
    assert all("Dr. Rossi" in one for one in wordings("Hi Dr. Rossi, please call us on 0113 496 0000.", SYNONYMS))


def test_a_day_within_a_word_is_none() -> None:
    assert any("निकल चुका है" in one for one in wordings("जी, आपका पार्सल निकल गया है।", SYNONYMS))
