"""What comes from outside is made storable by its type."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.storable import LATEST, MAX_ITEMS, MAX_NAME, MAX_TEXT, Text, moment, name, span, storable, text


class Kind(StrEnum):
    ONE = "one"


@dataclass(frozen=True, slots=True)
class Everything:
    name: str
    words: Text
    number: int
    flag: bool
    at: datetime
    lasts: timedelta
    raw: bytes
    kind: Kind
    perhaps: str | None
    names: tuple[str, ...]
    pairs: tuple[tuple[Text, timedelta], ...]


PLAIN = Everything(
    "a", "b", 1, True, datetime(2026, 1, 1, tzinfo=UTC), timedelta(1), b"\0", Kind.ONE, None, ("x",),
    (("y", timedelta()),),
)  # fmt: skip


def test_what_is_storable_stays_as_it_is() -> None:
    assert storable(PLAIN) == PLAIN


def test_everything_else_is_mended() -> None:
    hostile = Everything(
        "a\0" + "n" * 600,
        "\ud800" + "t" * 70_000,
        2**40,
        False,
        datetime.max.replace(tzinfo=UTC),
        timedelta.max,
        b"\0\xff",
        Kind.ONE,
        "\0",
        ("\0", "x" * 600),
        (("\udfff", timedelta(-1)),),
    )
    made = storable(hostile)
    assert made.name.startswith("a\N{REPLACEMENT CHARACTER}nnn")
    assert len(made.name.encode()) == MAX_NAME
    assert made.words == "\N{REPLACEMENT CHARACTER}" + "t" * (MAX_TEXT - 1)
    assert (made.number, made.at, made.lasts) == (2**31 - 1, LATEST, timedelta(days=366))
    assert (made.raw, made.kind, made.perhaps) == (b"\0\xff", Kind.ONE, "\N{REPLACEMENT CHARACTER}")
    assert made.names[0] == "\N{REPLACEMENT CHARACTER}"
    assert made.pairs == (("\N{REPLACEMENT CHARACTER}", timedelta()),)
    assert storable(made) == made


def test_too_many_items_are_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Names:
        names: tuple[str, ...]

    storable(Names(("x",) * MAX_ITEMS))
    with pytest.raises(ValueError, match="100,001"):
        storable(Names(("x",) * (MAX_ITEMS + 1)))


@pytest.mark.parametrize("unknown", [float, dict[str, str], list[str], int | str, object])
def test_a_type_of_which_nothing_is_known_is_refused(unknown: object) -> None:
    made: Any = dataclass(type("New", (), {"__annotations__": {"value": unknown}}))
    with pytest.raises(TypeError, match="not known how"):
        storable(made(None))


@given(st.text(st.characters(exclude_categories=[]), max_size=400))
def test_a_name_has_room_in_an_index_and_a_text_in_utf8(value: str) -> None:
    for made in (name(value), text(value)):
        assert "\0" not in made
        assert made.encode().decode() == made
    assert len(name(value).encode()) <= MAX_NAME


def test_names_that_differ_stay_different() -> None:
    assert name("x" * 3000 + "1") != name("x" * 3000 + "2")
    assert name("x" * 3000) == name("x" * 3000)
    assert name("x" * MAX_NAME) == "x" * MAX_NAME
    assert name("ä" * 300).startswith("ä" * 240)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (1_700_000_000_123, datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1970, 1, 1, tzinfo=UTC)),
        (-(2**63), datetime(1970, 1, 1, tzinfo=UTC)),
        (2**63 - 1, LATEST),
        (99_999_999_999_999_000, LATEST),
    ],
)
def test_moments(milliseconds: int, expected: datetime) -> None:
    assert moment(milliseconds) == expected


def test_every_moment_has_a_date_everywhere() -> None:
    for zone in available_timezones():
        assert moment(2**63 - 1).astimezone(ZoneInfo(zone)).year == 9999


def test_spans() -> None:
    assert span(1500) == timedelta(seconds=1.5)
    assert span(-(2**63)) == timedelta()
    assert span(2**63 - 1) == timedelta(days=366)
