"""When the messages of a bulk are out, and what a person should know of that."""

from datetime import datetime

from chatwren.domain.accounts import Account
from chatwren.domain.health import new_contacts_reason
from chatwren.domain.pacing import ColdState
from chatwren.domain.times import told
from chatwren.service.queue_times import by_cap, by_pace
from chatwren.store.bulks import Progress

_NOTICEABLE = 10
"""Messages behind which waiting is worth a warning."""


def outlook(
    account: Account, found: Progress, new_contacts: ColdState, zone: str | None
) -> tuple[datetime | None, tuple[str, ...]]:
    """When the last waiting message goes out if nothing comes between, and what makes that late.

    Args:
        account: that sends them.
        found: how far the bulk is.
        new_contacts: what the account has of its cap.
        zone: in which the user thinks; None: it is not known.
    """
    if found.last_due is None:
        return None, ()
    warnings = []
    last_at = found.last_due
    paced = by_pace(account, found.before_last)
    if paced is not None and paced.at > last_at:
        last_at = paced.at
        if paced.at - max(found.last_due, account.now) > account.pacing.mean * _NOTICEABLE:
            warnings.append(
                f"{found.before_last} messages of this account go before the last; at one in "
                f"{account.pacing.mean.total_seconds():g} s on average it goes out about {told(paced.at, zone)}."
            )
    cap = new_contacts.cap
    if cap is not None and found.new_contacts > max(0, cap - new_contacts.used):
        blocked = new_contacts_reason(account, new_contacts, account.now)
        capped = by_cap(account, new_contacts, blocked, found.before_last, found.new_contacts - 1)
        when = ""
        if capped is not None:
            last_at = max(last_at, capped.at)
            when = f": the last of them goes out about {told(capped.at, zone)}"
        warnings.append(
            f"{found.new_contacts} of the recipients have neither written nor been reached, and the account writes to "
            f"at most {cap} such contacts in 24 hours{when}."
        )
    return last_at, tuple(warnings)
