"""Reading which messages a request is about, and which page of them."""

from functools import partial
from uuid import UUID

from chatwren.domain.errors import Invalid, NotFound
from chatwren.domain.fields import Reader
from chatwren.domain.ids import parse_bulk_id, parse_message_id
from chatwren.domain.messages import Filter, Shown
from chatwren.domain.recipients import parse_recipient
from chatwren.domain.text import MAX_SHORT, absent, parse_short, required_text
from chatwren.domain.times import parse_moment
from chatwren.domain.whereabouts import Whereabouts

MAX_PAGE = 10**9
"""Further on every list has ended."""

_STATUSES = frozenset(one.value for one in Shown)


def parse_count(value: object, *, field: str, default: int) -> int:
    """A whole number from 1; `default` when absent."""
    if absent(value):
        return default
    digits = value.strip() if isinstance(value, str) else ""
    digits = digits.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        raise Invalid(f"{field} must be a whole number from 1.", field=field)
    return int(digits) if len(digits) <= len(str(MAX_PAGE)) else MAX_PAGE


def parse_cursor(value: object, *, field: str) -> UUID | None:
    """The row id of a message; None when absent."""
    if absent(value):
        return None
    try:
        return parse_message_id(required_text(value, field=field, at_most=MAX_SHORT))
    except NotFound:
        raise Invalid(f"{field} must be the nextCursor of an earlier page.", field=field) from None


def read_filter(reader: Reader, user_id: UUID, here: Whereabouts) -> Filter:
    """Which messages a query, or a body of the same members, asks for. To be used after the reader's `check`.

    Args:
        user_id: whose messages.
        here: where they are written.
    """
    status = reader.read("status", _parse_status)
    to = None if absent(reader.peek("to")) else reader.read("to", partial(parse_recipient, country=here.country))
    text = reader.read("q", parse_short)
    since = reader.read("from", partial(parse_moment, zone=here.zone))
    until = reader.read("until", partial(parse_moment, zone=here.zone))
    bulk = reader.read("bulkId", _parse_bulk)
    return Filter(
        user_id,
        status=status,
        recipient=to.value if to else None,
        text=text,
        since=since.at if since else None,
        until=until.at if until else None,
        bulk=bulk,
    )


def _parse_status(value: object, *, field: str) -> Shown | None:
    """A status to list; None when absent."""
    if absent(value):
        return None
    if not isinstance(value, str) or value not in _STATUSES:
        raise Invalid(f"{field} must be one of {', '.join(Shown)}.", field=field)
    return Shown(value)


def _parse_bulk(value: object, *, field: str) -> UUID | None:
    """The row id of a bulk; None when absent."""
    if absent(value):
        return None
    try:
        return parse_bulk_id(required_text(value, field=field, at_most=MAX_SHORT))
    except NotFound:
        raise Invalid(f"{field} must be the id of a bulk.", field=field) from None
