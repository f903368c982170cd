"""A message's life: its states, and which may follow which. Drawn in docs/state_machine.md."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Status(StrEnum):
    """What is stored. The database orders them so: up to `sending` a message may still change by itself."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Shown(StrEnum):
    """What the API shows: `waiting` is `scheduled` before its time and `queued` after."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Event(StrEnum):
    """What can happen to a message."""

    CLAIM = "claim"  # its owner begins to send it
    NEVER_LEFT = "never_left"  # typed: it certainly is not out
    ACKNOWLEDGED = "acknowledged"  # by WhatsApp's server, or by a receipt of the recipient
    REJECTED = "rejected"  # typed, by WhatsApp
    GIVEN_UP = "given_up"  # the outcome is unknown after every re-send, or at its deadline
    CANCEL = "cancel"
    EXPIRE = "expire"  # its deadline passes, or its account could not send for too long
    RETRY = "retry"  # its user lets a failed one go out again


OUTCOME_UNKNOWN = "outcome_unknown"
"""Code of the one failure that a late acknowledgement may still turn into `sent`."""

NEXT: dict[tuple[Status, Event], Status] = {
    (Status.WAITING, Event.CLAIM): Status.SENDING,
    (Status.WAITING, Event.CANCEL): Status.CANCELLED,
    (Status.WAITING, Event.EXPIRE): Status.EXPIRED,
    # A claim of what is already being sent is a re-send under the same WhatsApp id.
    (Status.SENDING, Event.CLAIM): Status.SENDING,
    (Status.SENDING, Event.NEVER_LEFT): Status.WAITING,
    (Status.SENDING, Event.ACKNOWLEDGED): Status.SENT,
    (Status.SENDING, Event.REJECTED): Status.FAILED,
    (Status.SENDING, Event.GIVEN_UP): Status.FAILED,
    # Only of one that is retried after an unknown outcome: it may be out, and does not expire.
    (Status.WAITING, Event.GIVEN_UP): Status.FAILED,
    # Only from a failure with the code OUTCOME_UNKNOWN.
    (Status.FAILED, Event.ACKNOWLEDGED): Status.SENT,
    (Status.FAILED, Event.RETRY): Status.WAITING,
    # Only of one that is retried after an unknown outcome: an earlier attempt turns out to have arrived.
    (Status.WAITING, Event.ACKNOWLEDGED): Status.SENT,
}
"""Every allowed change. What is not here is not done."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages of a user are listed. None: no condition."""

    user_id: UUID
    status: Shown | None = None
    recipient: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    bulk: UUID | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the total is exact at any size."""
        return (
            self.recipient is None
            and self.text is None
            and self.since is None
            and self.until is None
            and self.bulk is None
        )
