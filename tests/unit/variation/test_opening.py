"""A greeting before a text that has none, or none; and an emoji that fits whatever is said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.variation.conftest import unopened

from chatwren.variation import Modifications, plan, tables, vary
from chatwren.variation.spintax import spintax

HERE = Path(__file__).parent
SYNONYMS = Modifications(use_synonyms=True)
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
EMOJIS = Modifications(add_emojis=True)
SMILES = {"🙂", "😊", "☺️", "😄", "🙏"}


@pytest.fixture
def commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """No greetings that are sentences of their own."""
    monkeypatch.setattr(plan, "exclaimed", lambda *_: None)


def wordings(text: str, modifications: Modifications = SYNONYMS, **fields: str) -> set[str]:
    return {vary(text, modifications, seed=str(seed), fields=fields).text for seed in range(60)}


def opened(text: str, **fields: str) -> set[str]:
    """What a greeting makes of a text which nothing else changes."""
    found = set()
    for seed in range(80):
        variation = vary(text, SYNONYMS, seed=str(seed), fields=fields)
        if [change.rule[-8:] for change in variation.changes] == ["/opening"]:
            found.add(variation.text)
    return found


@pytest.mark.parametrize(
    ("text", "others"),
    [
        (
            "Your glasses wait at the counter.",
            {f"{one}, your glasses wait at the counter." for one in ("Hi", "Hello", "Hi there", "Hello there")},
        ),
        (
            "I saw your parcel here.",
            {f"{one}, I saw your parcel here." for one in ("Hi", "Hello", "Hi there", "Hello there")},
        ),
        (
            "your glasses wait here",
            {f"{one}, your glasses wait here" for one in ("hi", "hello", "hi there", "hello there")},
        ),
        (
            "Tomorrow the shop has a band.",
            {f"{one}, tomorrow the shop has a band." for one in ("Hi", "Hello", "Hi there", "Hello there")},
        ),
        (
            "Saturday is for stretching, as ever.",
            {f"{one}, Saturday is for stretching, as ever." for one in ("Hi", "Hello", "Hi there", "Hello there")},
        ),
        (
            "¿Nos mandas una foto de la mesa?",
            {f"{one}, ¿nos mandas una foto de la mesa?" for one in ("Hola", "Buenas", "Muy buenas", "Hola, qué tal")},
        ),
        ("O tapete azul ficou pronto ontem.", {f"{one}, o tapete azul ficou pronto ontem." for one in ("Oi", "Olá")}),
        ("टायर बदल दिए गए हैं।", {f"{one}, टायर बदल दिए गए हैं।" for one in tables.read("opening")["hi"]["say"]}),
        (
            "Humari gali mein naya mod bana hai",
            {
                f"{one}, humari gali mein naya mod bana hai"
                for one in ("Hi", "Hello", "Hello ji", "Namaste", "Namaste ji")
            },
        ),
    ],
)
@pytest.mark.usefixtures("commas")
def test_a_text_without_a_greeting_may_begin_with_one(text: str, others: set[str]) -> None:
    assert opened(text) == others
    assert text not in wordings(text)


def test_a_name_that_is_spoken_to_is_greeted_by_name() -> None:
    assert {"Hi {{name}}", "Hello {{name}}"} <= {
        text.split(", your")[0].replace("Bob", "{{name}}")
        for text in wordings("{{name}}, your glasses wait here.", name="Bob")
    }
    assert "नमस्ते रमेश जी, आपका चश्मा यहाँ रखा है।" in wordings("रमेश जी, आपका चश्मा यहाँ रखा है।")
    assert "Hello neighbours, on the 14th we have a band." in wordings("Neighbours, on the 14th we have a band.")


def test_a_name_or_a_label_at_the_beginning_is_below_the_greeting() -> None:
    assert "Hello,\nAarav did very well in fractions. The next one is on Thursday." in wordings(
        "Aarav did very well in fractions. The next one is on Thursday."
    )
    assert "Hi,\n📦 Parcel: 5521\nYour parcel was packed this morning." in wordings(
        "📦 Parcel: 5521\nYour parcel was packed this morning."
    )


@pytest.mark.parametrize(
    "text",
    [
        "Hi Bob, your glasses wait here.",
        "Good evening Mr Shah, your chairs stand here.",
        "Dear customer, your glasses wait at the counter.",
        "Yes, your glasses wait at the counter.",
        "ok, your glasses wait at the counter",
        "Thanks Bob, that helps a lot.",
        "Sorry, that shade has gone to somebody.",
        "We are sorry that your glasses have been mixed up.",
        "On our way.",
        "Plain dosa 50\nMasala dosa 70\nRava dosa 80",
        "Happy Holi to you and your family!",
        "if (user.ready()) { your.glasses = true; }",
        "Aarav, Bob and Charlie have the mats.",
        "Omar: your glasses wait at the counter.",
        "Estimado cliente, su pedido se encuentra en la tienda.",
        "Gracias Ana, ya quedó la mesa.",
        "Prezado cliente, seu tapete está na loja.",
        "Obrigado, seu tapete está na loja.",
        "ईद मुबारक, सेवइयाँ खाने आइए",
        "प्रिय ग्राहक, आपका चश्मा यहाँ रखा है।",
        "सब्ज़ी मंडी के पीछे, पीली इमारत",
        "Assalamu alaikum, aapka chashma yahan rakha hai",
        "Theek hai, kal aa jaiye aap",
        "Salam bhai, aapka chashma yahan rakha hai",
    ],
)
def test_none_before_a_greeting_an_answer_an_excuse_a_list_a_wish_or_in_formal_texts(text: str) -> None:
    rules = {change.rule for seed in range(40) for change in vary(text, SYNONYMS, seed=str(seed)).changes}
    assert not {rule for rule in rules if rule.endswith("/opening")}


def test_another_wording_of_the_first_words_is_greeted_as_well() -> None:
    found = wordings("Please call us on 0113 496 0000 for a table.")
    assert all(re.match(r"(?:Hi|Hello)(?: there)?, [a-z]", text) for text in found if text.startswith("H"))
    assert any(text.startswith("Hi, ") for text in found)
    assert len(found) > 5


@pytest.mark.usefixtures("commas")
def test_beside_words_of_a_faith_no_greeting_of_another_and_in_portugal_none_of_brazil() -> None:
    assert {text.split(",")[0] for text in opened("Aaj iftar ke liye hum khule hain")} == {"Hi", "Hello"}
    assert {text.split(",")[0] for text in opened("A sua encomenda azul ficou com o vizinho.")} == {"Olá"}


def _messages() -> list[tuple[str, str]]:
    return [
        (name, one["text"])
        for name in tables.LANGUAGES
        for one in json.loads((HERE / "gate" / f"{name}.json").read_text(encoding="utf-8"))
    ]


def test_without_the_greeting_the_text_is_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "sites", lambda *_: [])
    greeted = 0
    for name, text in _messages():
        fields = dict.fromkeys(re.findall(r"\{\{([^{}]+)\}\}", text), "Bob")
        filled = vary(text, Modifications(), seed="1", fields=fields).text
        for seed in "123":
            variation = vary(text, SYNONYMS, seed=seed, fields=fields)
            assert unopened(variation) == filled, name
            greeted += variation.text != filled
    assert greeted > 1000


@pytest.mark.usefixtures("commas")
def test_the_spintax_has_the_greetings() -> None:
    made = spintax("Your glasses wait at the counter.", SYNONYMS)
    assert made == "{Your|Hi, your|Hello, your|Hi there, your|Hello there, your} glasses wait at the counter."


def test_a_text_that_no_intent_knows_may_end_with_an_emoji_that_fits_whatever_is_said() -> None:
    found = wordings("We moved the pottery class to room 5.", EMOJIS)
    assert {text[-2:].strip() for text in found} <= SMILES | {"☺️"[-2:]}
    assert {change.rule for change in vary("We moved the pottery class to room 5.", EMOJIS, seed="1").changes} == {
        "emoji/neutral"
    }


@pytest.mark.parametrize(
    "text",
    [
        "Your son fell in dance class and the nurse is with him.",
        "The shop was closed by the police.",
        "We have a new pottery class, if enough people come.",
        "Dear customer, the pottery class has moved to room 5.",
        "Here is the menu of the new shop: shop.example/menu",
        "The pottery class has moved to room 5,",
        "Se cayó en la clase y lo llevamos a casa.",
        "दादाजी के जाने का समाचार मिला, हम आपके साथ दुकान पर हैं।",
    ],
)
def test_no_emoji_beside_what_is_sober(text: str) -> None:
    assert not SMILES & {emoji for one in wordings(text, EMOJIS) for emoji in SMILES if emoji in one}


def _outputs(text: str) -> Any:
    return [vary(text, EVERYTHING, seed=str(seed)) for seed in range(20)]


def test_no_hands_are_folded_beside_eid() -> None:
    assert not any("🙏" in one.text for one in _outputs("Eid ki dheron mubarakbaad, sewaiyan khane aana"))


def test_a_greeting_that_is_a_sentence_leaves_the_text_its_capital() -> None:
    found = opened("Your glasses wait at the counter.")
    assert {"Hi! Your glasses wait at the counter.", "Hi, your glasses wait at the counter."} <= found
    assert not any(text.startswith("Oi") for text in opened("A sua encomenda azul ficou com o vizinho."))
