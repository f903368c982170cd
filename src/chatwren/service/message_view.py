"""A message as the API shows it: its status, why it waits, and what has happened to it. Derived when it is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chatwren.domain.clock import to_wire
from chatwren.domain.health import Reason, account_reason
from chatwren.domain.ids import message_public_id
from chatwren.domain.messages import Shown, Status
from chatwren.store.accounts import Account
from chatwren.store.messages import MessageRow

_CONFIRMING_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message as the API shows it."""

    id: str
    to: str
    message: str
    original: str
    status: Shown
    accepted_at: datetime
    scheduled_for: datetime
    sent_at: datetime | None
    receipt: Literal["delivered", "read"] | None
    delivered_at: datetime | None
    read_at: datetime | None
    reason: Reason | None
    next_attempt_at: datetime | None
    attempts: int
    media: dict[str, Any] | None
    changes: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One thing that happened to a message."""

    at: datetime
    step: str
    detail: str | None = None


def shown(row: MessageRow, account: Account | None) -> QueuedMessage:
    """The message as the API shows it; `account` is the one that sends it."""
    reason, next_attempt_at = _waits(row, account)
    return QueuedMessage(
        id=message_public_id("sched" if row.prefix == "sched" else "msg", row.id),
        to=f"+{row.recipient}" if row.recipient_kind == "phone" else row.recipient,
        message=row.text,
        original=row.original,
        status=_status(row),
        accepted_at=row.accepted_at,
        scheduled_for=row.due,
        sent_at=row.sent_at,
        receipt="read" if row.read_at else "delivered" if row.delivered_at else None,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        reason=reason,
        next_attempt_at=next_attempt_at,
        attempts=row.attempts,
        media=(
            {
                "id": row.media_id.hex,
                "kind": row.media_kind,
                "mimetype": row.media_mimetype,
                "fileName": row.media_file_name,
                "size": row.media_size,
            }
            if row.media_id
            else None
        ),
        changes=row.changes,
    )


def _status(row: MessageRow) -> Shown:
    if row.status == Status.WAITING:
        return Shown.SCHEDULED if row.due > row.now else Shown.QUEUED
    return Shown(row.status)


def _waits(row: MessageRow, account: Account | None) -> tuple[Reason | None, datetime | None]:
    """Why the message has not gone out or ended, and when it is tried next where that is known exactly."""
    if row.status == Status.FAILED:
        return Reason(row.error_code or "failed", row.error_message or "It failed."), None
    if row.status == Status.SENDING:
        late = row.claimed_at is not None and row.now - row.claimed_at > _CONFIRMING_AFTER
        if row.attempts > 1 or late:
            return Reason(
                "confirming", "WhatsApp has not confirmed it yet; it goes again under the same id if needed."
            ), None
        return None, None
    if row.status != Status.WAITING:
        return None, None
    if row.due > row.now:
        return Reason("scheduled", f"It is due at {to_wire(row.due)}."), row.due
    blocked = account_reason(account, row.now) if account else None
    if blocked is not None:
        return blocked, account.restricted_until if account and blocked.code == "restricted" else None
    if row.recipient_retry_at is not None and row.recipient_retry_at > row.now:
        return Reason(
            "recipient_unreachable", "The recipient could not be reached just now; it is tried again."
        ), row.recipient_retry_at
    if not row.head or account is None:
        return Reason("pacing", "It waits for earlier messages of this account."), None
    return Reason("pacing", "It goes out as soon as the pause between messages is over."), max(account.next_at, row.now)


def timeline(row: MessageRow) -> list[TimelineStep]:
    """What has happened to the message, oldest first."""
    steps = [TimelineStep(row.accepted_at, "accepted")]
    if row.due > row.accepted_at:
        steps.append(TimelineStep(row.due, "due"))
    if row.claimed_at is not None:
        steps.append(TimelineStep(row.claimed_at, "attempt", f"number {row.attempts}"))
    for at, step in ((row.sent_at, "sent"), (row.delivered_at, "delivered"), (row.read_at, "read")):
        if at is not None:
            steps.append(TimelineStep(at, step))
    if row.ended_at is not None:
        steps.append(TimelineStep(row.ended_at, row.status, row.error_message))
    return sorted(steps, key=lambda one: one.at)
