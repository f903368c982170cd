"""A WhatsApp account, and what is known of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.pacing import Pacing


@dataclass(frozen=True, slots=True)
class Account:
    """A WhatsApp account that a user linked, or is about to link (`new`)."""

    id: UUID
    user_id: UUID
    status: str  # new, linked, logged_out, banned
    status_since: datetime
    status_reason: str | None
    phone: str | None  # digits
    name: str | None
    connected: bool
    connected_since: datetime
    offline_reason: str | None
    restriction_code: int | None
    restricted_since: datetime | None
    restricted_until: datetime | None
    held_reason: str | None
    held_since: datetime | None
    cold_code: int | None  # WhatsApp's number when it last refused a new contact
    cold_since: datetime | None
    cold_until: datetime | None
    in_flight: UUID | None
    next_at: datetime
    now: datetime  # the database's time when this was read
    pacing: Pacing
