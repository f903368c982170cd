"""What arrives is stored the same way whichever edge hears it: a worker's stream, or a request of another's server."""

from collections.abc import Sequence

import structlog

from chatwren.domain.facts import Inbound, Receipt
from chatwren.domain.outcomes import Recorded
from chatwren.store import facts
from chatwren.store.database import Connection

log = structlog.get_logger(__name__)


async def note(connection: Connection, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
    """Store the usual ones of these receipts in one statement. Returns the others, which are for `store`."""
    _, others = await facts.note_receipts(connection, receipts)
    return others


async def store(connection: Connection, receipts: Sequence[Receipt], messages: Sequence[Inbound]) -> Recorded:
    """Store what arrived; what is stored already changes nothing. To be called in a transaction.

    Returns what the receipts settled.
    """
    settled = Recorded(frozenset(), {})
    if receipts:
        settled = await facts.apply_receipts(connection, receipts)
        for account in settled.strays:  # the log counts what it does not show
            log.warning("events.stray_receipt", account=str(account))
    if messages:
        await facts.store_messages(connection, messages)
    return settled
