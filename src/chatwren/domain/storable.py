"""What comes from outside, in a form that every column and index can hold: by type, so that no field is forgotten."""

import builtins
import hashlib
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, partial
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

Text = Annotated[str, "long"]
"""The type of a text for people: up to MAX_TEXT. A plain `str` is an id, an address or a name: up to MAX_NAME."""

MAX_NAME = 512
"""Bytes of UTF-8. Three of these and a UUID have room in one entry of an index, which ends at 2,704 bytes."""
MAX_TEXT = 65_536
"""Characters, as many as WhatsApp allows."""
MAX_ITEMS = 100_000
"""Most that a list has. No group and no receipt has nearly as many."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""In every time zone, Python has a date for what lies between."""
LONGEST = timedelta(days=366)

_LATEST_MS = (LATEST - EARLIEST) // timedelta(milliseconds=1)
_LONGEST_MS = LONGEST // timedelta(milliseconds=1)
_LEAST, _MOST = -(2**31), 2**31 - 1
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
_DIGEST = 32


def storable(one: T) -> T:
    """A dataclass like this one whose every value can be stored.

    NUL and halves of surrogate pairs become U+FFFD, what is too long is cut, and numbers, times and spans are moved
    into their range. A name that is cut ends in a digest of all of it: what was different stays so.

    Raises:
        ValueError: a list of more than MAX_ITEMS.
        TypeError: a field is of a type of which it is not known here how it is stored.
    """
    of: Any = type(one)
    changed = {name: clean(getattr(one, name)) for name, clean in _cleaners(of)}
    return replace(one, **changed)  # type: ignore[type-var]


def text(value: str, most: int = MAX_TEXT) -> str:
    """A text of at most so many characters that PostgreSQL can hold."""
    return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", value[:most])


def name(value: str) -> str:
    """An id, an address or a name of at most MAX_NAME bytes."""
    made = text(value, len(value)).encode()
    if len(made) <= MAX_NAME:
        return made.decode()
    return made[: MAX_NAME - _DIGEST].decode(errors="ignore") + hashlib.sha256(made).hexdigest()[:_DIGEST]


def moment(milliseconds: int) -> datetime:
    """The time so many milliseconds after EARLIEST, or the nearest up to LATEST."""
    return EARLIEST + timedelta(milliseconds=min(max(milliseconds, 0), _LATEST_MS))


def span(milliseconds: int) -> timedelta:
    """So many milliseconds, or the nearest from none to LONGEST."""
    return timedelta(milliseconds=min(max(milliseconds, 0), _LONGEST_MS))


@cache
def _cleaners(of: type) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(of, include_extras=True)
    return tuple((one.name, _cleaner(hints[one.name])) for one in fields(of))


def _cleaner(of: Any) -> Callable[[Any], Any]:
    """What makes a value of this type storable."""
    if of in _BY_TYPE:
        return _BY_TYPE[of]
    if isinstance(of, type) and issubclass(of, Enum):
        return _as_it_is
    match get_origin(of), get_args(of):
        case types.UnionType, (some, types.NoneType):
            return partial(_optional, _cleaner(some))
        case builtins.tuple, (some, builtins.Ellipsis):
            return partial(_list, _cleaner(some))
        case builtins.tuple, row:
            return partial(_row, [_cleaner(some) for some in row])
    raise TypeError(f"it is not known how a value of {of!r} is stored")


def _as_it_is(value: T) -> T:
    return value


def _optional(clean: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else clean(value)


def _list(clean: Callable[[Any], Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(values) > MAX_ITEMS:
        raise ValueError(f"a list of {len(values):,}, which is more than {MAX_ITEMS:,}")
    return tuple(clean(value) for value in values)


def _row(cleaners: Sequence[Callable[[Any], Any]], values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(clean(value) for clean, value in zip(cleaners, values, strict=True))


_BY_TYPE: dict[Any, Callable[[Any], Any]] = {
    str: name,
    Text: text,
    bytes: _as_it_is,
    bool: _as_it_is,
    int: lambda value: min(max(value, _LEAST), _MOST),
    datetime: lambda value: min(max(value, EARLIEST), LATEST),
    timedelta: lambda value: min(max(value, timedelta()), LONGEST),
}
