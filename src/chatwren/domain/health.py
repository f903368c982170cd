"""Why an account does not send, as a code and a sentence. Derived when it is read, never stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatwren.domain.clock import to_wire


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits or ended."""

    code: str
    message: str


class Health(Protocol):
    """What is known of an account's health."""

    @property
    def status(self) -> str: ...  # noqa: D102 - see store.accounts.Account
    @property
    def status_reason(self) -> str | None: ...  # noqa: D102
    @property
    def connected(self) -> bool: ...  # noqa: D102
    @property
    def restricted_until(self) -> datetime | None: ...  # noqa: D102
    @property
    def restriction_code(self) -> int | None: ...  # noqa: D102
    @property
    def held_reason(self) -> str | None: ...  # noqa: D102


def account_reason(account: Health, now: datetime) -> Reason | None:
    """Why the account sends nothing at `now`; None when nothing stands in its way."""
    if account.status == "banned":
        return Reason("banned", "WhatsApp has banned this number. Only WhatsApp can lift that.")
    if account.status == "logged_out":
        return Reason("logged_out", "The WhatsApp account is logged out. Link it again by its QR code.")
    if account.status == "new":
        return Reason("never_linked", "No WhatsApp account has been linked yet.")
    if account.held_reason == "relinked_other_number":
        return Reason("held", "Another number was linked while messages waited. Release them, or cancel them.")
    if account.held_reason is not None:
        return Reason("held", "Sending is on hold until you release it.")
    if account.restricted_until is not None and account.restricted_until > now:
        return Reason(
            "restricted",
            f"WhatsApp restricts this account until {to_wire(account.restricted_until)}"
            + (f" (its code {account.restriction_code})." if account.restriction_code else "."),
        )
    if not account.connected:
        return Reason("offline", "The connection to WhatsApp is down; it is being opened again.")
    return None
