"""Why an account does not send: a code, a sentence, and what to do. Derived when it is read, never stored."""

from dataclasses import dataclass
from datetime import datetime

from chatwren.domain.accounts import Account
from chatwren.domain.clock import to_wire
from chatwren.domain.pacing import ColdState


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something waits or ended.

    Attributes:
        code: stable; programs may depend on it.
        message: a sentence.
        since, until: from when to when, where that is known.
        next_step: what a person can do about it; None where there is nothing to be done.
    """

    code: str
    message: str
    since: datetime | None = None
    until: datetime | None = None
    next_step: str | None = None


_LINK = "Link it: GET /api/whatsapp/createqr, and scan the code with the phone."
_RELEASE = "POST /api/whatsapp/release lets them go; DELETE /api/messages/{id} cancels one."

_LOGGED_OUT = {
    "unlinked_on_phone": ": the device was unlinked on the phone",
    "locked": ": WhatsApp has locked it",
    "not_told": ", but WhatsApp could not be told: the phone lists the device until you remove it there",
}
_OFFLINE: dict[str, tuple[str, str | None]] = {
    "connection_lost": ("The connection to WhatsApp is down; it is being opened again.", None),
    "replaced": (
        "Another program uses this linked device and took the connection; it is being opened again.",
        "If it goes on, end the other program, or link the account again.",
    ),
    "outdated": (
        "WhatsApp wants a newer version of its protocol (its code 405); it is tried again.",
        "If it lasts for more than an hour, the operator has to update Chatwren (make update-whatsmeow).",
    ),
}

# What WhatsApp's codes of a temporary ban mean, as whatsmeow names them (types/events, TempBanReason).
_RESTRICTIONS = {
    101: "messages went to too many people who do not have this number in their contacts",
    102: "too many people have blocked this number",
    103: "too many groups were made with people who do not have this number in their contacts",
    104: "the same message went to too many people",
    106: "too many messages went to a broadcast list",
    429: "messages went out too fast",
}


def account_reason(account: Account, now: datetime) -> Reason | None:
    """Why the account sends nothing at `now`; None when nothing stands in its way."""
    if account.status == "banned":
        return Reason(
            "banned",
            "WhatsApp has banned this number. Only WhatsApp can lift that.",
            since=account.status_since,
            next_step="Ask for a review in the WhatsApp app on the phone, or link another number.",
        )
    if account.status == "logged_out":
        return Reason(
            "logged_out",
            f"The WhatsApp account is logged out{_LOGGED_OUT.get(account.status_reason or '', '')}. "
            "Link it again by its QR code.",
            since=account.status_since,
            next_step=_LINK,
        )
    if account.status == "new":
        return Reason("never_linked", "No WhatsApp account has been linked yet.", next_step=_LINK)
    if account.held_reason is not None:
        relinked = account.held_reason == "relinked_other_number"
        return Reason(
            "held",
            "Another number was linked while messages waited. Release them, or cancel them."
            if relinked
            else "Sending is on hold until you release it.",
            since=account.held_since,
            next_step=_RELEASE,
        )
    if account.restricted_until is not None and account.restricted_until > now:
        return _restricted(account, account.restricted_until)
    if not account.connected:
        message, next_step = _OFFLINE.get(account.offline_reason or "", _OFFLINE["connection_lost"])
        return Reason("offline", message, since=account.connected_since, next_step=next_step)
    return None


def _restricted(account: Account, until: datetime) -> Reason:
    code = account.restriction_code
    why = f": {_RESTRICTIONS[code]}" if code in _RESTRICTIONS else ""
    return Reason(
        "restricted",
        f"WhatsApp restricts this account until {to_wire(until)}" + (f" (its code {code}){why}." if code else "."),
        since=account.restricted_since,
        until=until,
        next_step="It ends by itself. Write more slowly and to people who expect it, or the next one is longer.",
    )


def new_contacts_reason(account: Account, state: ColdState, now: datetime) -> Reason | None:
    """Why the account writes to nobody new at `now`, although it sends; None when it may."""
    if account.cold_until is not None and account.cold_until > now:
        cap = account.cold_code == 475  # noqa: PLR2004 - WhatsApp's number
        return Reason(
            "new_chat_cap" if cap else "new_contacts_refused",
            (
                f"WhatsApp lets this account begin no more new chats for now (its code {account.cold_code})."
                if cap
                else f"WhatsApp refuses this account's messages to new contacts for now (its code {account.cold_code})."
            )
            + " Those to contacts who have written, or were reached before, go on.",
            since=account.cold_since,
            until=account.cold_until,
            next_step="It is tried again then. Until somebody new writes first, there is nothing to be done.",
        )
    if state.free_at is not None:
        return Reason(
            "daily_cap",
            f"In the last 24 hours the account has written to {state.cap} new contacts; more could get it banned.",
            until=state.free_at,
            next_step="The cap grows with each day that the number is linked (settings CHATWREN_COLD_…).",
        )
    return None
