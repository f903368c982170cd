import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.gst import parse_gst


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("GST12345", "GST12345"),
        (" gst12345\n", "GST12345"),
        ("27AAPFU0939F1ZV", "27AAPFU0939F1ZV"),
        ("27aapfu0939f1zv", "27AAPFU0939F1ZV"),
        ("12345", "12345"),
        ("X" * 32, "X" * 32),
        ("7", "7"),
        ("", ""),
        (None, ""),
        ("null", ""),
        ("undefined", ""),
    ],
)
def test_a_number_is_stored_in_upper_case(value: object, stored: str) -> None:
    assert parse_gst(value) == (stored, None)


@pytest.mark.parametrize("value", ["27AAPFU0939F1ZX", "123456789012345"])
def test_a_failed_check_is_a_warning(value: str) -> None:
    stored, warning = parse_gst(value)
    assert stored == value
    assert warning is not None
    assert value in warning


@pytest.mark.parametrize(
    "value",
    ["   ", "X" * 33, "GST-12345", "GST 12345", "ГСТ", "१२३", "ß", "A\0", "\ud800", True, 1.5, [], -5, 12345],
)
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_gst(value)
    assert [error.field for error in refused.value.fields] == ["gst"]


@given(st.none() | st.integers() | st.floats() | st.text() | st.from_regex(r"[0-9]{2}[A-Z0-9]{13}", fullmatch=True))
def test_nothing_but_a_number_or_our_error(value: object) -> None:
    try:
        stored, _ = parse_gst(value)
    except ChatwrenError:
        return
    assert parse_gst(stored)[0] == stored
