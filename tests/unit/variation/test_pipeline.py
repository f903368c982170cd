"""What a variation changes, what it leaves alone, and that its seed decides."""

import subprocess
import sys
from collections import Counter

import pytest

from chatwren.variation import TABLE_VERSION, Modifications, Unchanged, explain, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
SYNONYMS = Modifications(use_synonyms=True)
EMOJIS = Modifications(add_emojis=True)
SHUFFLE = Modifications(shuffle_sentences=True)
ORDER = "Hi Alice, thank you for shopping with us! Your order #A-17 has been confirmed. Please reply to this message."


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    texts = [vary(ORDER, EVERYTHING, seed=f"msg_{number}") for number in range(30)]
    assert [vary(ORDER, EVERYTHING, seed=variation.seed) for variation in texts] == texts
    assert len({variation.text for variation in texts}) > 15


def test_another_process_gives_the_same_text() -> None:
    code = (
        "import sys; from chatwren.variation import *; "
        "sys.stdout.buffer.write(vary(sys.argv[1], Modifications(True, True, True), seed='msg_1').text.encode())"
    )
    run = subprocess.run([sys.executable, "-c", code, ORDER], capture_output=True, check=True)
    assert run.stdout.decode() == vary(ORDER, EVERYTHING, seed="msg_1").text


def test_the_wordings_are_used_equally() -> None:
    """Chi-square over 1,000 fixed seeds, at the 0.1 % level."""
    text = "Hi Alice, your parcel is on its way. Please reply to this message."
    possible = vary(text, EVERYTHING, seed="").variants_possible
    assert possible == 53  # greeting 3, parcel 3, reply 2, emoji 3, but not the text's own
    found = Counter(vary(text, EVERYTHING, seed=f"msg_{number}").text for number in range(1000))
    assert len(found) == possible
    expected = 1000 / possible
    chi_square = sum((times - expected) ** 2 / expected for times in found.values())
    assert chi_square < 89.27  # 52 degrees of freedom


def test_the_own_wording_is_not_drawn_when_there_is_another() -> None:
    text = "A parcel is on its way."
    assert {vary(text, SYNONYMS, seed=str(number)).text for number in range(50)} == {
        "A parcel is on the way.",
        "A parcel is already on its way.",
    }


def test_changes_tell_what_was_done() -> None:
    found = (vary("A parcel is on its way.", EVERYTHING, seed=str(seed)) for seed in range(20))
    variation = next(one for one in found if one.changes[-1].rule.startswith("emoji"))
    assert [change.rule for change in variation.changes if not change.rule.startswith("emoji")] in (
        [],
        ["en/on-its-way"],
    )
    emoji = variation.changes[-1]
    assert emoji.rule == "emoji/parcel-on-its-way"
    assert emoji.after == variation.text
    assert emoji.after.startswith(emoji.before)


def test_only_what_is_allowed_happens() -> None:
    for seed in map(str, range(20)):
        rules = {change.rule.partition("/")[0] for change in vary(ORDER, SYNONYMS, seed=seed).changes}
        assert rules == {"en"}
        rules = {change.rule.partition("/")[0] for change in vary(ORDER, EMOJIS, seed=seed).changes}
        assert rules == {"emoji"}
    assert vary(ORDER, SHUFFLE, seed="1").unchanged_because == "nothing_fits"
    assert vary(ORDER, Modifications(), seed="1").unchanged_because == "nothing_asked"


def test_sentences_that_stand_alone_change_places_and_others_do_not() -> None:
    text = (
        "Your table is free at 8 pm. We are open daily from 9 to 6. Free parking behind the house. "
        "Follow us on Instagram."
    )
    found = {vary(text, SHUFFLE, seed=str(number)).text for number in range(60)}
    assert len(found) == 5
    assert all(varied.startswith("Your table is free at 8 pm. ") for varied in found)
    assert all(sorted(varied.split(". ")) != sorted(text) for varied in found)
    steps = "First, open the app. Then tap Register. Call us on 0113 496 0000."
    assert vary(steps, SHUFFLE, seed="1").text == steps


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Your OTP is 482913. Thank you for shopping with us.", Unchanged.ONE_TIME_CODE),
        ("Hi Bob, your account is 30 days overdue. Please contact us.", Unchanged.DEMAND),
        ("Hi Bob, you are hereby notified. Please contact us.", Unchanged.LEGAL),
        ("Hi Bob, please take 2 tablets of it. Please contact us.", Unchanged.MEDICAL),
        ("Hi Bob, our condolences. Please let us know if you need anything.", Unchanged.CONDOLENCE),
        ("Hi Bob, thank you for your complaint. We will contact you.", Unchanged.COMPLAINT),
        ("Bonjour Bob, merci de votre visite, et à bientôt dans notre boutique.", Unchanged.LANGUAGE),
        ("Thank you for shopping with us. " * 200, Unchanged.TOO_LONG),
        ("A taxi is here.", Unchanged.NOTHING_FITS),
        ("🎉🎉", Unchanged.NOTHING_FITS),
        ("", Unchanged.NOTHING_FITS),
        ("PLEASE VISIT US. THANK YOU!", Unchanged.NOTHING_FITS),
        ("Hi Bob, thank you for the \U000f0001.", Unchanged.LANGUAGE),
    ],
)
def test_a_text_that_is_left_alone_says_why(text: str, reason: Unchanged) -> None:
    variation = vary(text, EVERYTHING, seed="1")
    assert (variation.text, variation.changes, variation.variants_possible) == (text, (), 1)
    assert variation.unchanged_because == reason
    assert explain(reason).endswith(".")


def test_every_reason_can_be_explained() -> None:
    assert all(explain(reason) for reason in Unchanged)
    with pytest.raises(ValueError, match="bogus"):
        explain("bogus")


def test_a_sensitive_value_makes_the_text_sensitive() -> None:
    text = "Hi {{name}}, thank you for waiting: {{news}}"
    fields = {"name": "Bob", "news": "your OTP is 4711"}
    assert vary(text, EVERYTHING, seed="1", fields=fields).unchanged_because == Unchanged.ONE_TIME_CODE


def test_a_payment_reminder_gets_other_words_but_no_emoji_and_no_move() -> None:
    text = (
        "Hi Bob, the invoice of $20 is due on 3 May. If you have already paid, please ignore this message. Thank you!"
    )
    for seed in map(str, range(30)):
        variation = vary(text, EVERYTHING, seed=seed)
        assert variation.changes
        assert {change.rule.partition("/")[0] for change in variation.changes} == {"en"}
    assert vary(text, EMOJIS, seed="1").unchanged_because == Unchanged.PAYMENT_REMINDER


def test_one_emoji_in_a_short_text_two_in_a_long_one_none_beside_another() -> None:
    short = "Your parcel is on its way. Thank you!"
    assert len(vary(short, EMOJIS, seed="1").changes) == 1
    long = (
        short
        + " It was packed this morning by our own hands, and the driver knows the house with the blue door."
        + (" You can leave the empty box at the gate, as always.")
    )
    assert {len(vary(long, EMOJIS, seed=str(seed)).changes) for seed in range(20)} == {1, 2}
    assert vary(short + " 🦄", EMOJIS, seed="1").unchanged_because == Unchanged.NOTHING_FITS


@pytest.mark.parametrize(
    "kept",
    [
        '"Thank you for shopping with us!"',
        "*Thank you for shopping with us!*",
        "_please contact us_",
        "```thank you for```",
        "> Thank you for shopping with us.",
        "THANK YOU FOR SHOPPING WITH US!",
        "Thank You For Shopping",
        "https://x.example/thank-you-for?please=1",
        "Grace and Hope at Please Mart",
    ],
)
def test_quotes_formatting_code_links_and_names_are_not_touched(kept: str) -> None:
    text = f"Hello everyone!\n{kept}\nSee you at the shop."
    for seed in map(str, range(10)):
        assert kept in vary(text, SYNONYMS, seed=seed).text


def test_repeated_words_are_avoided() -> None:
    text = "If you have any questions, please contact us. Our manager will contact you. Please get in touch."
    for seed in map(str, range(40)):
        assert vary(text, SYNONYMS, seed=seed).text.count("touch") == 1


def test_the_version_of_the_tables_is_part_of_the_draw() -> None:
    assert TABLE_VERSION.startswith("1-")
