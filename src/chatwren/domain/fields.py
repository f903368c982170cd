"""The bound of everything that a client sends as a field, before anything is done with it."""

from typing import Final

from chatwren.domain.errors import Invalid

MAX_TEXT: Final = 65_536
"""Characters of the longest text that any field takes."""
_MAX_BITS = 256
_MAX_VALUES = 1_000
_MAX_DEPTH = 8


def bounded(value: object, *, field: str) -> object:
    """`value`, as JSON or a form gave it, when no part of it is larger than any field takes.

    What a field takes is its own reader's business. This one holds for fields that nobody has thought of yet.

    Args:
        value: what the client sent.
        field: the name that errors carry.

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
