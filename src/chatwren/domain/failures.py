"""Why a message or a pairing failed: stable codes, and a sentence that a person can act on."""

from dataclasses import dataclass

from chatwren.domain.messages import OUTCOME_UNKNOWN


@dataclass(frozen=True, slots=True)
class Failure:
    """The last word on a message. Programs may depend on `code`."""

    code: str
    message: str


NOT_ON_WHATSAPP = Failure("not_on_whatsapp", "This phone number is not on WhatsApp.")
UNCONFIRMED = Failure(
    OUTCOME_UNKNOWN,
    "WhatsApp never confirmed this message, although it was sent again under the same id. "
    "It may have arrived; a late confirmation still counts.",
)
UNANSWERED = Failure(
    OUTCOME_UNKNOWN,
    "WhatsApp did not say whether it took this message, and sending it again could make two of it. "
    "It may have arrived; a late confirmation still counts.",
)
UNCONFIRMED_IN_TIME = Failure(
    OUTCOME_UNKNOWN,
    "WhatsApp had not confirmed this message when its expiresAt passed, so it was not sent again. "
    "It may have arrived; a late confirmation still counts.",
)
UNREACHABLE = Failure(
    "recipient_unreachable", "WhatsApp did not say how to reach this recipient, although it was asked many times."
)
MEDIA_MISSING = Failure("media_missing", "The file of this message is no longer stored. Send it again with the file.")
MEDIA_REFUSED = Failure("media_refused", "WhatsApp does not take this file.")
UNSENDABLE = Failure("unsendable", "WhatsApp cannot take this message in this form.")
TOO_LATE = Failure(
    "too_late", "The account could not send for too long after this message was due, so it was not sent any more."
)
DEADLINE_PASSED = Failure("deadline_passed", "Its expiresAt passed before it could go out, so it was not sent.")


def doubtful(failure: Failure) -> Failure:
    """The last attempt failed so, but one before had no answer: the message may have arrived."""
    return Failure(
        OUTCOME_UNKNOWN,
        f"{failure.message} But an earlier attempt had no answer, so the message may have arrived; "
        "a late confirmation still counts.",
    )


_REFUSALS = {
    401: "WhatsApp does not let this account write to this recipient.",
    403: "This account may not write to this group: it is no longer a member, or only admins may write.",
    404: "This group does not exist any more.",
}


def rejected(code: int) -> Failure:
    """WhatsApp refused the message with this number."""
    return Failure(f"rejected_{code}", _REFUSALS.get(code, f"WhatsApp refused this message (its code {code})."))
