"""Rows by name: what is selected and made of them, many of them as parameters, and parameters that have names."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

import asyncpg

Made = TypeVar("Made")
Item = TypeVar("Item")

_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")  # and not the type of a cast


class Columns(Generic[Made]):
    """The columns of which a dataclass is made. In a statement they stand as `{columns}`, and `of` takes its rows.

    A row names each by class and field, as in "User.id": there may be others beside them, whatever these are called.

    Args:
        made: the dataclass.
        table: which has columns of the names of its fields.
        elsewhere: SQL of the fields that are no such column; None: of those that `of` is given. These come last.
    """

    def __init__(self, made: type[Made], table: str, **elsewhere: str | None) -> None:
        names = [field.name for field in fields(made)]  # type: ignore[arg-type]
        found = {name: elsewhere.get(name, f"{table}.{name}") for name in names}
        named = {f"{made.__name__}.{name}": sql for name, sql in found.items() if sql is not None}
        self._made: Callable[..., Made] = made
        self._sql = ", ".join(f'{sql} AS "{name}"' for name, sql in named.items())
        self._values = itemgetter(*named)

    def __str__(self) -> str:
        return self._sql

    def of(self, row: asyncpg.Record, **more: object) -> Made:
        """What a row holds."""
        return self._made(*self._values(row), **more)


class Given(Generic[Item]):
    """Items as a table, in a statement of `asking` or `named`: it stands there as `{given}`.

    Each array stands in a subquery, which hides from the planner how long it is. It would find a plan for just so many
    items a little cheaper than the one for any number, and plan anew each time (ADR 8). An item that comes alone, as
    most do, is a row without arrays, behind OFFSET 0 that hides its values: PostgreSQL spends a quarter less on it.

    Args:
        alias: of the table.
        columns: the type of each, of which an item has an attribute of that name; or the type, and how to find it.
    """

    def __init__(self, alias: str, /, **columns: str | tuple[str, Callable[[Item], object]]) -> None:
        found: dict[str, tuple[str, Callable[[Item], object]]] = {
            name: (one, attrgetter(name)) if isinstance(one, str) else one for name, one in columns.items()
        }
        arrays = ", ".join(f"(SELECT :{name}::{kind}[])" for name, (kind, _) in found.items())
        self._sql = f"unnest({arrays}) AS {alias} ({', '.join(found)})"
        row = ", ".join(f":{name}::{kind} AS {name}" for name, (kind, _) in found.items())
        self._sql_of_one = f"(SELECT {row} OFFSET 0) AS {alias}"
        self._statements_of_one: dict[str, str] = {}
        self._getters = {name: getter for name, (_, getter) in found.items()}

    def __str__(self) -> str:
        return self._sql

    def values(self, items: Iterable[Item]) -> dict[str, list[object]]:
        """The parameters, by name, of a statement of `named` in which this stands."""
        return {name: list(map(getter, items)) for name, getter in self._getters.items()}

    def asking(self, statement: str, items: Sequence[Item], /, **values: object) -> tuple[Any, ...]:
        """A statement about these items, and its parameters: what a connection's methods take.

        Args:
            statement: one of few, in which this stands once.
            values: of its other parameters, as in `named`.
        """
        if len(items) != 1:
            return named(statement, **values, **self.values(items))
        of_one = self._statements_of_one.get(statement)
        if of_one is None:
            of_one = self._statements_of_one[statement] = statement.replace(self._sql, self._sql_of_one)
        return named(of_one, **values, **{name: of(items[0]) for name, of in self._getters.items()})


def named(statement: str, /, **values: object) -> tuple[Any, ...]:
    """A statement whose parameters stand in it as `:name`, and their values: what a connection's methods take.

    Args:
        statement: one of few, as the prepared statements that come of them are kept.
        values: of each parameter.
    """
    text, names = _numbered(statement)
    return (text, *(values[name] for name in names))


@cache
def _numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` for the first of its parameters, and so on; and their names in that order."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(statement)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement), names
