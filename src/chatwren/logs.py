"""How this process logs: to standard error, readable on a terminal, else one JSON object a line. Never a secret.

What is logged may be a stranger's: no value makes a line of its own, drives a terminal, or is longer than its bound.
And what happens too often is counted instead, since the log may lie on the database's disk.
"""

import itertools
import json
import logging
import re
import sys
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chatwren.settings import Settings

T = TypeVar("T")

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"password|passwd|secret|cookie|token|authorization|api_?key|media_?key|^qr$|^sid$", re.IGNORECASE
)
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
_CUT_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*\Z")

LONGEST_VALUE = 2_000
"""Characters, as well of each line of a traceback."""
MOST_ITEMS = 50
"""So many of a list or a mapping are logged."""
FIRST_LINES, LAST_LINES = 30, 70
"""What is kept of a traceback: where it begins, and what happened in the end."""
MOST_OF_A_KIND = 20
KIND_SECONDS = 60.0


def configure(settings: Settings) -> None:
    """Set up structlog, and the standard library's logging for the packages that use it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        bound_and_hide,
    ]
    on_terminal = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderers: list[Processor] = (
        [make_printable, structlog.dev.ConsoleRenderer(timestamp_key="at")] if on_terminal else [_json]
    )
    repeats = Repeats()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[repeats, *shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(repeats.admits)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=[*shared[:-2], structlog.stdlib.ExtraAdder(), *shared[-2:]],
        )
    )
    # What packages tell of their own doings is for whoever debugs.
    logging.basicConfig(handlers=[handler], level=level if level == logging.DEBUG else logging.WARNING, force=True)


class Repeats:
    """Leaves out what is worse than `info` from the `MOST_OF_A_KIND`th of its kind within `KIND_SECONDS` on.

    The last that is logged says so, and the first after that time how many were left out. Kinds are events' names; of a
    package the places in its code.
    """

    def __init__(self) -> None:
        self._kinds: dict[object, tuple[float, int]] = {}  # when it began, how many since

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """The event, or an end of its way."""
        if method in {"debug", "info"}:
            return event
        if (more := self._count(event["event"])) is None:
            raise structlog.DropEvent
        event.update(more)
        return event

    def admits(self, record: logging.LogRecord) -> bool:
        """Whether a record of the standard library is to be logged."""
        if record.levelno <= logging.INFO:
            return True
        if (more := self._count((record.name, record.lineno))) is None:
            return False
        vars(record).update(more)
        return True

    def _count(self, kind: object) -> dict[str, Any] | None:
        """What is to be said beside the event; None: nothing is to be said at all."""
        now = time.monotonic()
        began, before = self._kinds.get(kind, (now, 0))
        over = now - began >= KIND_SECONDS
        self._kinds[kind] = (now, 1) if over else (began, before + 1)
        if over and before > MOST_OF_A_KIND:
            return {"left_out_before": before - MOST_OF_A_KIND}
        if over or before + 1 < MOST_OF_A_KIND:
            return {}
        return {"more_like_it": "left out and counted"} if before + 1 == MOST_OF_A_KIND else None


def bound_and_hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Bound each value, and hide those whose name says that they are secret, and passwords in URLs, at any depth."""
    return {
        name: _trace(value) if name == "exception" and isinstance(value, str) else _plain(name, value)
        for name, value in event.items()
    }


def make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make texts harmless for a terminal. The lines of a traceback are indented, so that none looks like an event.

    What is no text is shown by `repr`, which does the same.
    """
    made = {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}
    if isinstance(trace := event.get("exception"), str):
        made["exception"] = "\n".join(f"    {printable(line)}" for line in trace.split("\n"))
    return made


def printable(text: str) -> str:
    """`text` on one line. What drives a terminal or turns its direction stands there as a backslash and its code."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """JSON in ASCII that a terminal can show: `json` itself escapes all control characters but one."""
    try:
        line = msgspec.json.encode(event)  # `json` takes ten times as long, of each request
    except UnicodeEncodeError:  # half of a surrogate pair
        line = b"\xff"
    return (line.decode() if line.isascii() else json.dumps(event)).replace("\x7f", "\\u007f")


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _plain(name: str, value: object) -> object:
    if _is_secret(name):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, dict):
        return {_shown(str(key)): _plain(str(key), inner) for key, inner in _first(value.items())}
    if isinstance(value, list | tuple):
        return [_plain("", inner) for inner in _first(value)]
    return _shown(repr(value))


def _first(items: Iterable[T]) -> Iterable[T]:
    return itertools.islice(items, MOST_ITEMS)


def _shown(text: str) -> str:
    if len(text) <= LONGEST_VALUE:
        return hide_password(text)
    cut = _CUT_PASSWORD.sub(rf"\1:{HIDDEN}", hide_password(text[:LONGEST_VALUE]))
    return f"{cut}... and {len(text) - LONGEST_VALUE:,} characters more"


def _trace(text: str) -> str:
    lines = text.split("\n")
    if len(lines) > FIRST_LINES + LAST_LINES:
        left_out = len(lines) - FIRST_LINES - LAST_LINES
        lines = [*lines[:FIRST_LINES], f"... {left_out:,} lines left out ...", *lines[-LAST_LINES:]]
    return "\n".join(map(_shown, lines))


def hide_password(text: str) -> str:
    """`text` without the passwords of the URLs in it."""
    return _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text
