"""Fields as a client sends them: a reader of them, and the bound that holds before anything is done with one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Self, TypeVar, cast

from chatwren.domain.errors import Invalid, forget_traces
from chatwren.domain.members import gathered
from chatwren.domain.text import Parse

T_co = TypeVar("T_co", covariant=True)

MAX_TEXT: Final = 65_536
"""Characters of the longest text that any field takes."""
_MAX_BITS = 256
_MAX_VALUES = 1_000
_MAX_DEPTH = 8
_MAX_NAMED = 10
_MAX_NAME = 100


class Reader:
    """Reads fields, wherever they come from. Unknown ones are never looked at, hence ignored.

    Members of a field may have fields of their own, as forms send objects: `fields[name]`, `fields.name`.

    Wrong fields are collected, so that a person learns of all of them at once: what `read` gave may be used after
    `check`.

    Args:
        values: what was given for each field; more than one value where a form repeats it.
    """

    def __init__(self, values: Mapping[str, Sequence[object]]) -> None:
        self._came_as: Mapping[str, str] = {}
        names = " ".join(values)
        if "[" in names or "." in names or "{}" in names:
            values, self._came_as = gathered(values)
        self._values = values
        self._failures: list[Invalid] = []

    @classmethod
    def of(cls, members: Mapping[str, object]) -> Self:
        """A reader of what has one value for each name, as a JSON object."""
        return cls({name: (value,) for name, value in members.items()})

    def begin(self) -> None:
        """Read from the beginning again: nothing of what was read is remembered."""
        self._failures = []

    def read(self, name: str, parse: Parse[T_co]) -> T_co:
        """The field's value as `parse` makes it. If it cannot, something without meaning; `check` then raises."""
        try:
            return parse(bounded(self._one(name), field=name), field=name)
        except Invalid as error:
            self._fail(error)
            alone = name in self._came_as and len(self._values[name]) == 1
            if alone and all(one.field == name for one in error.fields):
                spelt = shown_name(self._came_as[name])
                self._failures.append(Invalid(f"{spelt} is no way to give {name}.", field=name))
            return cast("T_co", None)

    def peek(self, name: str) -> object:
        """What the client sent for the field, unread; None when it is not there."""
        return next(iter(self._values.get(name, ())), None)

    def given(self, name: str) -> bool:
        """Whether the field is there at all; null, too, is something given."""
        return name in self._values

    def refuse_others(self, known: Collection[str]) -> None:
        """Count fields of other names as wrong: where leaving one out asks for more, a misspelt one must not."""
        for name in sorted(self._values.keys() - set(known))[:_MAX_NAMED]:
            shown = shown_name(name)
            self._failures.append(Invalid(f"There is no field {shown}.", field=shown))

    def check(self) -> None:
        """Refuse what was given if a field that was read is wrong.

        Raises:
            Invalid: names each of them.
        """
        if len(self._failures) == 1:
            raise self._failures[0]
        if self._failures:
            fields = [one for failure in self._failures for one in failure.fields]
            extra = {name: value for failure in self._failures for name, value in failure.extra.items()}
            raise Invalid(" ".join(one.message for one in fields), fields=fields, extra=extra)

    def _fail(self, error: Invalid) -> None:
        forget_traces(error)  # which would hold what was given
        self._failures.append(error)

    def _one(self, name: str) -> object:
        values = self._values.get(name, ())
        if len(values) > 1 and any(value != values[0] for value in values):
            raise Invalid(f"{name} is given more than once, with different values.", field=name)
        return values[0] if values else None


def shown_name(name: str) -> str:
    """A name that a client made up, as an error shows it."""
    return name[:_MAX_NAME].encode("utf-8", "replace").decode()


def bounded(value: object, *, field: str) -> object:
    """`value`, as JSON or a form gave it, when no part of it is larger than any field takes.

    What a field takes is its own reader's business. This one holds for fields that nobody has thought of yet.

    Raises:
        Invalid: a text of more than 65,536 characters, a number of more than 77 digits, more than 1,000 names and
            values in each other, or more than 8 levels of them.
    """
    if isinstance(value, str):  # most are
        if len(value) > MAX_TEXT:
            raise Invalid(f"{field} is longer than {MAX_TEXT:,} characters.", field=field)
    elif isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise Invalid(f"{field} is a number of too many digits.", field=field)
    elif isinstance(value, dict | list):
        _check_parts(value, field)
    return value


def _check_parts(value: object, field: str) -> None:
    level = [value]
    count = 0
    for _ in range(_MAX_DEPTH):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below += one.keys()
                below += one.values()
            elif isinstance(one, list):
                below += one
            else:
                bounded(one, field=field)
            if count + len(below) > _MAX_VALUES:
                raise Invalid(f"{field} holds too many values.", field=field)
        if not below:
            return
        count += len(below)
        level = below
    raise Invalid(f"{field} is nested too deeply.", field=field)
