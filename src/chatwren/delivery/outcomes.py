"""What becomes of a message after an attempt: a table from what the engine reported to what is recorded."""

from datetime import timedelta

from chatwren.channels.engine.model import (
    Invalid,
    NotOnWhatsApp,
    NotSent,
    NotSentReason,
    Rejected,
    SendResult,
    Sent,
    Unknown,
)
from chatwren.domain import failures
from chatwren.domain.failures import Failure
from chatwren.domain.messages import NEXT, Event, Status
from chatwren.domain.outcomes import Decision

_LONGEST_CONFIRMING = timedelta(minutes=1)
_LONGEST_UNREACHABLE = timedelta(minutes=5)
_TRIES_UNREACHABLE = 24
"""With the pauses above: about an hour and a half."""
_NOT_READY = timedelta(seconds=1)

# Refusals that concern the account and not the message, with how long nothing more is tried. What was refused so
# is certainly not out, and waits. Meaning of the numbers: docs/adr/0005-outcomes.md.
_ACCOUNT_REFUSED = {429: timedelta(minutes=5)}
# The same, of which only new contacts are concerned.
_COLD_REFUSED = {463: timedelta(hours=1), 475: timedelta(hours=1)}
# WhatsApp's own trouble, not a word on the message.
_SERVER_TROUBLE = frozenset({500, 503})


def decide(result: SendResult | Failure, *, attempts: int, unconfirmed: int, max_resends: int) -> Decision:
    """What to record of an attempt.

    Args:
        result: what the engine reported, or why the message could not even be handed to it.
        attempts: how often the message was handed to the engine, this time included.
        unconfirmed: attempts before this one whose outcome is unknown.
        max_resends: re-sends of an unknown outcome before the message fails.
    """
    match result:
        case Sent():
            return Decision(Status.SENT, fact=True)
        case Failure():
            return _failed(result, unconfirmed)
        case NotOnWhatsApp():
            return _failed(failures.NOT_ON_WHATSAPP, unconfirmed)
        case Invalid():
            return _failed(failures.UNSENDABLE, unconfirmed)
        case Rejected():
            return _refused(result.code, unconfirmed, max_resends)
        case NotSent(reason=NotSentReason.LOCAL):
            return _unreachable(attempts, unconfirmed, max_resends)
        case NotSent():
            return _never_left(unconfirmed, result.reason.value, account_pause=_NOT_READY)
        case Unknown():
            return _unknown(unconfirmed, max_resends, "no_answer")


def _refused(code: int, unconfirmed: int, max_resends: int) -> Decision:
    cause = f"refused_{code}"
    if code in _ACCOUNT_REFUSED:
        return _never_left(unconfirmed, cause, account_pause=_ACCOUNT_REFUSED[code], restriction=code)
    if code in _SERVER_TROUBLE or (code in _COLD_REFUSED and unconfirmed):
        return _unknown(unconfirmed, max_resends, cause)
    if code in _COLD_REFUSED:
        return _never_left(unconfirmed, cause, recipient_pause=_COLD_REFUSED[code], cold_refusal=code)
    return _failed(failures.rejected(code), unconfirmed)


def _unreachable(attempts: int, unconfirmed: int, max_resends: int) -> Decision:
    cause = "recipient_unreachable"
    if unconfirmed:
        return _unknown(unconfirmed, max_resends, cause)
    # Of one that is retried after it failed, the attempts before count on.
    tries = attempts % _TRIES_UNREACHABLE
    if not tries:
        return _failed(failures.UNREACHABLE, unconfirmed)
    return _never_left(unconfirmed, cause, recipient_pause=_doubling(tries, _LONGEST_UNREACHABLE))


def _failed(failure: Failure, unconfirmed: int) -> Decision:
    return Decision(Status.FAILED, fact=True, failure=failures.doubtful(failure) if unconfirmed else failure)


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
        return Decision(Status.FAILED, failure=failures.UNCONFIRMED, unconfirmed=True)
    return Decision(
        Status.SENDING,
        unconfirmed=True,
        account_pause=_doubling(unconfirmed + 1, _LONGEST_CONFIRMING),
        cause=cause,
    )


def _doubling(number: int, longest: timedelta) -> timedelta:
    return min(timedelta(seconds=2 ** min(number, 30)), longest)
