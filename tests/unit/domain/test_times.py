from datetime import UTC, datetime, timedelta
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain import clock
from chatwren.domain.clock import to_wire
from chatwren.domain.errors import ChatwrenError, Invalid
from chatwren.domain.times import ParsedTime, due_time, parse_moment, parse_time, parse_zone, zone_of_country

NOW = datetime(2027, 5, 16, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("2027-05-16T10:00:00.000Z", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T10:00Z", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16t10:00z", "2027-05-16T10:00:00.000Z"),
        (" 2027-05-16 10:00:30 Z\n", "2027-05-16T10:00:30.000Z"),
        ("2027-05-16T10:00:00.5Z", "2027-05-16T10:00:00.500Z"),
        ("2027-05-16T10:00:00,25Z", "2027-05-16T10:00:00.250Z"),
        ("2027-05-16T10:00:00.123999999Z", "2027-05-16T10:00:00.123Z"),
        ("2027-05-16T15:30+05:30", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T15:30+0530", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T15:30:00 +05:30", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T15:00+05", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T06:30-03:30", "2027-05-16T10:00:00.000Z"),
        ("2027-05-17T00:00+14:00", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T10:00-00:00", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16T15:30:00 05:30", "2027-05-16T10:00:00.000Z"),  # a plus, from an urlencoded form
        ("2028-02-29T00:00Z", "2028-02-29T00:00:00.000Z"),
        ("2027-05-16T24:00Z", "2027-05-17T00:00:00.000Z"),
        ("2027-12-31 24:00:00.000Z", "2028-01-01T00:00:00.000Z"),
        ("2028-02-28T24:00:00+05:30", "2028-02-28T18:30:00.000Z"),
    ],
)
def test_a_time_with_its_zone(text: str, wire: str) -> None:
    parsed = parse_time(text, zone=lambda: "America/New_York")
    assert to_wire(parsed.at) == wire
    assert parsed.at.tzinfo is UTC
    assert parsed.assumed_zone is None


@pytest.mark.parametrize(
    ("text", "zone", "wire"),
    [
        ("2027-05-16T15:30", "Asia/Kolkata", "2027-05-16T10:00:00.000Z"),
        ("2027-05-16 15:30:00", "Asia/Kolkata", "2027-05-16T10:00:00.000Z"),
        ("2027-01-16T12:00", "Europe/Berlin", "2027-01-16T11:00:00.000Z"),
        ("2027-07-16T12:00", "Europe/Berlin", "2027-07-16T10:00:00.000Z"),
        ("2027-03-27T24:00", "Europe/Berlin", "2027-03-27T23:00:00.000Z"),
        ("2027-03-28T02:30", "Europe/Berlin", "2027-03-28T01:30:00.000Z"),  # skipped: 03:30 is meant
        ("2027-10-31T02:30", "Europe/Berlin", "2027-10-31T00:30:00.000Z"),  # twice: the first is meant
    ],
)
def test_a_time_without_zone_is_the_users(text: str, zone: str, wire: str) -> None:
    parsed = parse_time(text, zone=lambda: zone)
    assert to_wire(parsed.at) == wire
    assert parsed.assumed_zone == zone


def test_a_time_without_zone_where_none_is_known() -> None:
    with pytest.raises(Invalid, match="timeZone"):
        parse_time("2027-05-16T15:30", zone=lambda: None)


@pytest.mark.parametrize(
    "value",
    [
        None, "", "null", "undefined", "tomorrow", "2027-05-16", "10:00", "2027-05-16T10", "2027-05-16T10:00:",
        "2027-05-16T24:01Z", "2027-05-16T24:00:01Z", "2027-05-16T24:00:00.0001Z", "2027-05-16T25:00Z",
        "9999-12-31T24:00Z", "2027-05-16T10:60Z", "2027-05-16T23:59:60Z", "2027-02-29T10:00Z", "2027-13-01T10:00Z",
        "2027-00-10T10:00Z", "0000-01-01T00:00Z", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00",
        "+002027-05-16T10:00Z", "12027-05-16T10:00Z", "2027-5-16T10:00Z", "2027-05-16T10:00+15:00",
        "2027-05-16T10:00+05:60", "2027-05-16T10:00+5", "2027-05-16T10:00 IST", "2027-05-16T10:00.5Z",
        "२०२७-०५-१६T१०:००Z", "2027-05-16T10:00Z[Asia/Kolkata]", "20270516T100000Z", "2027-05-16T10:00:00.Z",
        1810461600000, 1.5, True, [], {}, b"2027-05-16T10:00Z", "2027-05-16T10:00\ud800",
        "2027-05-16T10:00:00." + "9" * 5_000 + "Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_time(value, zone=lambda: "Asia/Kolkata", field="until")
    assert [error.field for error in refused.value.fields] == ["until"]


def test_nobody_works_out_a_zone_that_the_text_names() -> None:
    asked = Mock(return_value="Asia/Kolkata")
    parse_time("2027-05-16T10:00Z", zone=asked)
    assert parse_moment(None, zone=asked, field="until") is None
    asked.assert_not_called()


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Invalid):
        parse_time("2027-05-16T10:00", zone=lambda: "Mars/Olympus")


@pytest.mark.parametrize(
    ("late", "due"),
    [
        (timedelta(), timedelta()),
        (timedelta(minutes=5), timedelta()),
        (timedelta(seconds=1), timedelta()),
        (-timedelta(seconds=1), timedelta(seconds=1)),
        (-timedelta(days=366), timedelta(days=366)),
    ],
)
def test_due(late: timedelta, due: timedelta) -> None:
    assert due_time(ParsedTime(NOW - late, None), NOW) == NOW + due


def _refusal(asked: ParsedTime) -> str:
    with pytest.raises(Invalid) as refused:
        due_time(asked, NOW)
    return refused.value.message


def test_further_past_is_refused_with_the_servers_time() -> None:
    asked = ParsedTime(NOW - timedelta(minutes=5, milliseconds=1), None)
    means = "2027-05-16T09:54:59.999Z, and the server's time is 2027-05-16T10:00:00.000Z."
    assert _refusal(asked) == f"scheduledTime is in the past: it means {means}"


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2027-05-16T15:00", "2027-05-16T09:30:00.000Z (2027-05-16 15:00 in Asia/Kolkata)"),
        ("2027-05-16T09:30Z", "2027-05-16T09:30:00.000Z (2027-05-16 15:00 in Asia/Kolkata)"),
        ("2027-05-16T05:30-04:00", "2027-05-16T09:30:00.000Z (2027-05-16 15:00 in Asia/Kolkata)"),
        ("2026-01-01T00:00", "2025-12-31T18:30:00.000Z (2026-01-01 00:00 in Asia/Kolkata)"),
        ("2028-05-17T20:00", "2028-05-17T14:30:00.000Z (2028-05-17 20:00 in Asia/Kolkata)"),
    ],
)
def test_a_time_that_is_refused_is_told_by_the_users_clocks_too(written: str, means: str) -> None:
    told = _refusal(parse_time(written, zone=lambda: "Asia/Kolkata"))
    assert f"it means {means}, " in told
    assert told.endswith("the server's time is 2027-05-16T10:00:00.000Z (2027-05-16 15:30 in Asia/Kolkata).")


def test_too_far_ahead_is_refused() -> None:
    told = _refusal(ParsedTime(NOW + timedelta(days=366, milliseconds=1), None))
    assert told.startswith("scheduledTime is more than 366 days ahead: it means 2028-05-16T10:00:00.001Z")


def test_due_times_at_the_ends_of_time() -> None:
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        for zone in ("Asia/Kolkata", "America/New_York"):
            assert "server's time" in _refusal(ParsedTime(at, None, zone=Mock(return_value=zone)))


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        ("Asia/Kolkata", "Asia/Kolkata"),
        (" asia/calcutta ", "Asia/Calcutta"),
        ("utc", "UTC"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("", None),
        (None, None),
        ("undefined", None),
    ],
)
def test_a_zone(value: object, zone: str | None) -> None:
    assert parse_zone(value) == zone


@pytest.mark.parametrize("value", ["IST+5", "America", "../../etc/passwd", "/etc/localtime", "Asia/Kolkata\0", 5, []])
def test_no_zone(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        parse_zone(value)
    assert [error.field for error in refused.value.fields] == ["timeZone"]


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("IN", "Asia/Kolkata"),
        ("AE", "Asia/Dubai"),
        ("DE", "Europe/Berlin"),  # Büsingen's clocks agree with Berlin's
        ("US", None),
        ("BR", None),
        ("ES", None),
        ("XX", None),
        (None, None),
    ],
)
def test_the_zone_of_a_country(country: str | None, zone: str | None) -> None:
    assert zone_of_country(country) == zone


ISO_ISH = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-2][0-9]:?[0-6][0-9])?",
    fullmatch=True,
)


@given(
    st.none() | st.integers() | st.floats() | st.text() | ISO_ISH,
    st.sampled_from([None, "Asia/Kolkata", "Europe/Berlin"]),
)
def test_nothing_but_a_time_or_our_error(value: object, zone: str | None) -> None:
    try:
        parsed = parse_time(value, zone=lambda: zone)
    except ChatwrenError:
        return
    assert parse_time(to_wire(parsed.at), zone=lambda: None).at == parsed.at


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 - bounds
)
def test_a_moment_is_the_same_in_every_zone(moment: datetime) -> None:
    moment = moment.astimezone(UTC).replace(microsecond=0)
    local = moment.astimezone(ZoneInfo("Asia/Kolkata"))
    assert parse_time(local.isoformat(), zone=lambda: None) == ParsedTime(moment, None)
    there = parse_time(local.replace(tzinfo=None).isoformat(), zone=lambda: "Asia/Kolkata")
    assert (there.at, there.assumed_zone) == (moment, "Asia/Kolkata")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2027-03-28T02:30", "skip this time; it was read as 2027-03-28T03:30+02:00."),
        ("2027-10-31T02:30", "show this time twice; the first was meant."),
        ("2027-06-01T02:30", "was read in Europe/Berlin."),
    ],
)
def test_what_was_assumed_of_a_time_is_said(text: str, said: str) -> None:
    warning = parse_time(text, zone=lambda: "Europe/Berlin").warning
    assert warning is not None
    assert warning.endswith(said)
    assert parse_time(f"{text}Z", zone=lambda: "Europe/Berlin").warning is None


def test_nothing_is_later_than_what_an_answer_can_write() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.later(at, timedelta(days=1)) == datetime(2026, 1, 2, tzinfo=UTC)
    assert clock.later(at, timedelta.max) == clock.later(clock.LATEST, timedelta(1)) == clock.LATEST
    assert clock.to_wire(clock.LATEST) == "9999-12-31T23:59:59.999Z"
