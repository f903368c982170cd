"""The rows of a bulk: read from a file of JSON lines or CSV, and each of them as a message."""

import codecs
import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Literal

from chatwren.domain.errors import FieldError, Invalid
from chatwren.domain.fields import Reader
from chatwren.domain.members import base_name
from chatwren.domain.text import MAX_SHORT, absent
from chatwren.domain.whereabouts import Whereabouts
from chatwren.service.compose import NewMessage, compose
from chatwren.store.bulks import GivenRow

MAX_ROWS = 10_000

FileKind = Literal["jsonl", "csv"]

_MODIFICATIONS = ("useSynonyms", "addEmojis", "shuffleSentences", "seed")
_FILE = "mediaFile"
_OWN = frozenset(
    {"phoneId", "message", _FILE, "scheduledTime", "expiresAt", "lane", "aiModifications", "fields", *_MODIFICATIONS}
)
_BY_LOWER = {name.lower(): name for name in _OWN}
_MAX_ROW_BYTES = 256 * 1024
_MAX_LINES = 20 * MAX_ROWS
_MAX_COLUMNS = 200
_SEPARATORS = ",;\t"
_DELIMITER = re.compile(r'"?sep=([^\w\s"]|\t)"?[\s,;"]*', re.IGNORECASE)
"""A first line by which a spreadsheet says what stands between its values."""
_VALUE = re.compile(r'[^\s,;"]')
_NO_VALUES = frozenset({
    # Of programs; null counts as left out everywhere.
    "nan", "NaN", "NAN", "-nan", "-NaN", "1.#QNAN", "-1.#IND", "None", "NaT", "<NA>", "NULL", "\\N", "#N/A N/A",
    "#N/A", "#NA", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!",
    "#ERROR!", "#GETTING_DATA",
    "#N/D", "#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡DIV/0!", "#¡NUM!", "#¡NULO!", "#VALOR!", "#NOME?", "#NÚM!", "#NULO!",
    "#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#VALEUR!", "#NOM?", "#NOMBRE!",
})  # fmt: skip
"""What is written where there was no value, or a formula had none."""
_JOINERS = "\u200c\u200d"
"""Marks that scripts need within a word."""
_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What `surrogateescape` makes of bytes that are no UTF-8."""
csv.field_size_limit(_MAX_ROW_BYTES)


def read(path: Path, kind: FileKind, *looks: Callable[[int, dict[str, Any]], None]) -> Generator[GivenRow, None, None]:
    """The rows of a file, as they are asked for, until it is closed. One that cannot be read is given with its errors.

    No more than a row of the file is held in memory, and a row without an end is none.

    Args:
        looks: each is shown every row that can be read, by its line, and may write into it.

    Raises:
        Invalid: the file as a whole cannot be read, or has more than MAX_ROWS rows.
    """
    count = 0
    with path.open("rb") as file:
        for line, row in _json_lines(file) if kind == "jsonl" else _csv(file):
            count += 1
            if count > MAX_ROWS:
                raise Invalid(f"A bulk has at most {MAX_ROWS:,} rows. Send the rest as another.", code="too_many_rows")
            if isinstance(row, FieldError):
                yield refused(line, [row])
            elif no_values := _no_values(row):
                yield refused(line, no_values)
            else:
                for look in looks:
                    look(line, row)
                yield _given(line, row)
    if not count:
        raise Invalid("The file has no rows.", code="no_rows")


_NO_OBJECT = FieldError("", "The line must be one JSON object of at most 256 KiB.")
_Row = tuple[int, dict[str, Any] | FieldError]
"""The line of a row, and its members, or why it has none."""


def _json_lines(file: BinaryIO) -> Iterator[_Row]:
    first = True
    for number, line in _lines(file, errors="surrogateescape"):
        if line is not None and not line.strip():
            continue
        if first and line is not None and (line.lstrip().startswith("[") or line.strip() == "{"):
            raise Invalid(
                "The file is JSON, but not JSON lines: write each message as an object on a line of its own, without "
                "brackets around them or commas between them.",
                code="malformed_body",
            )
        first = False
        try:
            row = json.loads(line) if line is not None and not _NO_UTF8.search(line) else None
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else _NO_OBJECT


def _csv(file: BinaryIO) -> Iterator[_Row]:
    lines = _Records(_lines(file, errors="strict"))
    try:
        first = _first(lines)
        if delimiter := _DELIMITER.fullmatch(first):
            first = _first(lines)
        between = delimiter[1] if delimiter else max(_SEPARATORS, key=first.count)
        rows = csv.reader(chain((first,), lines), delimiter=between, strict=True)
        columns = _columns(next(rows, []))
        lines.begin()
        for values in rows:
            if any(value.strip() for value in values[len(columns) :]):
                yield lines.line, FieldError("", "The line has more values than there are columns.")
            elif any(value.strip() for value in values):  # a spreadsheet writes rows of nothing, too
                yield lines.line, _from_columns(dict(zip_longest(columns, values[: len(columns)], fillvalue="")))
            lines.begin()
    except UnicodeDecodeError:
        raise Invalid("The file is no UTF-8. Save it as CSV UTF-8.", code="malformed_body") from None
    except csv.Error:
        raise Invalid(
            f"The file is no CSV near line {lines.line:,}: "
            "is a quotation mark left open, or does text follow a closed one?",
            code="malformed_body",
        ) from None


def _first(lines: "_Records") -> str:
    """The next line that holds more than what stands between values; "" if there is none."""
    for line in lines:
        lines.begin()
        if _VALUE.search(line):
            return line
    return ""


class _Records(Iterator[str]):
    """The lines of a CSV file, of which a row has few: one with a quotation mark that is never closed has them all.

    Attributes:
        line: the number of the last one.
    """

    def __init__(self, lines: Iterator[tuple[int, str | None]]) -> None:
        self.line = 0
        self._lines = lines
        self._left = _MAX_ROW_BYTES

    def begin(self) -> None:
        """A row was read to its end."""
        self._left = _MAX_ROW_BYTES

    def __next__(self) -> str:
        self.line, line = next(self._lines)
        self._left -= len(line or "")
        if line is None or self._left < 0:
            raise Invalid(
                f"A row is longer than 256 KiB (near line {self.line:,}). "
                "Is there a quotation mark that is never closed?",
                code="malformed_body",
            )
        return line


def _lines(file: BinaryIO, *, errors: str) -> Iterator[tuple[int, str | None]]:
    """The lines of a file by their number, with their ends, whichever these are. None: longer than a row may be.

    Args:
        file: at its beginning.
        errors: what becomes of bytes that are no UTF-8.

    Raises:
        UnicodeDecodeError: there are such bytes, and `errors` is strict.
        Invalid: it is UTF-16, or has too many lines, blank ones included.
    """
    begin = file.read(4)
    file.seek(0)
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in begin:
        raise Invalid("The file is UTF-16. Save it as UTF-8.", code="malformed_body")
    # utf-8-sig: spreadsheets begin their files with a byte order mark.
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors=errors, newline="") as text:
        number = 0
        while line := text.readline(_MAX_ROW_BYTES + 1):
            number += 1
            if number > _MAX_LINES:
                raise Invalid(f"The file has more than {_MAX_LINES:,} lines.", code="too_many_rows")
            if len(line) <= _MAX_ROW_BYTES and (line.isascii() or len(line.encode(errors=errors)) <= _MAX_ROW_BYTES):
                yield number, line
            else:
                yield number, None
                while line and not line.endswith(("\n", "\r")):
                    line = text.readline(_MAX_ROW_BYTES + 1)


def _columns(names: Sequence[str]) -> list[str]:
    """The names of the columns; ours in any case.

    Raises:
        Invalid: none is phoneId, two have the same name, or there are too many.
    """
    columns = [_BY_LOWER.get(name.lower(), name) for name in map(_seen, names)]
    counts = Counter(name for name in columns if name)
    if len(counts) > _MAX_COLUMNS:
        raise Invalid(f"The first line names more than {_MAX_COLUMNS} columns.", code="no_columns")
    if "phoneId" not in counts:
        raise Invalid("The first line must name the columns; one of them is phoneId.", code="no_columns")
    twice = sorted(name[:MAX_SHORT] for name, count in counts.items() if count > 1)
    if twice:
        raise Invalid(f"The first line names a column twice: {', '.join(twice)}.", code="no_columns")
    return columns


def _seen(name: str) -> str:
    """The name of a column as a person sees it: copied ones, and one after a second byte order mark, have more."""
    return "".join(char for char in name if char in _JOINERS or unicodedata.category(char) != "Cf").strip()


def _from_columns(row: Mapping[str, str | None]) -> dict[str, Any]:
    """A line as the object that it means: columns of no other meaning are what fills placeholders."""
    whole = not absent(row.get("fields"))
    members: dict[str, Any] = {}
    fields = {}
    for name, value in row.items():
        base = base_name(name)
        if base not in _OWN:
            fields[name] = value or ""
        elif name in _MODIFICATIONS:
            if not absent(value):
                members[f"aiModifications[{name}]"] = value
        elif name == base or not absent(value) or (base == "fields" and not whole):
            members[name] = value
    fields.pop("", None)
    if fields and not whole:
        members["fields"] = fields
    return members


def _no_values(row: Mapping[str, Any]) -> list[FieldError]:
    """The members of a row that say that they have no value: nobody is to be greeted as nan."""
    fields = _object(row.get("fields"))
    given = [(name, row[name]) for name in row if base_name(name) in _OWN]
    given += [(f"fields.{name}", value) for name, value in fields.items()]
    return [
        FieldError(name[:MAX_SHORT], f"{name[:MAX_SHORT]} is {value.strip()}, which says that there is no value.")
        for name, value in given
        if isinstance(value, str) and value.strip() in _NO_VALUES
    ]


def _object(value: object) -> dict[str, Any]:
    """The members of an object, or of one in a text; none of what is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, dict) else {}


def _given(line: int, row: dict[str, Any]) -> GivenRow:
    try:
        # PostgreSQL's text holds no NUL; json writes it, and half an emoji, as an escape.
        return GivenRow(line, json.dumps(row), None)
    except (ValueError, RecursionError):  # what it reads it may be unable to write
        return refused(line, [_NO_OBJECT])


def refused(line: int, errors: list[FieldError]) -> GivenRow:
    """A row that cannot be accepted."""
    return GivenRow(line, None, errors_text(errors))


def errors_text(errors: list[FieldError]) -> str:
    """Errors as they are stored."""
    return json.dumps([{"field": one.field, "message": one.message} for one in errors])


def message_of(given: str, *, now: datetime, here: Whereabouts) -> NewMessage:
    """The message that a row asks for.

    Args:
        given: the row, a JSON object as text.
        now: when the bulk was handed over.
        here: where it was written.

    Raises:
        Invalid: names each member at fault.
    """
    reader = Reader.of(json.loads(given))
    reader.read(_FILE, _no_file)
    new = compose(reader, here, lane="bulk", now=now)
    if new.approve is not None:
        field = "aiModifications.approve"
        raise Invalid(f"{field}: no model is asked for rows; a bulk takes rewrites of a preview.", field=field)
    return new


def _no_file(value: object, *, field: str) -> None:
    if not absent(value):
        raise Invalid(f"{field}: a bulk takes no files. Send a message with one by itself.", field=field)
