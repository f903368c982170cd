"""The one place that asks what time it is, so that a test can shift it."""

from datetime import UTC, datetime, timedelta
from typing import Final

LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
"""The last moment that Python, ISO 8601 and so every answer can write. PostgreSQL knows later ones."""

_shift = timedelta()


def now() -> datetime:
    """The current time, UTC, aware."""
    return datetime.now(UTC) + _shift


def shift(by: timedelta) -> None:
    """Move the clock of this process. For tests."""
    global _shift  # noqa: PLW0603 - one clock a process is the point
    _shift = by


def later(at: datetime, by: timedelta) -> datetime:
    """`at` and so much more, but nothing after LATEST."""
    return at + min(by, LATEST - at)


def to_wire(at: datetime) -> str:
    """`2027-05-16T10:00:00.000Z`: how every answer writes a time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
