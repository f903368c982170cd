from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.people import (
    parse_email,
    parse_name,
    parse_password,
    parse_phone,
    parse_username,
    username_key,
)

PARSERS = [parse_name, parse_username, parse_email, parse_password, parse_phone]


@pytest.mark.parametrize(
    ("parse", "value", "result"),
    [
        (parse_name, " John Doe ", "John Doe"),
        (parse_name, "Null", "Null"),
        (parse_name, "शर्मा एण्ड सन्स", "शर्मा एण्ड सन्स"),
        (parse_name, "क्‍ष", "क्‍ष"),  # with a zero-width joiner, which Indian scripts need
        (parse_name, "x" * 200, "x" * 200),
        (parse_username, " johndoe\u00a0", "johndoe"),
        (parse_username, "alice@example.com", "alice@example.com"),
        (parse_username, "Élodie 2", "Élodie 2"),
        (parse_username, "x" * 64, "x" * 64),
        (parse_email, " alice@example.com ", "alice@example.com"),
        (parse_email, "a.b+c@mail.example.co.in", "a.b+c@mail.example.co.in"),
        (parse_email, "o'neil@exämple.de", "o'neil@exämple.de"),
        (parse_email, "[email protected]", "[email protected]"),
        (parse_email, "[email\u00a0protected]", "[email\u00a0protected]"),
        (parse_email, "a@" + "b" * 249 + ".in", "a@" + "b" * 249 + ".in"),
        (parse_password, "securePassword123", "securePassword123"),
        (parse_password, "  8 chars", "  8 chars"),
        (parse_password, "पासवर्ड१२३", "पासवर्ड१२३"),
        (parse_password, "x" * 256, "x" * 256),
        (parse_phone, "+1234567890", "+1234567890"),
        (parse_phone, "00 91 98765-43210", "+919876543210"),
        (parse_phone, 919876543210, "+919876543210"),
    ],
)
def test_accepted(parse: Callable[[object], str], value: object, result: str) -> None:
    assert parse(value) == result


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (parse_name, "x" * 201),
        (parse_name, "John\nDoe"),
        (parse_name, "John\u2028Doe"),
        (parse_name, "\u00a0"),
        (parse_username, "x" * 65),
        (parse_username, "john\u200bdoe"),
        (parse_username, "\u202ejohn"),
        (parse_username, "\x7f"),
        (parse_username, "\ue000"),
        (parse_email, "alice"),
        (parse_email, "alice@localhost"),
        (parse_email, "alice@@example.com"),
        (parse_email, "alice@example..com"),
        (parse_email, "alice@.com"),
        (parse_email, "@example.com"),
        (parse_email, "al ice@example.com"),
        (parse_email, "Alice <alice@example.com>"),
        (parse_email, "alice@example.com, bob@example.com"),
        (parse_email, "alice@example.com\nBcc: bob@example.com"),
        (parse_email, "[email  protected]"),
        (parse_email, "email protected"),
        (parse_email, "a@" + "b" * 250 + ".in"),
        (parse_password, "1234567"),
        (parse_password, "x" * 257),
        (parse_password, "1234567\0"),
        (parse_password, 12345678),
        (parse_phone, "120363012345678901@g.us"),
        (parse_phone, "9876543210"),
        (parse_phone, "51991234567"),
        (parse_phone, "187654321098765@lid"),
        (parse_phone, "call me"),
    ],
)
def test_refused(parse: Callable[[object], str], value: object) -> None:
    with pytest.raises(Invalid):
        parse(value)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "value", [None, "", True, [], {}, b"alice@example.com", "a@example.com\ud800", "a@b.example\0"]
)
def test_what_no_field_takes_is_refused_by_name(parse: Callable[..., str], value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse(value, field="theField")
    assert [error.field for error in refused.value.fields] == ["theField"]


def test_a_password_is_never_echoed() -> None:
    for password in ("hunter2", "hunter2" * 50, "hunter2\0hunter2"):
        with pytest.raises(Invalid) as refused:
            parse_password(password)
        assert "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("JohnDoe", "johndoe"),
        (" johndoe ", "johndoe"),
        ("STRASSE", "straße"),
        ("ｊｏｈｎ", "john"),
        ("E\u0301lodie", "élodie"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_user_names_that_are_the_same(one: str, other: str) -> None:
    assert username_key(one) == username_key(other)


@pytest.mark.parametrize(("one", "other"), [("john", "johnn"), ("josé", "jose"), ("john doe", "johndoe")])
def test_user_names_that_differ(one: str, other: str) -> None:
    assert username_key(one) != username_key(other)


@given(st.text(st.characters()))
def test_a_key_is_its_own_key(name: str) -> None:
    assert username_key(username_key(name)) == username_key(name)


@given(
    st.sampled_from(PARSERS),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.lists(st.text()),
)
def test_nothing_but_a_text_or_our_error(parse: Callable[[object], str], value: object) -> None:
    try:
        result = parse(value)
    except ChatwrenError:
        return
    assert parse(result) == result
