import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.number_plans import country_of, has_trunk_zero
from chatwren.domain.recipients import Recipient, doubt, parse_recipient, spellings


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
        ("1234567890", "1234567890"),
        ("919876543210.0", "919876543210"),
        ("+91 98765 43210.0 ", "919876543210"),
        ("+٩١٩٨٧٦٥٤٣٢١٠．０", "919876543210"),
        ("919876543210.0@c.us", "919876543210"),
        ("+33 6.12.34.56.78", "33612345678"),
        ("+41.79.123.45.67", "41791234567"),
        ("+44 07911 123456", "447911123456"),
        ("0044 07911 123456", "447911123456"),
        ("4407911123456", "447911123456"),
        ("+36 06 20 123 4567", "36201234567"),
        ("+39 06 1234 5678", "390612345678"),
        ("+225 07 07 12 34 56", "2250707123456"),
        ("+241 07 41 23 45", "24107412345"),
        ("+52 1 55 1234 5678", "5215512345678"),
        (919876543210, "919876543210"),
        (919876543210.0, "919876543210"),
        ("+1234567", "1234567"),
        ("+123456789012345", "123456789012345"),
        ("919876543210@c.us", "919876543210"),
        (" 919876543210@S.WhatsApp.net ", "919876543210"),
        ("919876543210:12@s.whatsapp.net", "919876543210"),
        ("+919876500007@c.us", "919876500007"),
        ("+91 98765-00007@S.WHATSAPP.NET", "919876500007"),
        ("tel:+91-98765-43210", "919876543210"),
        ("tel:%2B91%2098765%2043210", "919876543210"),
        ("TEL:919876543210", "919876543210"),
        ("whatsapp:+14155238886", "14155238886"),
        ("'919876543210", "919876543210"),
        ("'+91 98765 43210'", "919876543210"),
        ('="919876543210"', "919876543210"),
        ('"+91 98765-43210"', "919876543210"),
        ("p:+919876543210", "919876543210"),
        ("https://wa.me/919876543210", "919876543210"),
        ("http://www.WA.me/+919876543210/", "919876543210"),
        ("wa.me/%2B919876543210?text=Hello%20there,%20you", "919876543210"),
        (f"https://wa.me/919876543210?text={'x' * 1000}", "919876543210"),
        ("https://wa.me/51991234567", "51991234567"),
        ("https://api.whatsapp.com/send?phone=919876543210&text=Hi", "919876543210"),
        ("https://web.whatsapp.com/send/?text=Hi&phone=%2B919876543210", "919876543210"),
        ("whatsapp://send?phone=+919876543210", "919876543210"),
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
        "123456789012345678901@lid", "1@2@g.us", "++919876543210@c.us", "919876543210,919876543211", "9" * 10_000,
        f"{' ' * 60}919876543210",
        True, False, -919876543210, pytest.param(10**5_000, id="5,001 digits"),
        91.5, float("nan"), float("inf"), 1e300, [], {}, b"919876543210",
        "919876543210.5", "919876543210.00", "+91 98765 43210.25", "+91.98765.43210.0", "919.876.543.210.50",
        "919876543210.000", "+919876543210.000", "9876543210.0000",
        "919876543210/0", "+919876543210/11", "+91 98765 43210 / 2", "9.1987654321e+11", "9,19877E+11",
        '="', '""', "=", "''", "'", "=919876543210", '="919876543210"&"0"', "p:", "ap:+919876543210",
        "tel:", "tel:+91", "whatsapp:", "https://wa.me/", "https://wa.me/message/ABCDEFGH", "https://wa.me/qr/1234567",
        "https://chat.whatsapp.com/919876543210", "https://example.com/919876543210", "tel:+14155552671;ext=5",
        "https://wa.me/?text=919876543210", f"https://wa.me/919876543210?text={'x' * 5000}", "wa.me/919876543210/1",
        "9876543210", "2226543210", "51991234567", " 9876543210", "1234567",
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
        ("9876543210.0", "IN", "+919876543210"),
        ("tel:9876543210", "IN", "+919876543210"),
        ("9876543210@c.us", "IN", "+919876543210"),
        ("https://wa.me/9876543210", "IN", "+919876543210"),
        ("1234567890", "IN", "+911234567890"),
        ("07911 123456", "GB", "+447911123456"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("011 44 7911 123456", "US", "+447911123456"),
        ("0011 44 7911 123456", "AU", "+447911123456"),
        ("8 912 345-67-89", "RU", "+79123456789"),
        ("11 96123 4567", "BR", "+5511961234567"),
        ("051 99123-4567", "BR", "+5551991234567"),  # 51 is Peru, 051 is nowhere
        ("1701234567", "DE", "+491701234567"),  # a spreadsheet has eaten its zero
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


AMBIGUOUS = [
    ("(51) 99123-4567", "BR", ["+5551991234567", "+51991234567"]),
    ("51991234567.0", "BR", ["+5551991234567", "+51991234567"]),
    (51991234567, "BR", ["+5551991234567", "+51991234567"]),
    ("whatsapp:51991234567", "BR", ["+5551991234567", "+51991234567"]),
    ("6591234567", "IN", ["+916591234567", "+6591234567"]),
    ("919876543210", "DE", ["+49919876543210", "+919876543210"]),
]


@pytest.mark.parametrize(("written", "country", "suggestions"), AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_with_both(
    written: object, country: str, suggestions: list[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        parse_recipient(written, country=lambda: country)
    assert (refused.value.code, refused.value.extra) == ("ambiguous_number", {"suggestions": suggestions})
    for reading, meant in zip(("national", "international"), suggestions, strict=True):
        assert meant in refused.value.message
        assert parse_recipient(meant, country=lambda: country).display == meant
        assert parse_recipient(written, country=lambda: country, reading=reading).display == meant  # type: ignore[arg-type]


def test_where_a_list_writes_them_as_at_home_the_rest_is_read_as_it_can_be() -> None:
    def national(written: str) -> str:
        return parse_recipient(written, country=lambda: "IN", reading="national").display

    assert national("9876543210") == national("919876543210") == national("+919876543210") == "+919876543210"
    assert national("+9876543210") == "+9876543210"
    assert national("447911123456") == "+447911123456"
    for neither in ("1234567", "99999999999"):
        with pytest.raises(Invalid):
            national(neither)
    with pytest.raises(Invalid) as refused:
        parse_recipient("9876543210", country=lambda: "IN", reading="international")
    assert refused.value.extra == {"suggestion": "+919876543210"}


def test_where_no_country_is_known_it_may_be_any() -> None:
    with pytest.raises(Invalid) as refused:
        parse_recipient("51991234567")
    assert refused.value.code == "ambiguous_number"
    assert refused.value.extra == {"suggestions": ["+51991234567", "+5551991234567"]}
    with pytest.raises(Invalid) as refused:
        parse_recipient("9876543210")
    assert "+919876543210" in refused.value.extra["suggestions"]  # type: ignore[operator]
    with pytest.raises(Invalid) as refused:
        parse_recipient("9998887")
    assert refused.value.extra == {}


@pytest.mark.parametrize(
    ("written", "country", "digits"),
    [
        ("+9876543210", "IN", "9876543210"),  # with its plus it is what it says
        ("+1234567890", "IN", "1234567890"),
        ("919876543210", "IN", "919876543210"),
        ("6591234567@c.us", "IN", "6591234567"),
        ("https://wa.me/6591234567", "IN", "6591234567"),
        ("4917012345678", "DE", "4917012345678"),  # no land line of which the zero was left out
        ("14155552671", "IN", "14155552671"),
        ("1234567890", "US", "1234567890"),
        ("9876543210", "XX", "9876543210"),
    ],
)
def test_what_is_international_is_not_doubted(written: object, country: str, digits: str) -> None:
    assert parse_recipient(written, country=lambda: country) == Recipient("phone", digits)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("+919876543210", None),
        ("+1234567890", None),  # the document's own sample
        ("+5215512345678", None),
        ("120363012345678901@g.us", None),
        ("187654321098765@lid", None),
        ("+9112345", "is in no country's number plan. Check it"),
        ("+9876543210", "is in no country's number plan. Check it"),
        ("+999123456789", "is in no country's number plan. Check it"),
        ("+789123456789", "Did you mean +79123456789?"),
    ],
)
def test_what_is_in_no_plan_goes_with_a_word(written: str, told: str | None) -> None:
    found = doubt(parse_recipient(written))
    assert found is None if told is None else told in (found or "")


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
    try:
        parsed = parse_recipient(f"+{digits}", country=lambda: "IN")
    except Invalid:  # +4300000 has too few without its zeros
        assert has_trunk_zero(digits)
        return
    if not has_trunk_zero(digits):
        assert parsed == Recipient("phone", digits)
    for written in (f"00{digits}", f"+{digits[:2]} ({digits[2:5]}) {digits[5:]}", f"+{digits}@c.us"):
        assert parse_recipient(written, country=lambda: "IN") == parsed


@pytest.mark.parametrize(
    ("number", "others"),
    [
        ("5215512345678", {"525512345678"}),
        ("525512345678", {"5215512345678"}),
        ("5491123456789", {"541123456789"}),
        ("541123456789", {"5491123456789"}),
        ("5551991234567", {"555191234567"}),
        ("555191234567", {"5551991234567"}),
        ("551133334444", set()),  # a land line, which has no 9; the mobile number 9 3333 4444 is another's
        ("5511933334444", set()),
        ("919876543210", set()),
        ("5215512345", set()),
        ("120363012345678901@g.us", set()),
    ],
)
def test_two_spellings_by_which_whatsapp_knows_one_person(number: str, others: set[str]) -> None:
    assert spellings(number) == {number, *others}
    assert all(spellings(one) == spellings(number) for one in others)
