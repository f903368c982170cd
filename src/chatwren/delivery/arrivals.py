"""What an event changes in the database.

A message and a receipt are true whoever applies them. A state of an account was true at its moment, and counts only if
the worker that heard it owns the account.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.channels.facts import (
    UNTOLD,
    Connected,
    Event,
    GroupsChanged,
    MessageReceived,
    NameChanged,
    Offline,
    Other,
    ReceiptReceived,
    Restricted,
    State,
    Unlinked,
)
from chatwren.domain.facts import Inbound, Receipt
from chatwren.domain.outcomes import Recorded
from chatwren.service import arrivals
from chatwren.store import lateness
from chatwren.store.database import Connection
from chatwren.store.fenced import accounts as fenced_accounts

log = structlog.get_logger(__name__)


async def apply_facts(connection: Connection, events: Sequence[Event]) -> Recorded:
    """Store the messages and receipts among these events. To be called in a transaction."""
    messages = [_inbound(event.account, event.what) for event in events if isinstance(event.what, MessageReceived)]
    return await arrivals.store(connection, receipts(events), messages)


def receipts(events: Sequence[Event]) -> list[Receipt]:
    """The receipts among these events, one for each message that they name."""
    return [
        Receipt(event.account, wa_id, event.what.chat, event.what.chat_alt, event.what.read, event.what.at)
        for event in events
        if isinstance(event.what, ReceiptReceived)
        for wa_id in dict.fromkeys(event.what.ids)
    ]


async def apply_state(connection: Connection, worker: UUID, event: Event, *, expire_after: timedelta) -> None:
    """Store a state that an event tells of an account, if it is one and the account is this worker's."""
    match event.what:
        case Connected() | Offline() | Restricted() | Unlinked():
            await _state_changed(connection, worker, event.account, event.what, expire_after)
        case NameChanged():
            await fenced_accounts.named(connection, worker, event.account, event.what.name)
        case GroupsChanged():
            await fenced_accounts.groups_changed(connection, worker, event.account)
        case Other():
            log.info("events.other", account=str(event.account), what=event.what.what)


async def _state_changed(
    connection: Connection, worker: UUID, account: UUID, state: State, expire_after: timedelta
) -> None:
    log.info(
        "account.connection", account=str(account), state="connected" if isinstance(state, Connected) else repr(state)
    )
    match state:
        case Connected():
            if await fenced_accounts.connected(connection, worker, account, state.name):
                # Before anything is claimed: what is too late must not go out.
                await lateness.expire(connection, account, expire_after)
        case Restricted():
            await fenced_accounts.restricted(connection, worker, account, state.code, state.until, otherwise=UNTOLD)
        case Unlinked():
            await fenced_accounts.unlinked(connection, worker, account, state.status, state.reason)
        case Offline():
            await fenced_accounts.disconnected(connection, worker, account, state.reason)


def _inbound(account: UUID, message: MessageReceived) -> Inbound:
    return Inbound(
        account=account,
        chat=message.chat,
        sender=message.sender,
        wa_id=message.id,
        chat_phone=message.chat_phone,
        sender_phone=message.sender_phone,
        push_name=message.push_name,
        from_me=message.from_me,
        is_group=message.group,
        at=message.at,
        text=message.text,
        media=message.media,
    )
