from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.text import absent, check_wire_length, parse_boolean, parse_message, wire_length


@pytest.mark.parametrize("value", ["", None, "null", "undefined"])
def test_what_forms_send_for_nothing_is_absent(value: object) -> None:
    assert absent(value)


@pytest.mark.parametrize("value", [" ", "NULL", "0", 0, False, [], {}, "none", "nil"])
def test_the_rest_is_there(value: object) -> None:
    assert not absent(value)


@pytest.mark.parametrize(
    "message",
    [
        "Hello!",
        " kept as it is ",
        "नमस्ते 👋🏽",
        "a\nb\tc",
        "x" * 65_536,
        "é" * 32_768,
        "😀" * 16_384,
        "null",
        "👨\u200d👩\u200d👧",
        "\u200fمرحبا",
    ],
)
def test_a_message_is_kept(message: str) -> None:
    assert parse_message(message) == message


def test_line_ends_of_forms_become_those_of_whatsapp() -> None:
    assert parse_message("a\r\n\r\nb\rc\n") == "a\n\nb\nc\n"


@pytest.mark.parametrize(
    "value",
    [None, "", "  \r\n\u00a0", "\u200b", "\ufeff \u2060", "\u3164\u115f", "\u2800", "\U000e0020\ufe0f",
     5, 5.5, True, ["Hi"], b"Hi", "a\0b", "a\ud83d", "\udc00",
     "x" * 65_537, "é" * 32_769, "😀" * 16_385],
)  # fmt: skip
def test_what_is_no_message_is_refused_by_name(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_message(value, field="text")
    assert [error.field for error in refused.value.fields] == ["text"]


@pytest.mark.parametrize("value", [None, "", "null", "undefined", " \n", "\u200b"])
def test_a_caption_may_be_empty(value: object) -> None:
    assert parse_message(value, may_be_empty=True) == ""


def test_a_caption_follows_the_other_rules() -> None:
    assert parse_message("Look!", may_be_empty=True) == "Look!"
    with pytest.raises(Invalid):
        parse_message(7, may_be_empty=True)


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("अ", 1), ("😀", 2), ("👋🏽", 4)])
def test_length_is_that_of_javascript(text: str, length: int) -> None:
    assert wire_length(text) == length


@pytest.mark.parametrize("text", ["x" * 4_096, "😀" * 2_048])
def test_the_longest_text_on_the_wire(text: str) -> None:
    check_wire_length(text)
    with pytest.raises(Invalid, match="4,097") as refused:
        check_wire_length(text + "y")
    assert [error.field for error in refused.value.fields] == ["message"]


@pytest.mark.parametrize("value", [True, "true", "True", " on ", "1", 1])
def test_switched_on(value: object) -> None:
    assert parse_boolean(value, field="addEmojis") is True


@pytest.mark.parametrize("value", [False, "false", "OFF", "0", 0, None, "", "null", "undefined"])
def test_switched_off(value: object) -> None:
    assert parse_boolean(value, field="addEmojis") is False


@pytest.mark.parametrize("value", ["maybe", 2, -1, 1.0, [], {}, [True], "tru"])
def test_no_switch(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_boolean(value, field="addEmojis")
    assert [error.field for error in refused.value.fields] == ["addEmojis"]


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters()) | st.lists(st.text())
)


@given(ANYTHING)
def test_nothing_but_a_message_or_our_error(value: object) -> None:
    try:
        message = parse_message(value)
    except ChatwrenError:
        return
    assert message.encode().decode() == message
    assert parse_message(message) == message


@given(ANYTHING)
def test_nothing_but_a_switch_or_our_error(value: object) -> None:
    with suppress(ChatwrenError):
        assert parse_boolean(value, field="x") in {True, False}
