import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.recipients import Recipient, country_of, parse_recipient


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("+919876543210", "919876543210"),
        ("919876543210", "919876543210"),
        ("00919876543210", "919876543210"),
        ("00 91 98765 43210", "919876543210"),
        ("  +91 98765-43210\n", "919876543210"),
        ("+91\u00a098765\u00a043210", "919876543210"),
        ("\u202a+91\u2011987\u200b65 43210\u202c", "919876543210"),
        ("＋９１　９８７６５　４３２１０", "919876543210"),
        ("+९१ ९८७६५ ४३२१०", "919876543210"),
        ("(+91) 98765.43210", "919876543210"),
        ("[+49] (0)170/1234567", "491701234567"),
        ("+44 (0)7911 123456", "447911123456"),
        ("0044 ( 0 ) 7911 123456", "447911123456"),
        ("+39 (0)6 1234 5678", "390612345678"),
        ("+1 (234) 567\u221287\u201390", "12345678790"),
        ("+1234567890", "1234567890"),
        (" 1234567890", "1234567890"),
        ("1234567890", "1234567890"),
        (919876543210, "919876543210"),
        (919876543210.0, "919876543210"),
        ("+1234567", "1234567"),
        ("+123456789012345", "123456789012345"),
        ("919876543210@c.us", "919876543210"),
        (" 919876543210@S.WhatsApp.net ", "919876543210"),
        ("919876543210:12@s.whatsapp.net", "919876543210"),
    ],
)
def test_a_phone_number_in_any_spelling(written: object, digits: str) -> None:
    recipient = parse_recipient(written)
    assert recipient == Recipient("phone", digits)
    assert recipient.display == f"+{digits}"


@pytest.mark.parametrize(
    ("written", "recipient"),
    [
        ("187654321098765@lid", Recipient("lid", "187654321098765@lid")),
        ("187654321098765:3@LID", Recipient("lid", "187654321098765@lid")),
        ("120363012345678901@g.us", Recipient("group", "120363012345678901@g.us")),
        ("919876543210-1400000000@g.us", Recipient("group", "919876543210-1400000000@g.us")),
    ],
)
def test_ids_are_kept_and_shown_as_they_are(written: str, recipient: Recipient) -> None:
    assert parse_recipient(written) == recipient
    assert recipient.display == recipient.value


@pytest.mark.parametrize(
    "written",
    [
        None, "", "   ", "null", "+", "00", "00 00", "+91 98765 O3210", "Alice", "++919876543210", "91+9876543210",
        "+123456", "+1234567890123456", "0919876543210", "+0123456789", "000123456789", "120363012345678901",
        "status@broadcast", "123@newsletter", "919876543210@example.com", "@g.us", "abc@g.us", "12@c.us",
        "123456789012345678901@lid", "1@2@g.us", "+919876543210@c.us", "919876543210,919876543211", "9" * 10_000,
        f"{' ' * 60}919876543210",
        True, False, -919876543210, pytest.param(10**5_000, id="5,001 digits"),
        91.5, float("nan"), float("inf"), 1e300, [], {}, b"919876543210",
        "+91987654321\0", "+91987654\ud800321", "⑨⑨⑨⑨⑨⑨⑨⑨⑨x",
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_name(written: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_recipient(written, field="to")
    assert [error.field for error in refused.value.fields] == ["to"]


@pytest.mark.parametrize(
    ("written", "country", "suggestion"),
    [
        ("9876543210", "IN", "+919876543210"),
        ("098765 43210", "IN", "+919876543210"),
        (9876543210, "IN", "+919876543210"),
        (" 9876543210", "IN", "+919876543210"),
        ("1234567890", "IN", "+911234567890"),
        ("07911 123456", "GB", "+447911123456"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("11 96123 4567", "BR", "+5511961234567"),
    ],
)
def test_a_national_number_is_refused_with_the_international_one(
    written: object, country: str, suggestion: str
) -> None:
    with pytest.raises(Invalid) as refused:
        parse_recipient(written, country=lambda: country)
    assert refused.value.extra == {"suggestion": suggestion}
    assert suggestion in refused.value.message
    assert parse_recipient(suggestion, country=lambda: country).display == suggestion


@pytest.mark.parametrize(
    ("written", "country", "digits"),
    [
        ("+9876543210", "IN", "9876543210"),  # with its plus it is what it says
        ("+1234567890", "IN", "1234567890"),
        (" 1234567890", "IN", "1234567890"),  # the same, from an urlencoded form
        ("919876543210", "IN", "919876543210"),
        ("6591234567", "IN", "6591234567"),  # valid in Singapore, and so not doubted
        ("1234567890", "US", "1234567890"),
        ("9876543210", "XX", "9876543210"),
    ],
)
def test_what_is_international_is_not_doubted(written: object, country: str, digits: str) -> None:
    assert parse_recipient(written, country=lambda: country) == Recipient("phone", digits)


@pytest.mark.parametrize(
    ("digits", "country"),
    [
        ("919876543210", "IN"),
        ("4917012345678", "DE"),
        ("14155552671", "US"),
        ("1234567890", None),
        ("80012345678", None),  # an international freephone number
        ("9", None),
        ("", None),
        ("999999999999999", None),
    ],
)
def test_country_of(digits: str, country: str | None) -> None:
    assert country_of(digits) == country


NUMBERISH = st.text("0123456789+-() @:.lidgcusABß\u00a0\u202a０٣\ud800", max_size=30)
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.text()) | st.text()


@given(JUNK | NUMBERISH, st.none() | st.sampled_from(["IN", "US", "XX", ""]))
@example("٣" * 30, None)
def test_nothing_but_a_recipient_or_our_error(value: object, country: str | None) -> None:
    try:
        recipient = parse_recipient(value, country=lambda: country)
    except ChatwrenError:
        return
    assert parse_recipient(recipient.display, country=lambda: country) == recipient


@given(st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True))
def test_every_international_number_survives_the_usual_spellings(digits: str) -> None:
    for written in (f"+{digits}", f"00{digits}", f"+{digits[:2]} ({digits[2:5]}) {digits[5:]}", f"{digits}@c.us"):
        assert parse_recipient(written, country=lambda: "IN") == Recipient("phone", digits)
