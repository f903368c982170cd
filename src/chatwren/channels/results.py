"""What becomes of a send, in words that are no channel's own. What is recorded then: delivery/outcomes.py."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from chatwren.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp has taken it. `id`: that by which receipts name it."""

    id: str


class NotSentReason(Enum):
    """Why a message never left."""

    NOT_CONNECTED = "not_connected"
    NOT_OPEN = "not_open"
    FENCED = "fenced"
    BUSY = "busy"  # what the account was at before took too long
    LOCAL = "local"  # about this message: where its recipient is, or its file, could not be had


@dataclass(frozen=True, slots=True)
class NotSent:
    """It certainly is not out, and may be sent later."""

    reason: NotSentReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may be out. `cause`: a stable code, for the timeline."""

    detail: str = ""
    cause: str = "no_answer"


@dataclass(frozen=True, slots=True)
class Refused:
    """It never will be sent: for its recipient, its file or its form. `failure`: the last word on it."""

    failure: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AccountRefused:
    """It certainly is not out: WhatsApp takes nothing from this account for a time.

    Attributes:
        code: WhatsApp's number.
        pause: how long nothing more is tried.
    """

    code: int
    pause: timedelta
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NewContactsRefused:
    """It certainly is not out: WhatsApp takes nothing from this account to new contacts for a time.

    Attributes:
        code: WhatsApp's number.
        pause: how long nothing more is tried with them.
    """

    code: int
    pause: timedelta
    detail: str = ""


Result = Sent | NotSent | Unknown | Refused | AccountRefused | NewContactsRefused
