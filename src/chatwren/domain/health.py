"""Why an account does not send. Derived when it is read, never stored."""

from datetime import datetime

from chatwren.domain.accounts import Account
from chatwren.domain.pacing import ColdState
from chatwren.domain.reasons import Reason

# What WhatsApp's codes of a temporary ban mean, as whatsmeow names them (types/events, TempBanReason), and how it says
# that messages come too fast.
_RESTRICTIONS = {
    101: "strangers",
    102: "blocked",
    103: "groups",
    104: "same_message",
    106: "broadcasts",
    429: "too_fast",
}
_NEW_CHAT_CAP = 475
"""WhatsApp's number for that an account begins no more new chats; any other: that it refuses those."""


def account_reason(account: Account, now: datetime) -> Reason | None:
    """Why the account sends nothing at `now`; None when nothing stands in its way."""
    if account.status in ("banned", "logged_out"):
        return Reason(account.status, account.status_reason, since=account.status_since)
    if account.status == "new":
        return Reason("never_linked")
    if account.held_reason is not None:
        return Reason("held", account.held_reason, since=account.held_since)
    if account.restricted_until is not None and account.restricted_until > now:
        return _restricted(account, account.restricted_until)
    if not account.connected:
        return Reason("offline", account.offline_reason, since=account.connected_since)
    return None


def _restricted(account: Account, until: datetime) -> Reason:
    number = account.restriction_code or None
    kind = _RESTRICTIONS.get(number, "numbered") if number else None
    return Reason("restricted", kind, since=account.restricted_since, until=until, number=number)


def new_contacts_reason(account: Account, state: ColdState, now: datetime) -> Reason | None:
    """Why the account writes to nobody new at `now`, although it sends; None when it may."""
    if account.cold_until is not None and account.cold_until > now:
        code = "new_chat_cap" if account.cold_code == _NEW_CHAT_CAP else "new_contacts_refused"
        return Reason(code, since=account.cold_since, until=account.cold_until, number=account.cold_code)
    if state.free_at is not None:
        return Reason("daily_cap", until=state.free_at, number=state.cap)
    return None
