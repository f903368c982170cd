"""What the numbers mean with which WhatsApp refuses a message: the engine's table of refusals.

Why each means what it does: docs/adr/0005-outcomes.md.
"""

from datetime import timedelta

from chatwren.channels.results import AccountRefused, NewContactsRefused, Refused, Result, Unknown
from chatwren.domain import reasons

# They concern the account and not the message, with how long nothing more is tried.
_ACCOUNT = {429: timedelta(minutes=5)}
# The same, of which only new contacts are concerned.
_NEW_CONTACTS = {463: timedelta(hours=1), 475: timedelta(hours=1)}
# WhatsApp's own trouble, not a word on the message.
_SERVER_TROUBLE = frozenset({500, 503})
# What the others mean of a message to a person, or to a group, where that is known: kinds of `rejected` in
# domain/reasons.py.
_OF_A_PERSON = {401: "recipient", 403: "recipient"}
_OF_A_GROUP = {401: "recipient", 403: "group", 404: "no_group"}


def refused(code: int, detail: str, *, to_group: bool) -> Result:
    """What it means that WhatsApp refused a message, to a group or a person, with this number."""
    if code in _ACCOUNT:
        return AccountRefused(code, _ACCOUNT[code], detail)
    if code in _NEW_CONTACTS:
        return NewContactsRefused(code, _NEW_CONTACTS[code], detail)
    if code in _SERVER_TROUBLE:
        return Unknown(detail, f"refused_{code}")
    meanings = _OF_A_GROUP if to_group else _OF_A_PERSON
    return Refused(reasons.rejected(code, meanings.get(code)), detail)
