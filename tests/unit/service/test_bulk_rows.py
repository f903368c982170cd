"""Files of many rows, written to cost: of each no more than a row is in memory, and each ends in a sentence."""

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chatwren.domain.errors import Invalid
from chatwren.service.bulk_list import ListOptions, Recipients
from chatwren.service.bulk_rows import MAX_ROWS, FileKind, read
from chatwren.store.bulks import GivenRow

MEGABYTE = 1_000_000
ROW = b'{"phoneId": "+919811111111", "message": "hello"}\n'


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(*pieces: bytes) -> Path:
        path = tmp_path / "rows"
        with path.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        return path

    return written


def rows(path: Path, kind: FileKind) -> list[tuple[int, bool]]:
    """The line of each row, and whether it could be read."""
    return [(row.line, row.given is not None) for row in _rows(path, kind)]


def _rows(path: Path, kind: FileKind) -> Iterator[GivenRow]:
    with closing(read(path, kind, Recipients(ListOptions(), lambda: None).look)) as given:
        yield from given


def peak(path: Path, kind: FileKind) -> int:
    """The most bytes that reading a file held at a time."""
    tracemalloc.start()
    try:
        for _ in _rows(path, kind):
            pass
    except Invalid:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


@pytest.mark.parametrize("filling", [b"x", "é".encode(), "😀".encode(), b"\\", b"[", b"\0", b"{}", b"\xff"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_without_an_end_is_not_held_in_memory(write: Any, kind: FileKind, filling: bytes) -> None:
    begin = {"jsonl": b'{"message": "', "csv": b"phoneId,message\n+919811111111,"}[kind]
    path = write(begin, *([filling * (MEGABYTE // len(filling))] * 20))
    assert peak(path, kind) < 8 * MEGABYTE


def test_after_a_line_that_is_too_long_the_next_is_read(write: Any) -> None:
    assert rows(write(ROW, b'{"message": "', b"x" * MEGABYTE, b'"}\n', ROW), "jsonl") == [
        (1, True),
        (2, False),
        (3, True),
    ]
    exact = b'{"message": "' + b"x" * (256 * 1024 - 16) + b'"}\n'
    assert len(exact) == 256 * 1024
    assert rows(write(exact, b" " + exact), "jsonl") == [(1, True), (2, False)]


def test_a_quotation_mark_that_is_never_closed_ends_at_the_length_of_a_row(write: Any) -> None:
    path = write(b'phoneId,message\n+919811111111,"hello\n', *([b"line\n" * 100_000] * 4))
    with pytest.raises(Invalid, match=r"longer than 256 KiB \(near line .*never closed"):
        rows(path, "csv")
    assert peak(path, "csv") < 8 * MEGABYTE


def test_many_fields_in_quotes_are_one_row_and_bounded_as_one(write: Any) -> None:
    with pytest.raises(Invalid, match="longer than 256 KiB"):
        rows(write(b"phoneId,message\n", b'"x\n",' * 200_000), "csv")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_way(write: Any, end: bytes) -> None:
    line = ROW.rstrip()
    assert rows(write(end.join([line, b"", line])), "jsonl") == [(1, True), (3, True)]
    csv = end.join([b"phoneId,message", b"+919811111111,one", b"+919811111112,two", b""])
    assert [json.loads(row.given or "")["message"] for row in _rows(write(csv), "csv")] == ["one", "two"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_told_by_its_name(write: Any, kind: FileKind, encoding: str) -> None:
    text = {"jsonl": ROW.decode(), "csv": "phoneId,message\n+919811111111,hello\n"}[kind]
    with pytest.raises(Invalid, match=r"UTF-16\. Save it as UTF-8"):
        rows(write(text.encode(encoding)), kind)


def test_a_byte_order_mark_is_none_of_the_text(write: Any) -> None:
    assert rows(write(b"\xef\xbb\xbf", ROW), "jsonl") == [(1, True)]
    assert rows(write(b"\xef\xbb\xbfphoneId,message\n1,x\n"), "csv") == [(2, True)]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"message": "\xff"}',
        b'{"message": ' + b"9" * 100_000 + b"}",
        b'{"message": ' + b"[" * 100_000 + b"}",
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"[]",
        b"1e999999999",
        b"\0",
        b'{"message": "x"} {"message": "y"}',
    ],
)
def test_a_line_that_is_no_object_costs_itself_alone(write: Any, bad: bytes) -> None:
    assert rows(write(ROW, bad + b"\n", ROW), "jsonl") == [(1, True), (2, False), (3, True)]


def test_columns_are_counted(write: Any) -> None:
    names = ",".join(f"c{number}" for number in range(199))
    assert rows(write(f"phoneId,{names}\n1,2\n".encode()), "csv") == [(2, True)]
    for more in (",c199", "".join(f",x{number}" for number in range(30_000))):
        with pytest.raises(Invalid, match="more than 200 columns") as caught:
            rows(write(f"phoneId,{names}{more}\n".encode()), "csv")
        assert caught.value.code == "no_columns"
    empty = "," * 16_000  # as spreadsheets write what somebody once formatted
    assert rows(write(f"phoneId,message{empty}\n1,x{empty}\n".encode()), "csv") == [(2, True)]
    with pytest.raises(Invalid, match=r"names a column twice: a, a+\.$") as caught:
        rows(write(b"phoneId,a,a," + b"a" * 100_000 + b"," + b"a" * 100_000 + b"\n"), "csv")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(("kind", "begin"), [("jsonl", b""), ("csv", b"phoneId\n")])
def test_rows_and_lines_are_counted(write: Any, kind: FileKind, begin: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        rows(write(begin, b"\n" * 1_000_000), kind)
    assert caught.value.code == "too_many_rows"
    row = {"jsonl": ROW, "csv": b"1\n"}[kind]
    assert len(rows(write(begin, row * MAX_ROWS), kind)) == MAX_ROWS
    with pytest.raises(Invalid) as caught:
        rows(write(begin, row * (MAX_ROWS + 1)), kind)
    assert caught.value.code == "too_many_rows"


@pytest.mark.parametrize(
    "begin",
    ["sep=;", "SEP=;", '"sep=;"', "sep=;;;;", "\ufeffsep=;", "sep=|", "sep=\t", "sep=,", "\n;;;\nsep=;", "sep=;\n;;"],
)
def test_a_first_line_may_say_what_stands_between_values(write: Any, begin: str) -> None:
    between = begin.strip('"\n;')[-1:].replace("=", ";") if "|" in begin or "\t" in begin or begin == "sep=," else ";"
    body = f"{begin}\r\nphoneId,message\r\n+919811111111,a; b\r\n".replace("phoneId,", f"phoneId{between}")
    body = body.replace("+919811111111,a; b", f'+919811111111{between}"a; b"')
    (row,) = _rows(write(body.encode()), "csv")
    assert row.line == body.count("\n")
    assert json.loads(row.given or "") == {"phoneId": "+919811111111", "message": "a; b"}


@pytest.mark.parametrize("nothing", ["", ",,", ";;", "  ,  ", '"",""', ",,,,,,,", "\u00a0,", "\t\t"])
def test_rows_of_nothing_but_separators_are_none(write: Any, nothing: str) -> None:
    between = ";" if ";" in nothing else "\t" if "\t" in nothing else ","
    lines = [
        nothing,
        f"phoneId{between}message",
        nothing,
        f"+919811111111{between}x{between}{between}",
        nothing,
        nothing,
    ]
    assert rows(write("\n".join(lines).encode()), "csv") == [(4, True)]
    with pytest.raises(Invalid) as caught:
        rows(write("\n".join([*lines[:3], nothing, ""]).encode()), "csv")
    assert caught.value.code == "no_rows"


@pytest.mark.parametrize(
    "nothing", ["nan", "NaN", "-nan", "None", "#N/A", " #N/A ", "#REF!", "#DIV/0!", "<NA>", "NaT", "#NV", "\\N"]
)
@pytest.mark.parametrize("column", ["phoneId", "message", "scheduledTime", "name"])
def test_what_says_that_there_is_no_value_is_no_value(write: Any, column: str, nothing: str) -> None:
    given = {"phoneId": "+919811111111", "message": "Hi {{name}}", "scheduledTime": "", "name": "Asha"}
    csv = ",".join(given) + "\n" + ",".join({**given, column: nothing}.values()) + "\n" + ",".join(given.values())
    bad, good = _rows(write(csv.encode()), "csv")
    field = f"fields.{column}" if column == "name" else column
    assert [one["field"] for one in json.loads(bad.errors or "[]")] == [field]
    assert good.given
    row = {**given, "fields": {"name": "Asha"}}
    row.pop("name")
    (row["fields"] if column == "name" else row)[column] = nothing  # type: ignore[index]
    (bad,) = _rows(write(json.dumps(row).encode()), "jsonl")
    assert [one["field"] for one in json.loads(bad.errors or "[]")] == [field]


@pytest.mark.parametrize(
    ("columns", "values", "members"),
    [
        ("fields.name,town", "Asha,Pune", {"fields.name": "Asha", "fields": {"town": "Pune"}}),
        ("fields[name],fields", ",", {"fields[name]": "", "fields": ""}),
        ("fields[name],fields,town", ',"{""name"": ""Asha""}",x', {"fields": '{"name": "Asha"}'}),
        ("useSynonyms,addEmojis", "true,", {"aiModifications[useSynonyms]": "true"}),
        (
            "aiModifications,aiModifications.useSynonyms,seed",
            "{},,s1",
            {"aiModifications": "{}", "aiModifications[seed]": "s1"},
        ),
        ("phoneId[],message.text", ",x", {"message.text": "x"}),
        ("Price [USD],e.g.", "5,x", {"fields": {"Price [USD]": "5", "e.g.": "x"}}),
        ("name,town", "Asha", {"fields": {"name": "Asha", "town": ""}}),  # as spreadsheets leave out the last ones
    ],
)
def test_columns_of_members(write: Any, columns: str, values: str, members: dict[str, object]) -> None:
    (row,) = _rows(write(f"phoneId,{columns}\n+919811111111,{values}\n".encode()), "csv")
    assert json.loads(row.given or "") == {"phoneId": "+919811111111", **members}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_object_in_a_text_has_no_value_either(write: Any, kind: FileKind) -> None:
    row = {"phoneId": "+919811111111", "message": "Hi {{name}}", "fields": '{"name": "nan"}'}
    quoted = ('"{}"'.format(value.replace('"', '""')) for value in row.values())
    body = {"jsonl": json.dumps(row), "csv": ",".join(row) + "\n" + ",".join(quoted)}[kind]
    (bad,) = _rows(write(body.encode()), kind)
    assert [one["field"] for one in json.loads(bad.errors or "[]")] == ["fields.name"]


@pytest.mark.parametrize("name", ["fields.name", "fields[name]"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_member_that_has_no_value_is_refused(write: Any, kind: FileKind, name: str) -> None:
    row = {"phoneId": "+919811111111", "message": "Hi {{name}}", name: "nan"}
    body = {"jsonl": json.dumps(row), "csv": ",".join(row) + "\n" + ",".join(row.values())}[kind]
    (bad,) = _rows(write(body.encode()), kind)
    assert [one["field"] for one in json.loads(bad.errors or "[]")] == [name]


@pytest.mark.parametrize("name", ["Nan", "none", "N/A", "#1", "Nancy", "nan nan", "#SALE!"])
def test_what_only_looks_like_it_is_a_value(write: Any, name: str) -> None:
    assert rows(write(f"phoneId,message,name\n+919811111111,hello,{name}\n".encode()), "csv") == [(2, True)]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_list_is_told_who_comes_again_and_who_is_in_no_plan(write: Any, kind: FileKind) -> None:
    numbers = ["+919811111111", "98111 11111", "+919811111112", "+919811111111@c.us", "+9112345", "+9112345", "x"]
    body = {
        "jsonl": "\n".join(json.dumps({"phoneId": one, "message": "x"}) for one in numbers),
        "csv": "\n".join(["phoneId,message", *(f"{one},x" for one in numbers)]),
    }[kind]
    recipients = Recipients(ListOptions(numbers_are="national", skip_duplicates=True), lambda: "IN")
    with closing(read(write(body.encode()), kind, recipients.look)) as given:
        read_as = [json.loads(one.given or "")["phoneId"] for one in given]
    assert read_as == ["+919811111111", "+919811111111", "+919811111112", "+919811111111", "+9112345", "+9112345", "x"]
    again, doubted = recipients.warnings()
    first = 2 if kind == "csv" else 1
    assert again.startswith("3 rows are to a recipient of a row before: what comes again is skipped.")
    assert again.endswith(f"line {first + 1}, line {first + 3}, line {first + 5}.")
    assert doubted == f"1 recipient is in no country's number plan: +9112345 (line {first + 4})."


def test_a_recipient_in_two_spellings_of_whatsapp_comes_again(write: Any) -> None:
    numbers = ["+5215512345678", "+525512345678", "+541123456789", "+5491123456789", "+5551991234567", "+555191234567"]
    recipients = Recipients(ListOptions(), lambda: None)
    body = "phoneId,message\n" + "".join(f"{one},x\n" for one in numbers)
    with closing(read(write(body.encode()), "csv", recipients.look)) as given:
        assert len(list(given)) == 6
    assert recipients.warnings()[0].endswith("line 3, line 5, line 7.")


@pytest.mark.parametrize(
    "body", [b"[]", b'[{"phoneId": "+919811111111", "message": "x"}]', b'\n [\n{"a": 1},\n]', b'{\n"phoneId": "x"\n}']
)
def test_json_that_is_no_lines_is_refused_whole(write: Any, body: bytes) -> None:
    with pytest.raises(Invalid, match="not JSON lines") as refused:
        rows(write(body), "jsonl")
    assert refused.value.code == "malformed_body"


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u200e", "\u2060"])
def test_a_column_has_the_name_that_is_seen(write: Any, mark: str) -> None:
    body = f"\ufeff{mark}phoneId{mark},{mark}message,name{mark},\u0928\u093e\u092e\u200d\n+919811111111,Hi,Alice,x\n"
    (row,) = _rows(write(body.encode()), "csv")
    assert json.loads(row.given or "") == {
        "phoneId": "+919811111111", "message": "Hi", "fields": {"name": "Alice", "\u0928\u093e\u092e\u200d": "x"}
    }  # fmt: skip


def test_a_row_that_is_cut_short_has_empty_values(write: Any) -> None:
    (row,) = _rows(write(b"phoneId,message,name\n+919811111111,Hi\n"), "csv")
    assert json.loads(row.given or "")["fields"] == {"name": ""}
