"""Who has signed up."""

from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A user as its operator sees them. `account_phone` is that of the first account, digits.

    With `deleted_at` everything of theirs is being removed.
    """

    id: UUID
    username: str
    name: str
    created_at: datetime
    disabled_at: datetime | None
    deleted_at: datetime | None
    account_phone: str | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion came to. Not `told_whatsapp`: a device's keys are gone, but the phone may still list it."""

    told_whatsapp: bool
