"""How this process logs: to standard error, readable on a terminal, else one JSON object a line. Never a secret."""

import logging
import re
import sys
from functools import lru_cache

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from chatwren.settings import Settings

HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(
    r"password|passwd|secret|cookie|token|authorization|api_?key|media_?key|^qr$|^sid$", re.IGNORECASE
)
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


def configure(settings: Settings) -> None:
    """Set up structlog, and the standard library's logging for the packages that use it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    on_terminal = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(timestamp_key="at") if on_terminal else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[*shared[:-2], structlog.stdlib.ExtraAdder(), *shared[-2:]],
        )
    )
    # What packages tell of their own doings is for whoever debugs.
    logging.basicConfig(handlers=[handler], level=level if level == logging.DEBUG else logging.WARNING, force=True)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values whose name says that they are secret, and passwords in URLs, at any depth."""
    return {name: _hide(name, value) for name, value in event.items()}


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _hide(name: str, value: object) -> object:
    if _is_secret(name):
        return HIDDEN
    if isinstance(value, str):
        return hide_password(value)
    if isinstance(value, dict):
        return {key: _hide(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hide("", inner) for inner in value]
    return value


def hide_password(text: str) -> str:
    """`text` without the passwords of the URLs in it."""
    return _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text
