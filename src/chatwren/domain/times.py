"""Times and time zones as clients write them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from chatwren.domain import clock
from chatwren.domain.errors import Invalid
from chatwren.domain.text import absent

_MAX_WRITTEN = 200  # characters of a time or a zone's name
_COUNTS_AS_NOW = timedelta(minutes=5)
_FURTHEST = timedelta(days=366)
_WIDEST_OFFSET = timedelta(hours=14)  # Kiribati
_HOURS = 24  # of a day, by its clocks

# An urlencoded form turns a plus that the client did not encode into a space, hence the space as a sign.
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,100}))?)?"
    r"(?P<zone> ?[Zz]| ?(?P<sign>[ +-])(?P<hours>[0-9]{2})(?::?(?P<minutes>[0-5][0-9]))?)?"
)


def no_zone() -> str | None:
    """The zone in which a user thinks of whom that is not known."""
    return None


@dataclass(frozen=True, slots=True)
class ParsedTime:
    """A moment.

    Attributes:
        at: aware, UTC, in whole milliseconds (what answers show is what is stored).
        assumed_zone: name of the time zone by which it was read, when the text had none.
        warning: what a person should know of how it was read.
        zone: tells the name of the zone in which its user thinks, None if it is not known: errors give it in that too.
    """

    at: datetime
    assumed_zone: str | None
    warning: str | None = None
    zone: Callable[[], str | None] = field(default=no_zone, compare=False, repr=False)


def parse_time(value: object, *, zone: Callable[[], str | None], field: str = "scheduledTime") -> ParsedTime:
    """The moment that an ISO 8601 text names.

    `2027-05-16T10:00` with optional seconds and fraction, `T` or a space, and `Z`, `+05:30`, `+0530`, `+05` or no zone.
    `24:00` is the end of the day (ISO 8601-1:2019/Amd 1:2022).
    A local time that daylight saving skips is read with the offset before the change (02:30 becomes 03:30); of one
    that occurs twice the first is meant. Both are what browsers do.

    Args:
        zone: tells the name of the time zone of a text that has none; None if it is not known.

    Raises:
        Invalid: not such a text, no real date or time, or no zone is known.
    """
    if absent(value):
        raise Invalid(f"{field} is required.", field=field)
    found = _ISO_8601.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _MAX_WRITTEN else None
    if found is None:
        raise Invalid(f"{field} must be a time in ISO 8601, such as 2027-05-16T10:00:00.000Z.", field=field)
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        milliseconds = int((found[7] or "0")[:3].ljust(3, "0"))
        ends_day = hour == _HOURS and not (minute or second or int(found[7] or "0"))
        hour = 0 if ends_day else hour
        local = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=_offset(found))
        local += timedelta(days=ends_day)
        if local.tzinfo is not None:
            return ParsedTime(local.astimezone(UTC), None, zone=zone)
        known = parse_zone(zone(), field=field)
        if known is None:
            raise Invalid(
                f"{field} has no time zone and yours is not known: add one, such as +05:30 or Z, "
                "or set timeZone in your profile.",
                field=field,
            )
        return _in_zone(local, known, field)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{field} is no date and time that exists.", field=field) from error


def parse_moment(value: object, *, zone: Callable[[], str | None], field: str) -> ParsedTime | None:
    """As `parse_time`; None when absent."""
    return None if absent(value) else parse_time(value, zone=zone, field=field)


def due_time(asked: ParsedTime, now: datetime, *, field: str = "scheduledTime") -> datetime:
    """When a message that is asked for that time becomes due: then, or now if that was up to 5 minutes ago.

    Clocks of clients are never quite right, and people need time to press the button.

    Raises:
        Invalid: further past, or over 366 days ahead.
    """
    at = asked.at
    if at >= now and at - now <= _FURTHEST:
        return at
    if at < now and now - at <= _COUNTS_AS_NOW:
        return now
    zone = asked.zone()
    wrong = f"more than {_FURTHEST.days} days ahead" if at > now else "in the past"
    raise Invalid(
        f"{field} is {wrong}: it means {told(at, zone)}, and the server's time is {told(now, zone)}.", field=field
    )


def parse_zone(value: object, *, field: str = "timeZone") -> str | None:
    """The name of a time zone as the IANA database writes it, from any case; None when absent.

    Raises:
        Invalid: no name in that database.
    """
    if absent(value):
        return None
    name = _zones().get(value.strip().lower()) if isinstance(value, str) and len(value) <= _MAX_WRITTEN else None
    if name is None:
        raise Invalid(f"{field} must be the name of a time zone, such as Asia/Kolkata.", field=field)
    return name


@cache
def zone_of_country(country: str | None) -> str | None:
    """The time zone of a country (ISO 3166 code) all of whose clocks show the same time; else None.

    Several zones whose clocks agree for the year ahead count as one: some differ only in the past, as Germany's two.
    """
    zones = _zones_of_countries().get(country or "", [])
    days = [clock.now() + timedelta(days=day) for day in range(_FURTHEST.days + 1)]
    courses = {tuple(day.astimezone(ZoneInfo(zone)).utcoffset() for day in days) for zone in zones}
    return zones[0] if len(courses) == 1 else None


def _in_zone(local: datetime, zone: str, field: str) -> ParsedTime:
    there = local.replace(tzinfo=ZoneInfo(zone))
    at = there.astimezone(UTC)
    warning = f"{field} has no time zone and was read in {zone}."
    if at.astimezone(there.tzinfo).replace(tzinfo=None) != local:
        meant = at.astimezone(there.tzinfo).isoformat(timespec="minutes")
        warning += f" On that day clocks there skip this time; it was read as {meant}."
    elif there.utcoffset() != there.replace(fold=1).utcoffset():
        warning += " On that day clocks there show this time twice; the first was meant."
    return ParsedTime(at, zone, warning, zone=lambda: zone)


def told(at: datetime, zone: str | None) -> str:
    """A moment as answers write it, and by the clocks of a zone: `2027-05-16T10:00:00.000Z (2027-05-16 15:30 in …)`."""
    wire = clock.to_wire(at)
    if zone is None:
        return wire
    try:
        there = at.astimezone(ZoneInfo(zone))
    except OverflowError:  # it is no year there that can be written
        return wire
    return f"{wire} ({there:%Y-%m-%d %H:%M} in {zone})"


def _offset(found: re.Match[str]) -> tzinfo | None:
    if not found["zone"]:
        return None
    if not found["hours"]:
        return UTC
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    if offset > _WIDEST_OFFSET:
        raise ValueError
    return timezone(-offset if found["sign"] == "-" else offset)


@cache
def _zones() -> dict[str, str]:
    """Every zone name of the IANA database by its lower-case form."""
    return {name.lower(): name for name in (files("tzdata") / "zones").read_text("ascii").split()}


@cache
def _zones_of_countries() -> dict[str, list[str]]:
    """ISO 3166 code to the names of its zones, most populous first (zone.tab of the IANA database)."""
    zones: dict[str, list[str]] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            zones.setdefault(country, []).append(name)
    return zones
