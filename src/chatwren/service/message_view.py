"""A message as the API shows it: its status, why it waits, and what has happened to it. Derived when it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chatwren.domain.ids import message_public_id
from chatwren.domain.messages import Shown, Status
from chatwren.domain.reasons import DEADLINE_PASSED, UNREACHABLE, Reason, attempt, stored
from chatwren.service.queue_times import QueueTimes, When
from chatwren.store.messages import MessageRow, Step

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
    """One thing that happened to a message. `number`: of an attempt; `reason`: why, of what went wrong."""

    at: datetime
    step: str
    number: int | None = None
    reason: Reason | None = None


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
            return _ended(row), None
        case Status.SENDING:
            return _confirming(row), None
        case Status.WAITING:
            return _waiting(row, times)
        case Status.SENT | Status.CANCELLED:
            return None, None


def _ended(row: MessageRow) -> Reason:
    return stored(row.error_code or row.status, row.error_params, row.error_message)


def _confirming(row: MessageRow) -> Reason | None:
    late = row.claimed_at is not None and row.now - row.claimed_at > _CONFIRMING_AFTER
    if row.attempts > 1 or row.unconfirmed or late:
        return Reason("confirming", "deadline" if _passed(row) else None)
    return None


def _waiting(row: MessageRow, times: QueueTimes) -> tuple[Reason, When | None]:
    if _passed(row):  # until the next sweep
        return Reason(DEADLINE_PASSED.code, "waits"), None
    reason, when = _waits_for(row, times)
    return reason, when if when is None or row.expires_at is None or when.at < row.expires_at else None


def _passed(row: MessageRow) -> bool:
    """Whether no attempt may begin any more."""
    return row.expires_at is not None and row.expires_at <= row.now


def _waits_for(row: MessageRow, times: QueueTimes) -> tuple[Reason, When | None]:
    if row.due > row.now:
        return Reason("scheduled", at=row.due), When(row.due, estimated=False)
    if times.blocked is not None:
        until = times.blocked.until
        return times.blocked, When(until, estimated=True) if until else None
    if row.recipient_retry_at is not None and row.recipient_retry_at > row.now:
        reason = Reason(row.recipient_retry_code or UNREACHABLE.code, "waits", until=row.recipient_retry_at)
        return reason, When(row.recipient_retry_at, estimated=False)
    when = times.of(row)
    if row.lane == "cold" and times.cold_blocked is not None:
        return times.cold_blocked, when
    if when is None:
        return Reason("pacing", "many"), None
    return Reason("pacing", None if when.estimated else "next"), when


def timeline(row: MessageRow, steps: Sequence[Step]) -> list[TimelineStep]:
    """What has happened to the message, oldest first. `steps`: what its row does not say."""
    found = [TimelineStep(row.accepted_at, "accepted")]
    if row.due > row.accepted_at and row.due <= row.now:
        found.append(TimelineStep(row.due, "due"))
    found += map(_noted, steps)
    noted = {(one.at, one.step) for one in steps}
    if row.claimed_at is not None and (row.claimed_at, "attempt") not in noted:
        found.append(TimelineStep(row.claimed_at, "attempt", number=row.attempts))
    for at, step in ((row.sent_at, "sent"), (row.delivered_at, "delivered"), (row.read_at, "read")):
        if at is not None:
            found.append(TimelineStep(at, step))
    if row.ended_at is not None:
        found.append(TimelineStep(row.ended_at, row.status, reason=_ended(row) if row.error_code else None))
    return sorted(found, key=lambda one: one.at)


def _noted(one: Step) -> TimelineStep:
    """A step that was noted when it happened."""
    if one.detail is None:
        return TimelineStep(one.at, one.step)
    if one.step == "attempt":
        return TimelineStep(one.at, one.step, number=int(one.detail))
    if one.step == "failed":
        reason = stored(one.detail, one.params, told=one.detail if one.params is None else None)
        return TimelineStep(one.at, one.step, reason=reason)
    return TimelineStep(one.at, one.step, reason=attempt(one.detail))
