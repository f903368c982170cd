"""What an engine reported and could not be stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be stored.

    Attributes:
        username: of the account's user.
        size: of the event, in bytes.
        retries: how often it was tried again.
        not_kept: how many came after it and found no room.
    """

    id: int
    account: UUID
    username: str
    kind: str
    reason: str
    size: int
    retries: int
    not_kept: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many dead letters of a kind there are, and how many found no room."""

    kind: str
    kept: int
    not_kept: int
