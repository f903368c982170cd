"""Why a message waits or failed, why an account does not send, why a pairing failed: data, and the words that say it.

What is stored, and what services return, is a `Reason`: never its sentence, which is made where somebody reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatwren.domain.messages import OUTCOME_UNKNOWN
from chatwren.domain.times import told


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits or ended.

    Attributes:
        code: stable; programs may depend on it.
        kind: which of its code's sentences says it; None, or one that has no words: the usual one.
        since, until: from when to when, where that is known.
        number: that the sentence names: WhatsApp's own for it, or how many. Where a code ends in a number, that.
        at: a moment that the sentence names.
        cause: of an outcome that is unknown, what was heard last.
        told: its sentence, where an earlier release stored that and nothing else.
    """

    code: str
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    number: int | None = None
    at: datetime | None = None
    cause: "Reason | None" = None
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """How a reason is said. In braces stands what it names.

    Attributes:
        sentence: of {number}, {at}, {until} and {cause}, the last as its own sentence.
        next_step: what a person can do about it; of {link}, {release} and {cancel}, which are other things wherever it
            is read. None where there is nothing to be done.
    """

    sentence: str
    next_step: str | None = None


_MAY_HAVE_ARRIVED = "may have arrived; a late confirmation still counts."
_RESTRICTED = "WhatsApp restricts this account until {until}"
_ENDS_BY_ITSELF = "It ends by itself. Write more slowly and to people who expect it, or the next one is longer."
_LOGGED_OUT = "The WhatsApp account is logged out"
_LINK = "Link it: {link}, and scan the code with the phone."
_RELEASE = "{release} lets them go; {cancel} cancels one."
_NOBODY_NEW = "Those to contacts who have written, or were reached before, go on."
_TRIED_THEN = "It is tried again then. Until somebody new writes first, there is nothing to be done."

ENGLISH: Mapping[str, Words] = {
    # --- why a message failed -------------------------------------------------------------------------------------
    "not_on_whatsapp": Words("This phone number is not on WhatsApp."),
    "media_missing": Words("The file of this message is no longer stored. Send it again with the file."),
    "media_refused": Words("WhatsApp does not take this file."),
    "unsendable": Words("WhatsApp cannot take this message in this form."),
    "recipient_unreachable": Words(
        "WhatsApp did not say how to reach this recipient, although it was asked many times."
    ),
    "rejected": Words("WhatsApp refused this message (its code {number})."),
    "rejected.recipient": Words(
        "WhatsApp does not let this account write to this recipient: perhaps one of them has blocked the other."
    ),
    "rejected.group": Words(
        "This account may not write to this group: it is no longer a member, or only admins may write."
    ),
    "rejected.no_group": Words("This group does not exist any more."),
    "too_late": Words(
        "The account could not send for too long after this message was due, so it was not sent any more."
    ),
    "deadline_passed": Words("Its expiresAt passed before it could go out, so it was not sent."),
    OUTCOME_UNKNOWN: Words(
        f"WhatsApp never confirmed this message, although it was sent again under the same id. It {_MAY_HAVE_ARRIVED}"
    ),
    f"{OUTCOME_UNKNOWN}.once": Words(
        "WhatsApp did not say whether it took this message, and sending it again could make two of it. "
        f"It {_MAY_HAVE_ARRIVED}"
    ),
    f"{OUTCOME_UNKNOWN}.deadline": Words(
        "WhatsApp had not confirmed this message when its expiresAt passed, so it was not sent again. "
        f"It {_MAY_HAVE_ARRIVED}"
    ),
    f"{OUTCOME_UNKNOWN}.doubtful": Words(
        f"{{cause}} But an earlier attempt had no answer, so the message {_MAY_HAVE_ARRIVED}"
    ),
    # --- why a message waits --------------------------------------------------------------------------------------
    "scheduled": Words("It is due at {at}."),
    "pacing": Words("It waits for earlier messages of this account."),
    "pacing.next": Words("It goes out as soon as the pause between messages is over."),
    "pacing.many": Words("Very many earlier messages of this account go before it."),
    "recipient_unreachable.waits": Words("The recipient could not be reached just now; it is tried again."),
    "cold_refused": Words("WhatsApp refused a message to this contact, who has not written yet; it is tried again."),
    "deadline_passed.waits": Words("Its expiresAt has passed, so it is not sent any more."),
    "confirming": Words("WhatsApp has not confirmed it yet; it goes again under the same id if needed."),
    "confirming.deadline": Words("WhatsApp has not confirmed it yet; its expiresAt has passed."),
    # --- what kept an attempt from sending ------------------------------------------------------------------------
    "not_connected.attempt": Words("the connection to WhatsApp was down"),
    "not_open.attempt": Words("the connection to WhatsApp was not open yet"),
    "fenced.attempt": Words("the account was given to another worker"),
    "busy.attempt": Words("the account was still busy with what came before it"),
    "recipient_unreachable.attempt": Words("WhatsApp did not say how to reach the recipient"),
    "no_answer.attempt": Words("WhatsApp did not confirm it in time"),
    "worker_ended.attempt": Words("the worker that sent it ended before it knew"),
    "refused.attempt": Words("WhatsApp refused it (its code {number})"),
    # --- why an account does not send -----------------------------------------------------------------------------
    "never_linked": Words("No WhatsApp account has been linked yet.", _LINK),
    "banned": Words(
        "WhatsApp has banned this number. Only WhatsApp can lift that.",
        "Ask for a review in the WhatsApp app on the phone, or link another number.",
    ),
    "logged_out": Words(f"{_LOGGED_OUT}. Link it again by its QR code.", _LINK),
    "logged_out.unlinked_on_phone": Words(
        f"{_LOGGED_OUT}: the device was unlinked on the phone. Link it again by its QR code.", _LINK
    ),
    "logged_out.locked": Words(f"{_LOGGED_OUT}: WhatsApp has locked it. Link it again by its QR code.", _LINK),
    "logged_out.not_told": Words(
        f"{_LOGGED_OUT}, but WhatsApp could not be told: the phone lists the device until you remove it there. "
        "Link it again by its QR code.",
        _LINK,
    ),
    "held": Words("Sending is on hold until you release it.", _RELEASE),
    "held.relinked_other_number": Words(
        "Another number was linked while messages waited. Release them, or cancel them.", _RELEASE
    ),
    "restricted": Words(f"{_RESTRICTED}.", _ENDS_BY_ITSELF),
    "restricted.numbered": Words(f"{_RESTRICTED} (its code {{number}}).", _ENDS_BY_ITSELF),
    **{
        f"restricted.{kind}": Words(f"{_RESTRICTED} (its code {{number}}): {why}.", _ENDS_BY_ITSELF)
        for kind, why in (
            ("strangers", "messages went to too many people who do not have this number in their contacts"),
            ("blocked", "too many people have blocked this number"),
            ("groups", "too many groups were made with people who do not have this number in their contacts"),
            ("same_message", "the same message went to too many people"),
            ("broadcasts", "too many messages went to a broadcast list"),
            ("too_fast", "messages went out too fast"),
        )
    },
    "offline": Words("The connection to WhatsApp is down; it is being opened again."),
    "offline.replaced": Words(
        "Another program uses this linked device and took the connection; it is being opened again.",
        "If it goes on, end the other program, or link the account again.",
    ),
    "offline.outdated": Words(
        "WhatsApp wants a newer version of its protocol (its code 405); it is tried again.",
        "If it lasts for more than an hour, the operator has to update Chatwren (make update-whatsmeow).",
    ),
    # --- why it writes to nobody new ------------------------------------------------------------------------------
    "new_chat_cap": Words(
        f"WhatsApp lets this account begin no more new chats for now (its code {{number}}). {_NOBODY_NEW}", _TRIED_THEN
    ),
    "new_contacts_refused": Words(
        f"WhatsApp refuses this account's messages to new contacts for now (its code {{number}}). {_NOBODY_NEW}",
        _TRIED_THEN,
    ),
    "daily_cap": Words(
        "In the last 24 hours the account has written to {number} new contacts; more could get it banned.",
        "The cap grows with each day that the number is linked (settings CHATWREN_COLD_…).",
    ),
    # --- why a pairing failed -------------------------------------------------------------------------------------
    "linked_elsewhere.pairing": Words("This WhatsApp number is already linked by another user of this server."),
    "passkey_required.pairing": Words("WhatsApp wants a passkey to link this account, which Chatwren cannot answer."),
    "outdated.pairing": Words("WhatsApp wants a newer version of its protocol; the operator has to update Chatwren."),
}
"""The words of each code, and of `code.kind` where it has several. A code that ends in a number stands without it."""

_UNKNOWN = Words("It failed.")
"""Of a code that this release does not have."""

NOT_ON_WHATSAPP = Reason("not_on_whatsapp")
UNREACHABLE = Reason("recipient_unreachable")
MEDIA_MISSING = Reason("media_missing")
MEDIA_REFUSED = Reason("media_refused")
UNSENDABLE = Reason("unsendable")
TOO_LATE = Reason("too_late")
DEADLINE_PASSED = Reason("deadline_passed")
UNCONFIRMED = Reason(OUTCOME_UNKNOWN)
UNANSWERED = Reason(OUTCOME_UNKNOWN, "once")
UNCONFIRMED_IN_TIME = Reason(OUTCOME_UNKNOWN, "deadline")


def doubtful(failure: Reason) -> Reason:
    """The last attempt failed so, but one before had no answer: the message may have arrived."""
    return Reason(OUTCOME_UNKNOWN, "doubtful", cause=failure)


def rejected(number: int, kind: str | None = None) -> Reason:
    """WhatsApp refused the message with this number. `kind`: what that means, where a channel knows it."""
    return Reason(f"rejected_{number}", kind, number=number)


def attempt(code: str) -> Reason:
    """What kept an attempt from sending, or from being known to have sent."""
    number = code.rpartition("_")[2]
    return Reason(code, "attempt", number=int(number) if number.isdecimal() else None)


def pairing_failed(code: str | None) -> Reason | None:
    """Why a pairing failed, where a person has to be told."""
    return Reason(code, "pairing") if code is not None and f"{code}.pairing" in ENGLISH else None


def sentence(reason: Reason, zone: str | None = None) -> str:
    """What a person is told. `zone`: by whose clocks it gives times too."""
    if reason.told is not None:
        return reason.told
    return (_words(reason) or _UNKNOWN).sentence.format(
        number=reason.number,
        at=reason.at and told(reason.at, zone),
        until=reason.until and told(reason.until, zone),
        cause=reason.cause and sentence(reason.cause, zone),
    )


def next_step(reason: Reason, ways: Mapping[str, str]) -> str | None:
    """What a person can do about it. `ways`: how to link, release and cancel, where this is read."""
    words = _words(reason)
    return words.next_step.format_map(ways) if words and words.next_step else None


def _words(reason: Reason) -> Words | None:
    code = reason.code if reason.number is None else reason.code.removesuffix(f"_{reason.number}")
    return ENGLISH.get(f"{code}.{reason.kind}") or ENGLISH.get(code)


def params(failure: Reason) -> dict[str, Any]:
    """What is stored of a failure beside its code."""
    cause = failure.cause and {"code": failure.cause.code, **params(failure.cause)}
    known = {"kind": failure.kind, "number": failure.number, "cause": cause}
    return {name: value for name, value in known.items() if value is not None}


def stored(code: str, given: Mapping[str, Any] | None, told: str | None = None) -> Reason:
    """A failure as it was stored: its code and `params`, or the sentence that an earlier release made of them."""
    given = given or {}
    cause = given.get("cause")
    return Reason(
        code,
        given.get("kind"),
        number=given.get("number"),
        cause=stored(cause["code"], cause) if cause else None,
        told=told,
    )
