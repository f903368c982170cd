"""Who has signed up."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class User:
    """Someone who signed up. Without the password's hash: no part of Chatwren but the log-in sees that."""

    id: UUID
    username: str
    name: str
    phone: str  # "+digits"
    email: str
    gst: str  # "" when none was given
    time_zone: str | None
