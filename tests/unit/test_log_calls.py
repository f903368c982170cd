"""Every log call in the code says what it means to: none has an argument that structlog takes for itself.

`log.exception("x", event=…)` raises TypeError in the very line that is to isolate a fault; `level=…` is overwritten.
"""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from chatwren import logs
from chatwren.settings import Settings

SOURCE = Path(logs.__file__).parent
METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method)) if method in METHODS:
                yield node
            case ast.Call(func=ast.Name(id="note")):  # web/http/observe.py: log.debug or log.info
                yield node


def wrong(call: ast.Call) -> list[str]:
    """What is wrong with a log call, of what can be seen without running it."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else "info"
    found = []
    match call.args:
        case [ast.Constant(value=str())]:
            pass
        case _:
            found.append("one constant text says what happened")
    for keyword in call.keywords:
        if keyword.arg is None:
            found.append("** may hold anything")
        elif keyword.arg == "exc_info":
            if method == "exception" or isinstance(keyword.value, ast.Constant):
                found.append("exc_info where `exception` says it")
        elif not _arrives(method, keyword.arg):
            found.append(f"{keyword.arg} is structlog's own")
    return found


def _arrives(method: str, name: str) -> bool:
    """Whether a value of this name is found in the line that is written, as it was given."""
    line = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(line),
        processors=[one for one in structlog.get_config()["processors"] if not isinstance(one, logs.Repeats)],
        wrapper_class=structlog.get_config()["wrapper_class"],
    )
    try:
        raise RuntimeError  # noqa: TRY301 - for `exception`, which tells of it
    except RuntimeError:
        try:
            getattr(logger, method)("said", **{name: "given"})
        except TypeError:
            return False
    written = json.loads(line.getvalue())
    return bool(written["event"] == "said" and written.get(name) == "given" and written["level"] != "given")


@pytest.fixture(autouse=True)
def _as_in_production() -> Iterator[None]:
    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    logs.configure(Settings(_env_file=None, log_format="json", log_level="debug"))
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


def test_no_call_has_an_argument_that_is_not_its_own() -> None:
    calls = 0
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        for call in log_calls(ast.parse(file.read_text())):
            calls += 1
            found += [f"{file.relative_to(SOURCE)}:{call.lineno}: {what}" for what in wrong(call)]
    assert calls > 30
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        'log.exception("events.failed", account="a", event="message")',
        'log.info("x", level="high")',
        'log.info("x", at="noon")',
        'log.info("x", self="me")',
        'log.info("x", method_name="me")',
        'log.exception("x", exception="e")',
        'log.info("x", password="p")',
        'log.exception("x", exc_info=True)',
        'log.warning("x", exc_info=True)',
        'log.warning("x", **more)',
        "log.warning(f'{account} failed')",
        'log.warning("%s failed", account)',
    ],
)
def test_what_is_planted_is_found(planted: str) -> None:
    (call,) = log_calls(ast.parse(planted))
    assert wrong(call) != []
