"""What happens to accounts: stored in the order in which it came, many at a time, and only then acknowledged."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.settings import Settings
from chatwren.store import account_state, dispatch, inbound, lateness
from chatwren.store.database import CHANGED, CLASHES, UNREACHABLE, Connection, Database
from chatwren.store.dispatch import Receipt, Recorded
from chatwren.store.inbound import Inbound
from chatwren.whatsapp import model
from chatwren.whatsapp.client import Engine, EngineError, Events
from chatwren.whatsapp.model import Connection as State
from chatwren.whatsapp.model import ConnectionChanged, Event, MessageReceived, ReceiptReceived

log = structlog.get_logger(__name__)

_BATCH = 200
_PAUSE_SECONDS = 0.5
UNTOLD_BAN = timedelta(hours=1)
"""How long a ban is taken to last of which WhatsApp does not say how long."""

# WhatsApp's reasons at login, as whatsmeow names them: 401 logged out, 403 account locked, 406 banned.
_UNLINKED = {403: ("logged_out", "locked"), 406: ("banned", "banned")}
_UNLINKED_ON_THE_PHONE = ("logged_out", "unlinked_on_phone")


class Inbox:
    """Stores what an engine reports.

    Args:
        db: where to.
        worker: whose engine it is. States count only of accounts that it owns.
        settings: the pause after a message that a receipt proves to be sent, and when messages expire.
        on_recorded: called with what receipts settled.
        on_connection: called with each stored change of a connection.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        settings: Settings,
        on_recorded: Callable[[Recorded], None],
        on_connection: Callable[[UUID, ConnectionChanged], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._pacing = settings.pacing
        self._expire_after = settings.expire_after
        self._on_recorded = on_recorded
        self._on_connection = on_connection

    async def follow(self, engine: Engine) -> None:
        """Store all that this engine reports, until cancelled."""
        while True:
            try:
                async with engine.events() as stream:
                    await self._follow(stream)
            except EngineError as error:
                log.info("inbox.stream_ended", error=error.message)
            except Exception:
                log.exception("inbox.stream_failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, stream: Events) -> None:
        came: asyncio.Queue[Event] = asyncio.Queue()

        async def read() -> None:
            async for event in stream:
                came.put_nowait(event)

        reading = asyncio.create_task(read())
        first: asyncio.Task[Event] | None = None
        try:
            while True:
                first = asyncio.create_task(came.get())
                await asyncio.wait([first, reading], return_when=asyncio.FIRST_COMPLETED)
                if not first.done():
                    return await reading
                batch = [first.result()]
                while not came.empty() and len(batch) < _BATCH:
                    batch.append(came.get_nowait())
                for event, ok in await self._store(batch):
                    if event.needs_ack:
                        await stream.ack(event, ok=ok)
        finally:
            running = [reading] if first is None else [reading, first]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _store(self, batch: Sequence[Event]) -> list[tuple[Event, bool]]:
        """Store events, however long it takes. Each with whether it could be."""
        while True:
            try:
                async with self._db.transaction() as connection:
                    recorded = await self._apply(connection, batch)
            except UNREACHABLE as error:
                log.warning("inbox.database_unreachable", waiting=len(batch), error=repr(error))
                await asyncio.sleep(_PAUSE_SECONDS)
            except CLASHES:
                continue
            except Exception:
                if len(batch) > 1:  # one that cannot be stored must not cost the others
                    return [answer for event in batch for answer in await self._store([event])]
                log.exception("inbox.failed", account=str(batch[0].account), event=type(batch[0].what).__name__)
                return [(batch[0], False)]
            else:
                self._db.hint(CHANGED, recorded.users)
                self._on_recorded(recorded)
                for event in batch:
                    if isinstance(event.what, ConnectionChanged):
                        self._on_connection(event.account, event.what)
                return [(event, True) for event in batch]

    async def _apply(self, connection: Connection, batch: Sequence[Event]) -> Recorded:
        users: set[UUID] = set()
        messages = [_inbound(event.account, event.what) for event in batch if isinstance(event.what, MessageReceived)]
        receipts = [
            Receipt(event.account, wa_id, event.what.read, event.what.at)
            for event in batch
            if isinstance(event.what, ReceiptReceived)
            for wa_id in event.what.ids
        ]
        settled = Recorded(frozenset(), {})
        if receipts:
            settled = await dispatch.apply_receipts(connection, receipts, pacing=self._pacing)
        if messages:
            users |= await inbound.store(connection, messages)
        for event in batch:
            user = await self._apply_one(connection, event)
            if user is not None:
                users.add(user)
        return Recorded(settled.users | users, settled.pauses)

    async def _apply_one(self, connection: Connection, event: Event) -> UUID | None:
        match event.what:
            case ConnectionChanged():
                return await self._connection_changed(connection, event.account, event.what)
            case model.NameChanged():
                return await account_state.named(connection, self._worker, event.account, event.what.name)
            case model.GroupsChanged():
                await account_state.groups_changed(connection, self._worker, event.account)
            case model.Other():
                log.info("inbox.other", account=str(event.account), what=event.what.what)
            case MessageReceived() | ReceiptReceived():
                pass  # stored together
        return None

    async def _connection_changed(
        self, connection: Connection, account: UUID, change: ConnectionChanged
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
                user = await account_state.connected(connection, self._worker, account, change.push_name)
                if user is not None:  # before anything is claimed: what is too late must not go out
                    await lateness.expire(connection, account, self._expire_after)
                return user
            case State.BANNED:
                return await account_state.restricted(
                    connection, self._worker, account, change.code, change.until, otherwise=UNTOLD_BAN
                )
            case State.LOGGED_OUT:
                status, reason = _UNLINKED.get(change.code, _UNLINKED_ON_THE_PHONE)
                return await account_state.unlinked(connection, self._worker, account, status, reason)
            case State.CONNECT_FAILURE:
                return await account_state.disconnected(
                    connection, self._worker, account, f"connect_failure_{change.code}"
                )
            case State.DISCONNECTED | State.REPLACED | State.OUTDATED | State.FENCED:
                return await account_state.disconnected(connection, self._worker, account, _OFFLINE[change.kind])


_OFFLINE = {
    State.DISCONNECTED: "connection_lost",
    State.REPLACED: "replaced",
    State.OUTDATED: "outdated",
    State.FENCED: "fenced",
}


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
