"""The rows of a bulk: read from a file of JSON lines or CSV, and each of them as a message."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from chatwren.domain.errors import FieldError, Invalid
from chatwren.domain.fields import bounded
from chatwren.domain.recipients import parse_recipient
from chatwren.domain.text import Parse, absent, parse_message
from chatwren.domain.times import due_time
from chatwren.service.drafts import NewMessage
from chatwren.service.message_fields import (
    parse_fields,
    parse_lane,
    parse_modifications,
    parse_moment,
)
from chatwren.store.bulks import GivenRow

MAX_ROWS = 10_000

Form = Literal["jsonl", "csv"]

_MODIFICATIONS = ("useSynonyms", "addEmojis", "shuffleSentences", "seed")
_OWN = frozenset(
    {"phoneId", "message", "scheduledTime", "expiresAt", "lane", "aiModifications", "fields", *_MODIFICATIONS}
)
_BY_LOWER = {name.lower(): name for name in _OWN}
_MAX_ROW_BYTES = 256 * 1024
csv.field_size_limit(_MAX_ROW_BYTES)

T_co = TypeVar("T_co", covariant=True)


def read(path: Path, form: Form) -> Iterator[GivenRow]:
    """The rows of a file, as they are asked for. One that cannot be read is given with its errors.

    Raises:
        Invalid: the file as a whole cannot be read, or has more than MAX_ROWS rows.
    """
    count = 0
    for row in _json_lines(path) if form == "jsonl" else _csv(path):
        count += 1
        if count > MAX_ROWS:
            raise Invalid(f"A bulk has at most {MAX_ROWS:,} rows. Send the rest as another.", code="too_many_rows")
        yield row
    if not count:
        raise Invalid("The file has no rows.", code="no_rows")


def _json_lines(path: Path) -> Iterator[GivenRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                given = _given(number, row) if isinstance(row, dict) and len(line) <= _MAX_ROW_BYTES else None
            except (ValueError, RecursionError):
                given = None
            yield given or refused(number, [FieldError("", "The line must be one JSON object of at most 256 KiB.")])


def _csv(path: Path) -> Iterator[GivenRow]:
    rows: csv.DictReader[str] | None = None
    try:
        # utf-8-sig: spreadsheets begin their files with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.readline()
            file.seek(0)
            rows = csv.DictReader(file, delimiter=max(",;\t", key=sample.count), strict=True)
            rows.fieldnames = _columns(rows.fieldnames or ())
            for row in rows:
                if None in row:
                    yield refused(rows.line_num, [FieldError("", "The line has more values than there are columns.")])
                else:
                    yield _given(rows.line_num, _from_columns(row))
    except UnicodeDecodeError:
        raise Invalid("The file is no UTF-8. Save it as CSV UTF-8.", code="malformed_body") from None
    except csv.Error as error:
        line = f" (near line {rows.line_num})" if rows else ""
        raise Invalid(f"The file is no CSV{line}: {error}.", code="malformed_body") from None


def _columns(names: Sequence[str]) -> list[str]:
    """The names of the columns; ours in any case.

    Raises:
        Invalid: none is phoneId, or two have the same name.
    """
    columns = [_BY_LOWER.get(name.strip().lower(), name.strip()) for name in names]
    if "phoneId" not in columns:
        raise Invalid("The first line must name the columns; one of them is phoneId.", code="no_columns")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise Invalid(f"The first line names a column twice: {', '.join(twice)}.", code="no_columns")
    return columns


def _from_columns(row: Mapping[str, str | None]) -> dict[str, Any]:
    """A line as the object that it means: columns of no other meaning are what fills placeholders."""
    members: dict[str, Any] = {name: value for name, value in row.items() if name in _OWN - {*_MODIFICATIONS}}
    modifications = {name: row[name] for name in _MODIFICATIONS if not absent(row.get(name))}
    if modifications and absent(members.get("aiModifications")):
        members["aiModifications"] = modifications
    fields = {name: value for name, value in row.items() if name and name not in _OWN}
    if fields and absent(members.get("fields")):
        members["fields"] = fields
    return members


def _given(line: int, row: dict[str, Any]) -> GivenRow:
    # PostgreSQL's text holds no NUL; json writes it, and half an emoji, as an escape.
    return GivenRow(line, json.dumps(row), None)


def refused(line: int, errors: list[FieldError]) -> GivenRow:
    """A row that cannot be accepted."""
    return GivenRow(line, None, errors_text(errors))


def errors_text(errors: list[FieldError]) -> str:
    """Errors as they are stored."""
    return json.dumps([{"field": one.field, "message": one.message} for one in errors])


def message_of(given: str, *, now: datetime, country: str | None, zone: Callable[[], str | None]) -> NewMessage:
    """The message that a row asks for.

    Args:
        given: the row, a JSON object as text.
        now: when the bulk was handed over.
        country: of the account, for numbers without a country code.
        zone: the time zone of times without one.

    Raises:
        Invalid: names each member at fault.
    """
    members = json.loads(given)
    errors: list[FieldError] = []

    def read(name: str, parse: Parse[T_co]) -> T_co:
        try:
            return parse(bounded(members.get(name), field=name), field=name)
        except Invalid as error:
            errors.extend(error.fields or (FieldError(name, error.message),))
            return cast("T_co", None)

    recipient = read("phoneId", partial(parse_recipient, country=country))
    text = read("message", parse_message)
    timed = not (absent(members.get("scheduledTime")) and absent(members.get("expiresAt")))
    moment = partial(parse_moment, zone=zone() if timed else None)
    when, expires = read("scheduledTime", moment), read("expiresAt", moment)
    modifications, seed = read("aiModifications", parse_modifications) or (None, None)
    fields = read("fields", parse_fields)
    lane = "bulk" if absent(members.get("lane")) else read("lane", parse_lane)
    due = None
    if when is not None:
        try:
            due = due_time(when.at, now)
        except Invalid as error:
            errors.extend(error.fields)
    if errors:
        raise Invalid("The row is not acceptable.", fields=errors)
    return NewMessage(
        recipient,
        text,
        due,
        "msg" if when is None else "sched",
        modifications,
        seed,
        fields,
        lane=lane,
        expires_at=expires.at if expires else None,
    )
