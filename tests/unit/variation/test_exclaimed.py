"""A text that begins with its matter may begin with a greeting."""

import pytest

from chatwren.variation import Modifications, spintax, vary

EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
GREETINGS = ("Hi!", "Hello!", "¡Hola!", "Oi!", "Olá!", "Namaste!", "नमस्ते!", "नमस्कार!")


def greeted(text: str) -> bool:
    drawn = [vary(text, EVERYTHING, seed=str(seed)).text for seed in range(30)]
    return any(one.startswith(GREETINGS) for one in drawn)


@pytest.mark.parametrize(
    "text",
    [
        "Your laundry is ready. Open until 8 tonight.",
        "Su pedido #4471 fue entregado. Gracias por su compra.",
        "O seu pedido #4471 foi entregue. Obrigado pela preferência.",
        "Aapka order confirm hai ji. Total 560.",
        "आपका पार्सल आज कूरियर कर दिया है।",
        "The free eye test camp is this Saturday from 9 to 1.",
        "La cancha está reservada para el jueves a las 20.",
    ],
)
def test_who_begins_with_the_order_may_greet(text: str) -> None:
    assert greeted(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hi Tom, your laundry is ready.",
        "A cat was found.",
        "the laundry is ready.",
        "Your parcel could not be delivered today.",
        "Your order is delayed by two days.",
        "Your rent is overdue. Pay today.",
        "Your child was absent today.\nRegards, Class teacher",
        "Did you like it? Your laundry is ready.",
        "Is your laundry ready?",
        "🧺 Your laundry is ready.",
        "Your laundry is ready, Tom. Welcome to our new shop.",
        "Your laundry is ready. " * 20,
    ],
)
def test_who_greets_or_has_no_good_news_or_keeps_a_distance_does_not(text: str) -> None:
    assert not greeted(text)


def test_it_stands_in_the_spintax() -> None:
    made = spintax("Your laundry is ready. Open until 8 tonight.", Modifications(use_synonyms=True))
    assert made is not None
    assert "|Hi! Your laundry is ready|" in made


def test_what_is_named_as_changed_is_in_the_text() -> None:
    """Of a blank line at the end there is no sentence that a greeting could stand in."""
    made = vary("Aapka order kal tak pahunch jayega. \n", EVERYTHING, seed="1")
    assert all(made.text.startswith(change.after) for change in made.changes)
