"""Code stays small: files, parameters that have to be told apart by their place, and what is written twice."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "chatwren"
MAX_LINES = 400
MAX_PLACES = 6
MAX_SHARED = 8
GENERATED = "enginepb"
FILES = [path for path in sorted(SOURCES.rglob("*.py")) if GENERATED not in path.parts]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Those that a caller may give by their place."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_a_file_is_short_and_so_is_what_is_told_apart_by_its_place(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    for function in functions(path):
        assert len(parameters(function)) <= MAX_PLACES, function.name


def test_no_two_places_share_more_than_a_few_lines() -> None:
    """Lines of migrations are of their time, and stay."""
    places = defaultdict(list)
    for path in FILES:
        if "migrations" in path.parts:
            continue
        lines = [line.strip() for line in path.read_text().splitlines()]
        told = [line for line in lines if line and not line.startswith(("import ", "from ", "#"))]
        for first in range(len(told) - MAX_SHARED):
            places[tuple(told[first : first + MAX_SHARED + 1])].append(path.name)
    shared = {names[0]: lines for lines, names in places.items() if len(names) > 1}
    assert not shared
