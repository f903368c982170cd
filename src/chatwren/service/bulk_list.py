"""The recipients of a bulk as a list: how it writes numbers, and what is told of them all together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatwren.domain.errors import Invalid
from chatwren.domain.recipients import Reading, doubt, parse_recipient, spellings
from chatwren.domain.text import absent

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What holds for all rows of a bulk.

    Attributes:
        numbers_are: how digits without `+` or `00` are read; None: of two readings neither.
        skip_duplicates: of several rows to one recipient only the first that can be accepted is.
    """

    numbers_are: Reading | None = None
    skip_duplicates: bool = False


def parse_numbers_are(value: object, *, field: str = "numbersAre") -> Reading | None:
    """How a list writes numbers; None when absent."""
    if absent(value):
        return None
    if value == "national":
        return "national"
    if value == "international":
        return "international"
    raise Invalid(f"{field} must be national or international.", field=field)


def parse_duplicates(value: object, *, field: str = "duplicates") -> bool:
    """Whether recipients who come again are skipped; absent is False."""
    if absent(value):
        return False
    if value != "skip":
        raise Invalid(f"{field} must be skip, or be left out.", field=field)
    return True


class Recipients:
    """Looks at the recipient of one row after the other."""

    def __init__(self, options: ListOptions, country: Callable[[], str | None]) -> None:
        self._options = options
        self._country = country
        self._first: dict[str, int] = {}
        self._again: list[int] = []
        self._doubted: list[str] = []

    def look(self, line: int, row: dict[str, Any]) -> None:
        """Note a row's recipient, and write it into the row, where it can be read, as `+digits`."""
        try:
            recipient = parse_recipient(row.get("phoneId"), country=self._country, reading=self._options.numbers_are)
        except Invalid:
            return  # told when it is the row's turn, with whatever else is wrong with it
        row["phoneId"] = recipient.display
        if self._first.setdefault(min(spellings(recipient.value)), line) != line:
            self._again.append(line)
        elif doubt(recipient) is not None:
            self._doubted.append(f"{recipient.display} (line {line})")

    def warnings(self) -> list[str]:
        """What a person should know of the list."""
        told = []
        if self._again:
            does = "is skipped" if self._options.skip_duplicates else "is sent too (duplicates: skip leaves it out)"
            told.append(
                f"{_many(len(self._again), 'row')} to a recipient of a row before: what comes again {does}. "
                f"{_some([f'line {line}' for line in self._again])}."
            )
        if self._doubted:
            told.append(
                f"{_many(len(self._doubted), 'recipient')} in no country's number plan: {_some(self._doubted)}."
            )
        return told


def _many(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count:,} {what}s are"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
