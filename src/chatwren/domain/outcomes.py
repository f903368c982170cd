"""What is decided about a message after an attempt to send it, and what recording that changes."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chatwren.domain.messages import Status
from chatwren.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be recorded of an attempt.

    Attributes:
        status: what the message is now: sent, failed, waiting or sending (unknown: it goes again).
        fact: true whoever reports it; else it counts only for the account's owner, under the current epoch.
        failure: the last word, of what failed.
        unconfirmed: the attempt may have got out.
        account_pause: nothing leaves the account for so long; None: the usual pacing.
        recipient_pause: nothing leaves for this recipient for so long.
        restriction: WhatsApp's number, where the account as a whole may send nothing for `account_pause`.
        cold_refusal: WhatsApp's number, where no new contact may be written to for `recipient_pause`.
        cause: code of what kept it from being sent, for the timeline of what goes again.
    """

    status: Status
    fact: bool = False
    failure: Reason | None = None
    unconfirmed: bool = False
    account_pause: timedelta | None = None
    recipient_pause: timedelta | None = None
    restriction: int | None = None
    cold_refusal: int | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """Whose data a write changed, and for how long each account that may go on now has to pause.

    Attributes:
        strays: of receipts, the accounts that got one from elsewhere than where the message went.
    """

    users: frozenset[UUID]
    pauses: dict[UUID, timedelta]
    strays: tuple[UUID, ...] = ()
