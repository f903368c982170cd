"""SQL stands in store/, no parameter of it is found by its place where there are many, and who runs it tells of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "chatwren"
STATEMENT = re.compile(r"\s*(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|WITH\s+\w+\s+AS)\s", re.DOTALL)
MAX_PLACES = 5
"""Whoever has more parameters gives them names: store/rows.py."""
ELSEWHERE = {"machine/postgres.py"}
"""It asks its own server for its databases, before there is a store."""


def texts(*, of_store: bool) -> Iterator[tuple[str, str]]:
    """The literals in the files of the store, or of all others, with the file of each."""
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES)
        if (name.parts[0] == "store") == of_store:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield str(name), node.value


def test_sql_stands_in_the_store() -> None:
    assert {name for name, text in texts(of_store=False) if STATEMENT.match(text)} == ELSEWHERE


def test_the_store_alone_tells_of_changes() -> None:
    tell = re.compile(r"\.(tell|change)\(\s*Topic\.")
    files = {path.relative_to(SOURCES) for path in SOURCES.rglob("*.py") if tell.search(path.read_text())}
    assert files
    assert {path.parts[0] for path in files} == {"store"}


def test_few_parameters_are_found_by_their_place() -> None:
    many = {
        (name, text)
        for name, text in texts(of_store=True)
        if any(int(place) > MAX_PLACES for place in re.findall(r"\$(\d+)", text))
    }
    assert not many
