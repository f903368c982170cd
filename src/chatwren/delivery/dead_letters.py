"""What cannot be stored: put aside with its bytes and the reason, and tried again on request."""

import traceback
from collections.abc import Callable
from pathlib import Path

import structlog

from chatwren.channels.facts import Event, MessageReceived, ReceiptReceived, Unreadable
from chatwren.delivery import arrivals
from chatwren.domain.errors import Conflict, NotFound
from chatwren.service.dead_letters import get, missing
from chatwren.store import dead_letters
from chatwren.store.database import CLASHES, UNREACHABLE, Connection, Database

log = structlog.get_logger(__name__)


async def put_aside(connection: Connection, event: Event, reason: str) -> None:
    """Keep an event that cannot be stored. Where its account has no room for more, it is counted only."""
    number = await dead_letters.put_aside(connection, event.account, event.kind, reason, event.raw)
    # Without the reason, which may quote what the message says.
    log.error("events.put_aside", account=str(event.account), kind=event.kind, dead_letter=number)


def reason_of(error: Exception) -> str:
    """What went wrong, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


async def retry(db: Database, letter: int, *, read: Callable[[bytes], Event]) -> None:
    """Store what was put aside, by the way that all events take; then it is no dead letter any more.

    Workers may run meanwhile: what a message or a receipt says is true whoever stores it, and it is stored once.

    Args:
        read: how its channel reads an event.

    Raises:
        NotFound: there is none of that number.
        Conflict: it cannot be stored, with the reason. It stays a dead letter.
        any of store.database.UNREACHABLE, CLASHES: not now.
    """
    found, raw = await get(db, letter)
    if found.size > dead_letters.MAX_EVENT_BYTES:
        raise Conflict(f"Of its {found.size:,} bytes only the first {dead_letters.MAX_EVENT_BYTES:,} were kept.")
    event = read(raw)
    if isinstance(event.what, Unreadable):
        raise Conflict(f"It cannot be read: {event.what.reason}")
    if not isinstance(event.what, MessageReceived | ReceiptReceived):
        raise Conflict("It tells of a state of its account, which was true at that moment only.")
    try:
        await _store(db, letter, event)
    except (NotFound, *UNREACHABLE, *CLASHES):
        raise
    except Exception as error:
        reason = reason_of(error)
        async with db.connection() as connection:
            await dead_letters.tried_again(connection, letter, reason)
        raise Conflict(f"It still cannot be stored: {reason}") from error


async def _store(db: Database, letter: int, event: Event) -> None:
    async with db.transaction() as connection:
        if not await dead_letters.remove(connection, letter):  # by another who tries it
            raise missing(letter)
        await arrivals.apply_facts(connection, [event])
