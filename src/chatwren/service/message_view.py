"""A message as the API shows it: its status, why it waits, and what has happened to it. Derived when it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chatwren.domain.clock import to_wire
from chatwren.domain.failures import DEADLINE_PASSED
from chatwren.domain.health import Reason
from chatwren.domain.ids import message_public_id
from chatwren.domain.messages import Shown, Status
from chatwren.service.queue_times import QueueTimes, When
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
    lane: str
    accepted_at: datetime
    scheduled_for: datetime
    expires_at: datetime | None
    sent_at: datetime | None
    receipt: Literal["delivered", "read"] | None
    delivered_at: datetime | None
    read_at: datetime | None
    reason: Reason | None
    next_attempt: When | None
    attempts: int
    media: dict[str, Any] | None
    changes: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One thing that happened to a message."""

    at: datetime
    step: str
    detail: str | None = None


def shown(row: MessageRow, times: QueueTimes) -> QueuedMessage:
    """The message as the API shows it; `times` are those of the account that sends it."""
    reason, next_attempt = _waits(row, times)
    return QueuedMessage(
        id=message_public_id(row.prefix, row.id),
        to=f"+{row.recipient}" if row.recipient_kind == "phone" else row.recipient,
        message=row.text,
        original=row.original,
        status=status_of(row),
        lane=row.lane,
        accepted_at=row.accepted_at,
        scheduled_for=row.due,
        expires_at=row.expires_at,
        sent_at=row.sent_at,
        receipt="read" if row.read_at else "delivered" if row.delivered_at else None,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        reason=reason,
        next_attempt=next_attempt,
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


def status_of(row: MessageRow) -> Shown:
    """The status that the API shows."""
    if row.status == Status.WAITING:
        return Shown.SCHEDULED if row.due > row.now else Shown.QUEUED
    return Shown(row.status)


def _waits(row: MessageRow, times: QueueTimes) -> tuple[Reason | None, When | None]:
    """Why the message has not gone out or ended, and when it is tried next where that can be told."""
    match Status(row.status):
        case Status.FAILED | Status.EXPIRED:
            return Reason(row.error_code or row.status, row.error_message or "It failed."), None
        case Status.SENDING:
            return _confirming(row), None
        case Status.WAITING:
            return _waiting(row, times)
        case Status.SENT | Status.CANCELLED:
            return None, None


def _confirming(row: MessageRow) -> Reason | None:
    late = row.claimed_at is not None and row.now - row.claimed_at > _CONFIRMING_AFTER
    if row.attempts > 1 or row.unconfirmed or late:
        then = "its expiresAt has passed" if _passed(row) else "it goes again under the same id if needed"
        return Reason("confirming", f"WhatsApp has not confirmed it yet; {then}.")
    return None


def _waiting(row: MessageRow, times: QueueTimes) -> tuple[Reason, When | None]:
    if _passed(row):  # until the next sweep
        return Reason(DEADLINE_PASSED.code, "Its expiresAt has passed, so it is not sent any more."), None
    reason, when = _waits_for(row, times)
    return reason, when if when is None or row.expires_at is None or when.at < row.expires_at else None


def _passed(row: MessageRow) -> bool:
    """Whether no attempt may begin any more."""
    return row.expires_at is not None and row.expires_at <= row.now


def _waits_for(row: MessageRow, times: QueueTimes) -> tuple[Reason, When | None]:
    if row.due > row.now:
        return Reason("scheduled", f"It is due at {to_wire(row.due)}."), When(row.due, estimated=False)
    if times.blocked is not None:
        until = times.blocked.until
        return times.blocked, When(until, estimated=True) if until else None
    if row.recipient_retry_at is not None and row.recipient_retry_at > row.now:
        code = row.recipient_retry_code or "recipient_unreachable"
        return Reason(code, _RECIPIENT[code], until=row.recipient_retry_at), When(
            row.recipient_retry_at, estimated=False
        )
    when = times.of(row)
    if row.lane == "cold" and times.cold_blocked is not None:
        return times.cold_blocked, when
    if when is None:
        return Reason("pacing", "Very many earlier messages of this account go before it."), None
    if when.estimated:
        return Reason("pacing", "It waits for earlier messages of this account."), when
    return Reason("pacing", "It goes out as soon as the pause between messages is over."), when


_RECIPIENT = {
    "recipient_unreachable": "The recipient could not be reached just now; it is tried again.",
    "cold_refused": "WhatsApp refused a message to this contact, who has not written yet; it is tried again.",
}

_DETAILS = {
    "not_connected": "the connection to WhatsApp was down",
    "not_open": "the connection to WhatsApp was not open yet",
    "fenced": "the account was given to another worker",
    "recipient_unreachable": "WhatsApp did not say how to reach the recipient",
    "no_answer": "WhatsApp did not confirm it in time",
    "worker_ended": "the worker that sent it ended before it knew",
}


def timeline(row: MessageRow, steps: Sequence[tuple[datetime, str, str | None]]) -> list[TimelineStep]:
    """What has happened to the message, oldest first. `steps`: what its row does not say."""
    found = [TimelineStep(row.accepted_at, "accepted")]
    if row.due > row.accepted_at and row.due <= row.now:
        found.append(TimelineStep(row.due, "due"))
    found += [TimelineStep(at, step, _detail(step, detail)) for at, step, detail in steps]
    noted = {(at, step) for at, step, _ in steps}
    if row.claimed_at is not None and (row.claimed_at, "attempt") not in noted:
        found.append(TimelineStep(row.claimed_at, "attempt", _detail("attempt", str(row.attempts))))
    for at, step in ((row.sent_at, "sent"), (row.delivered_at, "delivered"), (row.read_at, "read")):
        if at is not None:
            found.append(TimelineStep(at, step))
    if row.ended_at is not None:
        found.append(TimelineStep(row.ended_at, row.status, row.error_message))
    return sorted(found, key=lambda one: one.at)


def _detail(step: str, detail: str | None) -> str | None:
    if detail is None:
        return None
    if step == "attempt":
        return f"number {detail}"
    if detail.startswith("refused_"):
        return f"WhatsApp refused it (its code {detail.removeprefix('refused_')})"
    return _DETAILS.get(detail, detail)
