"""Identifiers: sortable row ids, what the API shows of them, and WhatsApp's message ids."""

import re
import secrets
import threading
import time
from uuid import UUID

from chatwren.domain.errors import NotFound

_PUBLIC = re.compile(r"(?:(?:msg|sched)_)?([0-9a-f]{32})")
_PUBLIC_BULK = re.compile(r"bulk_([0-9a-f]{32})")
_PUBLIC_CONTACT = re.compile(r"cnt_([0-9a-f]{32})")
_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, method 3): later ones of this process sort after earlier ones."""
    global _last  # noqa: PLW0603 - one sequence a process
    with _lock:
        # 48 bits of milliseconds and, in the 12 bits of rand_a, the fraction of the millisecond.
        nanoseconds = time.time_ns()
        stamp = max((nanoseconds // 1_000_000) << 12 | (nanoseconds % 1_000_000) * 4096 // 1_000_000, _last + 1)
        _last = stamp
    return UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62))


def message_public_id(prefix: str, row_id: UUID) -> str:
    """`msg_…` or `sched_…`: a message as the API names it."""
    return f"{prefix}_{row_id.hex}"


def parse_message_id(text: str) -> UUID:
    """The row id behind a message's public id.

    Raises:
        NotFound: the text is no id of ours; no message can have it.
    """
    match = _PUBLIC.fullmatch(text)
    if match is None:
        raise NotFound("There is no such message.")
    return UUID(hex=match[1])


def bulk_public_id(row_id: UUID) -> str:
    """`bulk_…`: many messages that were handed over together, as the API names them."""
    return f"bulk_{row_id.hex}"


def parse_bulk_id(text: str) -> UUID:
    """The row id behind a bulk's public id.

    Raises:
        NotFound: the text is no such id.
    """
    match = _PUBLIC_BULK.fullmatch(text)
    if match is None:
        raise NotFound("There is no such bulk.")
    return UUID(hex=match[1])


def contact_public_id(row_id: UUID) -> str:
    """`cnt_…`: a contact as the API names it."""
    return f"cnt_{row_id.hex}"


def parse_contact_id(text: str) -> UUID:
    """The row id behind a contact's public id.

    Raises:
        NotFound: the text is no such id.
    """
    match = _PUBLIC_CONTACT.fullmatch(text)
    if match is None:
        raise NotFound("There is no such contact.")
    return UUID(hex=match[1])


def whatsapp_message_id() -> str:
    """A new WhatsApp message id in the form of its web clients: 3EB0 and 18 hex digits."""
    return "3EB0" + secrets.token_hex(9).upper()
