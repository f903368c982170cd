"""What an event changes in the database.

A message and a receipt are true whoever applies them. A state of an account was true at its moment, and counts only if
the worker that heard it owns the account.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.channels.engine.model import Connection as State
from chatwren.channels.engine.model import (
    ConnectionChanged,
    Event,
    GroupsChanged,
    MessageReceived,
    NameChanged,
    Other,
    ReceiptReceived,
)
from chatwren.store import inbound, lateness
from chatwren.store.database import Connection
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Receipt, Recorded
from chatwren.store.inbound import Inbound

log = structlog.get_logger(__name__)

UNTOLD_BAN = timedelta(hours=1)
"""How long a ban is taken to last of which WhatsApp does not say how long."""

# WhatsApp's reasons at login, as whatsmeow names them: 401 logged out, 403 account locked, 406 banned.
_UNLINKED = {403: ("logged_out", "locked"), 406: ("banned", "banned")}
_UNLINKED_ON_THE_PHONE = ("logged_out", "unlinked_on_phone")
_OFFLINE = {
    State.DISCONNECTED: "connection_lost",
    State.REPLACED: "replaced",
    State.OUTDATED: "outdated",
    State.FENCED: "fenced",
}


async def apply_facts(connection: Connection, events: Sequence[Event]) -> Recorded:
    """Store the messages and receipts among these events. To be called in a transaction."""
    messages = [_inbound(event.account, event.what) for event in events if isinstance(event.what, MessageReceived)]
    receipts = [
        Receipt(event.account, wa_id, event.what.read, event.what.at)
        for event in events
        if isinstance(event.what, ReceiptReceived)
        for wa_id in event.what.ids
    ]
    settled = Recorded(frozenset(), {})
    if receipts:
        settled = await fenced_messages.apply_receipts(connection, receipts)
    if not messages:
        return settled
    return Recorded(settled.users | await inbound.store(connection, messages), settled.pauses)


async def apply_state(connection: Connection, worker: UUID, event: Event, *, expire_after: timedelta) -> UUID | None:
    """Store a state that an event tells of an account, if it is one and the account is this worker's.

    Returns:
        The user whose data changed.
    """
    match event.what:
        case ConnectionChanged():
            return await _connection_changed(connection, worker, event.account, event.what, expire_after)
        case NameChanged():
            return await fenced_accounts.named(connection, worker, event.account, event.what.name)
        case GroupsChanged():
            await fenced_accounts.groups_changed(connection, worker, event.account)
        case Other():
            log.info("inbox.other", account=str(event.account), what=event.what.what)
    return None


async def _connection_changed(
    connection: Connection, worker: UUID, account: UUID, change: ConnectionChanged, expire_after: timedelta
) -> UUID | None:
    log.info(
        "account.connection",
        account=str(account),
        state=change.kind.value,
        code=change.code or None,
        detail=change.detail or None,
    )
    match change.kind:
        case State.CONNECTED:
            user = await fenced_accounts.connected(connection, worker, account, change.push_name)
            if user is not None:  # before anything is claimed: what is too late must not go out
                await lateness.expire(connection, account, expire_after)
            return user
        case State.BANNED:
            return await fenced_accounts.restricted(
                connection, worker, account, change.code, change.until, otherwise=UNTOLD_BAN
            )
        case State.LOGGED_OUT:
            status, reason = _UNLINKED.get(change.code, _UNLINKED_ON_THE_PHONE)
            return await fenced_accounts.unlinked(connection, worker, account, status, reason)
        case State.CONNECT_FAILURE:
            return await fenced_accounts.disconnected(connection, worker, account, f"connect_failure_{change.code}")
        case State.DISCONNECTED | State.REPLACED | State.OUTDATED | State.FENCED:
            return await fenced_accounts.disconnected(connection, worker, account, _OFFLINE[change.kind])


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
        raw=message.raw,
    )
