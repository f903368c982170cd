"""The log: no secret in it, and nothing that a stranger wrote makes a line, drives a terminal or fills the disk."""

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog

from chatwren import logs
from chatwren.logs import bound_and_hide, hide_password, printable
from chatwren.settings import Settings

HOSTILE = [
    *(
        "\r\n2026-01-01T00:00:00Z [error    ] all.lost",
        "\x1b[2J\x1b]0;title\x07",
        "\x9b31m",
        "\x7f\b\0",
        "\u202egpj.exe",
    ),
    *("\u2028line", "\u2029line", "\x85line", "\x0b\x0c\x1c", "\u2066\u200f", "\ud800 half", "\U000e0041", "\ufeff"),
]


@contextlib.contextmanager
def logging_as(form: str) -> Iterator[None]:
    """Logging set up anew, and afterwards as it was."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure(Settings(log_format=form))
        yield
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.configure(**before)


def speak(text: str) -> None:
    """Log a text in each place that a log call has."""
    log = structlog.get_logger("test")
    log.warning(text, plain=text, nested={text: [text, (text,)]}, raw=text.encode(errors="replace"))
    try:
        _fail(text)
    except ValueError as error:
        log.exception("failed", error=error, said=str(error))
    logging.getLogger("a package").error("%s", text, extra={"more": text})


def _fail(text: str) -> NoReturn:
    raise ValueError(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_neither_makes_a_line_nor_drives_the_terminal(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with logging_as("console"):
        speak("harmless")
        usual = capsys.readouterr().err
        speak(text)
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)  # its own colours
    assert "all.lost" not in "".join(line[:60] for line in said.splitlines() if line.startswith("2026-01-01"))
    assert [line for line in said.splitlines() if line.startswith("20")] == [
        line for line in said.split("\n") if line.startswith("20")
    ]
    assert len([line for line in said.split("\n") if line.startswith("20")]) == 3
    assert len(usual.split("\n")) <= len(said.split("\n")) <= len(usual.split("\n")) + text.count("\n")
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_is_kept_in_json_on_one_line_of_ascii(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with logging_as("json"):
        speak(text)
    said = capsys.readouterr().err
    assert said.isascii()
    assert all(line.isprintable() for line in said.split("\n"))
    first, second, third = (json.loads(line) for line in said.splitlines())
    assert first["plain"] == second["said"] == third["event"] == third["more"] == text
    assert first["nested"] == {text: [text, [text]]}


def test_printable_keeps_what_people_write() -> None:
    assert printable("नमस्ते, Zoë! 😀 \\o/") == "नमस्ते, Zoë! 😀 \\o/"
    assert printable("a\nb\x1b\u202e\U000e0041") == r"a\nb\x1b\u202e\U000e0041"


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_is_logged_is_bounded(capsys: pytest.CaptureFixture[str], form: str) -> None:
    def deep(left: int) -> None:
        if left:
            try:
                deep(left - 1)
            except ValueError as error:
                raise ValueError(f"{left} " + "x" * 100_000) from error
        else:
            raise ValueError("the first cause\n" * 100_000)

    with logging_as(form):
        log = structlog.get_logger("test")
        log.warning(
            "y" * 100_000, text="x" * 100_000, raw=b"x" * 100_000, many=list(range(100_000)), each={"z" * 10**5: 1}
        )
        said = capsys.readouterr().err
        try:
            deep(50)
        except ValueError:
            log.exception("failed")
        trace = capsys.readouterr().err
        logging.getLogger("a package").error("%s", "x" * 100_000)
        foreign = capsys.readouterr().err
    assert len(said) < 10_000
    assert "98,000 characters more" in said
    assert len(trace) < 250_000
    assert "lines left out" in trace
    assert len(foreign) < 2_500


def test_a_kind_of_warning_that_repeats_is_counted_and_no_other_is_kept_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    package = logging.getLogger("a package")

    def said() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    def storm() -> None:
        log = structlog.get_logger("test")
        for number in range(1_000):
            log.warning("storm", number=number)
            package.error("storm number %s", number)
            log.info("request", number=number)

    with logging_as("json"):
        storm()
        structlog.get_logger("test").error("something else")
        first = said()
        now += logs.KIND_SECONDS
        storm()
        second = said()
    for part in (first, second):
        assert len([one for one in part if one["event"] == "request"]) == 1_000, "what is no warning is all there"
        for kind in ("storm", "storm number"):
            logged = [one for one in part if one["event"].startswith(kind) and ("number" in one) == (kind == "storm")]
            assert len(logged) == logs.MOST_OF_A_KIND
            assert [bool(one.get("more_like_it")) for one in logged] == [False] * 19 + [True]
            assert logged[0].get("left_out_before") == (980 if part is second else None)
    assert "something else" in [one["event"] for one in first]


def test_no_secret_is_logged() -> None:
    event = {
        "event": "connecting to postgresql://alice:hunter2@db/chatwren",
        "password": "hunter2",
        "headers": {"Cookie": "connect.sid=s%3Ax", "accept": "*/*"},
        "tried": ["postgresql://alice:hunter2@db/chatwren"],
    }
    logged = bound_and_hide(None, "info", event)
    assert "hunter2" not in str(logged)
    assert "connect.sid" not in str(logged)
    assert logged["headers"]["accept"] == "*/*"
    assert hide_password("postgresql://chatwren@/x?host=/tmp/y") == "postgresql://chatwren@/x?host=/tmp/y"


def test_a_password_that_the_bound_cuts_is_hidden_as_well() -> None:
    for before in range(logs.LONGEST_VALUE - 30, logs.LONGEST_VALUE):
        text = "x" * before + " postgresql://alice:hunter2@db/chatwren" + "x" * 100
        assert "hunt" not in str(bound_and_hide(None, "info", {"event": text}))
