"""What becomes of a message after an attempt: a table from what its channel reported to what is recorded."""

from dataclasses import replace
from datetime import timedelta

from chatwren.channels.results import (
    AccountRefused,
    NewContactsRefused,
    NotSent,
    NotSentReason,
    Refused,
    Result,
    Sent,
    Unknown,
)
from chatwren.domain import reasons
from chatwren.domain.messages import NEXT, Event, Status
from chatwren.domain.outcomes import Decision
from chatwren.domain.reasons import Reason

_LONGEST_CONFIRMING = timedelta(minutes=1)
_LONGEST_UNREACHABLE = timedelta(minutes=5)
_TRIES_UNREACHABLE = 24
"""With the pauses above: about an hour and a half."""
_NOT_READY = timedelta(seconds=1)


def decide(result: Result, *, attempts: int, unconfirmed: int, max_resends: int) -> Decision:
    """What to record of an attempt.

    Args:
        attempts: how often the message was handed to the channel, this time included.
        unconfirmed: attempts before this one whose outcome is unknown.
        max_resends: re-sends of an unknown outcome before the message fails; 0: each would be a second message.
    """
    match result:
        case Sent():
            return Decision(Status.SENT, fact=True)
        case Refused():
            return _failed(result.failure, unconfirmed)
        case AccountRefused(code, pause):
            return _never_left(unconfirmed, f"refused_{code}", account_pause=pause, restriction=code)
        case NewContactsRefused(code) if unconfirmed:
            return _unknown(unconfirmed, max_resends, f"refused_{code}")
        case NewContactsRefused(code, pause):
            return _never_left(unconfirmed, f"refused_{code}", recipient_pause=pause, cold_refusal=code)
        case NotSent(reason=NotSentReason.LOCAL):
            return _unreachable(attempts, unconfirmed, max_resends)
        case NotSent():
            return _never_left(unconfirmed, result.reason.value, account_pause=_NOT_READY)
        case Unknown():
            return _unknown(unconfirmed, max_resends, result.cause)


def _unreachable(attempts: int, unconfirmed: int, max_resends: int) -> Decision:
    cause = "recipient_unreachable"
    if unconfirmed:
        return _unknown(unconfirmed, max_resends, cause)
    # The attempts before a message failed count on when it is retried.
    tries = attempts % _TRIES_UNREACHABLE
    if not tries:
        return _failed(reasons.UNREACHABLE, unconfirmed)
    return _never_left(unconfirmed, cause, recipient_pause=_doubling(tries, _LONGEST_UNREACHABLE))


def _failed(failure: Reason, unconfirmed: int) -> Decision:
    return Decision(Status.FAILED, fact=True, failure=reasons.doubtful(failure) if unconfirmed else failure)


def _never_left(
    unconfirmed: int,
    cause: str,
    *,
    account_pause: timedelta | None = None,
    recipient_pause: timedelta | None = None,
    restriction: int | None = None,
    cold_refusal: int | None = None,
) -> Decision:
    # This attempt did not get out, but an earlier one may have: then the message must not wait, where it could be
    # cancelled or rewritten.
    return Decision(
        Status.SENDING if unconfirmed else NEXT[Status.SENDING, Event.NEVER_LEFT],
        account_pause=account_pause,
        recipient_pause=recipient_pause,
        restriction=restriction,
        cold_refusal=cold_refusal,
        cause=cause,
    )


def _unknown(unconfirmed: int, max_resends: int, cause: str) -> Decision:
    if unconfirmed >= max_resends:
        failure = reasons.UNCONFIRMED if max_resends else reasons.UNANSWERED
        return Decision(Status.FAILED, failure=replace(failure, cause=reasons.attempt(cause)), unconfirmed=True)
    return Decision(
        Status.SENDING,
        unconfirmed=True,
        account_pause=_doubling(unconfirmed + 1, _LONGEST_CONFIRMING),
        cause=cause,
    )


def _doubling(number: int, longest: timedelta) -> timedelta:
    return min(timedelta(seconds=2 ** min(number, 30)), longest)
