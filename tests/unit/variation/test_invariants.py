"""The net below the rules: whatever a table says, a fact does not change, or the original goes out."""

import pytest
from tests.unit.variation.conftest import Plant

from chatwren.variation import Modifications, Unchanged, plan, vary
from chatwren.variation.invariants import broken
from chatwren.variation.masks import Masked

pytestmark = pytest.mark.usefixtures("phrases_alone")
SYNONYMS = Modifications(use_synonyms=True)
TEXT = (
    "Your parcel will not arrive before 5 pm today.\nIs somebody at home? Ask Alice or Charlie. Please call us on "
    "+91 98200 12345."
)
BAD = [
    ("before # #", "before (2) (1)", "facts"),
    ("your parcel", "your 2 parcels", "facts"),
    ("will not arrive", "will arrive", "negations"),
    ("will not arrive", "will never arrive", "negations"),
    ("your parcel", "not your parcel", "negations"),
    ("is somebody at home", "is somebody at home? Or at work", "questions"),
    ("your parcel", "what? Your parcel", "questions"),
    ("your parcel", "your parcel, which we packed with all the care that you know us for, " * 3, "length"),
    ("ask * or *", "ask (2) or (1)", "words"),
]


@pytest.mark.parametrize(("find", "say", "_"), BAD)
def test_what_the_check_refuses_is_not_drawn_and_not_counted(plant: Plant, find: str, say: str, _: str) -> None:
    plant()
    before = vary(TEXT, SYNONYMS, seed="1").variants_possible
    plant((find, say))
    for seed in map(str, range(12)):
        variation = vary(TEXT, SYNONYMS, seed=seed)
        assert variation.variants_possible == before
        assert variation.unchanged_because is None
        assert not any(change.rule.startswith(("en/planted", "check")) for change in variation.changes)


def test_wordings_that_are_too_long_only_together_are_left_out_one_by_one(plant: Plant) -> None:
    text = "A parcel is here. The van is red. The door is open."
    plant(
        *((one, f"{one}, {word * 8}") for one, word in (("parcel", "as we "), ("van", "in it "), ("door", "at the ")))
    )
    found = [vary(text, SYNONYMS, seed=str(seed)) for seed in range(60)]
    assert {change.rule for one in found for change in one.changes} == {"en/planted-0"}
    assert {one.variants_possible for one in found} == {1}
    assert {one.unchanged_because for one in found} == {None}


@pytest.mark.parametrize(("find", "say", "failed"), BAD)
def test_should_one_slip_through_the_original_goes_out(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, find: str, say: str, failed: str
) -> None:
    monkeypatch.setattr(plan, "_surviving", lambda _text, _languages, found: found)
    plant((find, say))
    outcomes = [vary(TEXT, SYNONYMS, seed=str(seed)) for seed in range(12)]
    refused = [one for one in outcomes if one.unchanged_because == Unchanged.CHECK_FAILED]
    assert refused, "the planted rule was never drawn"
    for one in refused:
        assert one.text == TEXT
        assert [change.rule for change in one.changes] == [f"check/{failed}"]
        assert one.variants_possible == 1
    assert not any(change.rule == "en/planted-0" for one in outcomes for change in one.changes)


@pytest.mark.parametrize(
    ("find", "say", "told"),
    [
        ("order … is here", "order is here", "…"),
        ("order … is … here", "order … is here", "…"),
        ("order is here …", "order has come", "…"),
        ("order … is here", "… order … is here", "…"),
        ("hi *", "hello", r"\*"),
        ("hi *", "hello (1) (1)", r"\*"),
        ("until #time", "till", "#time"),
        ("(with * |)is booked", "is reserved", r"\(with \* \|\)"),
    ],
)
def test_a_rule_that_drops_what_it_does_not_name_is_refused(plant: Plant, find: str, say: str, told: str) -> None:
    with pytest.raises(ValueError, match=rf"en/planted-0: find has {told}, and say must have it, once"):
        plant((find, say))


def test_what_a_gap_stood_for_is_said_again(plant: Plant) -> None:
    text = "Now the order that you gave us in May is on the shelf. Bring a bag."
    plant(("(the|your) order … is on the … shelf", "(1) order … lies on the … shelf"))
    found = {vary(text, SYNONYMS, seed=str(seed)).text for seed in range(9)}
    assert found == {"Now the order that you gave us in May lies on the shelf. Bring a bag."}


def test_of_two_subjects_none_is_lost() -> None:
    text = "Tu pedido está listo y el de tu hermana está en camino."
    found = {vary(text, SYNONYMS, seed=str(seed)).text.removeprefix("¡Hola! ") for seed in range(20)}
    assert found == {text, text.replace("está en", "va en")}


def test_a_good_rule_passes(plant: Plant) -> None:
    plant(("your parcel", "your packet"))
    outcomes = [vary(TEXT, SYNONYMS, seed=str(seed)) for seed in range(12)]
    assert any(change.rule == "en/planted-0" for one in outcomes for change in one.changes)
    assert all(one.unchanged_because != Unchanged.CHECK_FAILED for one in outcomes)


def mask(text: str) -> str:
    return Masked([text]).text


LONG = "We have packed it with care and it will be with you as soon as the driver comes by."


@pytest.mark.parametrize(
    ("before", "after", "failed"),
    [
        (mask("On 3 May and 4 June."), mask("On 3 May."), "facts"),
        ("Come.", "Come at 5.", "facts"),
        ("Do not come.", "Do come.", "negations"),
        ("Never come.", "Do not come.", "negations"),
        ("You can't come.", "You cannot come.", None),
        ("Is it ready?", "It is ready.", "questions"),
        ("It is ready.", "Is it ready?", "questions"),
        ("One.\nTwo.", "One. Two.", "lines"),
        ("One. Two.", "One.\nTwo.", "lines"),
        ("One.\n\nTwo.", "One.\nTwo.\n", "lines"),
        (LONG, LONG[:5], "length"),
        (LONG, LONG * 3, "length"),
        (LONG, LONG.replace("as soon as", "when"), None),
    ],
)
def test_each_invariant_by_itself(before: str, after: str, failed: str | None) -> None:
    assert broken(before, after, kept="") == failed


@pytest.mark.parametrize(
    ("after", "failed"),
    [
        ("The box of Bob's sister is there.", None),
        ("Bob's sister has it.", None),
        ("The parcel is here.", "words"),
        ("The sister of Bob's has it.", "words"),
    ],
)
def test_every_word_that_no_rule_names_survives_in_its_place(after: str, failed: str | None) -> None:
    assert broken("The parcel for Bob's sister is here.", after, kept="Bob's sister") == failed


def test_words_change_places_only_where_sentences_do() -> None:
    before, after = "Free parking. We accept cards.", "We accept cards. Free parking."
    assert broken(before, after, kept=before, shuffled=True) is None
    assert broken(before, after, kept=before) == "words"
    assert broken(before, "We accept cards. Free.", kept=before, shuffled=True) == "words"


def test_facts_change_places_only_where_sentences_do() -> None:
    masked = mask("Come on 3 May or call 0113 496 0000.")
    first, second = [char for char in masked if ord(char) >= 0xF0000]
    swapped = masked.translate({ord(first): second, ord(second): first})
    assert broken(masked, swapped, kept=masked, shuffled=True) is None
    assert broken(masked, swapped, kept=masked) == "facts"
