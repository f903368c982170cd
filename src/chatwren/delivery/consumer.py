"""What happens to accounts: stored in the order in which it came, many at a time, and only then acknowledged."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from uuid import UUID

import structlog

from chatwren.channels.channel import ChannelError
from chatwren.channels.facts import Event, Events, ReceiptReceived, Source, State, Unreadable
from chatwren.delivery import arrivals, dead_letters
from chatwren.domain.outcomes import Recorded
from chatwren.service import arrivals as service
from chatwren.settings import Settings
from chatwren.store.database import CLASHES, UNREACHABLE, Connection, Database

log = structlog.get_logger(__name__)

_BATCH = 200
_MOST_FACTS = 1000
"""In a transaction, unless one event alone has more: others wait for it."""
_PAUSE_SECONDS = 0.5
_TOGETHER_SECONDS = 0.02
"""In this time receipts are taken once: what comes meanwhile is stored together. To store ten costs little more than to
store one, and nobody waits for a receipt, unless the account does."""
_TRIES = 3
_CLASHES = 20
_CLASH_PAUSE_SECONDS = 0.02
MAX_WAITING = 2 * _BATCH
MAX_WAITING_BYTES = 8 << 20
"""Events that were read and are not yet stored hold at most so many: the engine keeps the rest."""


class Consumer:
    """Stores what a channel reports.

    Args:
        worker: whose channel it is. States count only of accounts that it owns.
        settings: when messages expire.
        recording_over: returns when what is known of messages of these accounts is on disk, before receipts of them are
            stored: a receipt of what is known to be sent costs a third less.
        on_recorded: called with what receipts settled.
        on_state: called with each stored state of an account.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        settings: Settings,
        recording_over: Callable[[Collection[UUID]], Awaitable[None]],
        on_recorded: Callable[[Recorded], None],
        on_state: Callable[[UUID, State], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._expire_after = settings.expire_after
        self._recording_over = recording_over
        self._on_recorded = on_recorded
        self._on_state = on_state

    async def follow(self, source: Source) -> None:
        """Store all that happens there, until cancelled."""
        while True:
            try:
                async with source.events() as stream:
                    await self._follow(stream)
            except ChannelError as error:
                log.info("events.stream_ended", error=error.message)
            except Exception:
                log.exception("events.stream_failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, stream: Events) -> None:
        came = _Came()

        async def read() -> None:
            try:
                async for event in stream:
                    await came.put(event)
            finally:
                came.end()

        reading = asyncio.create_task(read())
        try:
            while batch := await came.take():
                await self._store(batch, stream)
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _store(self, batch: Sequence[Event], stream: Events) -> None:
        """Store events, however long it takes, and acknowledge each that is on disk: as what it is, or put aside."""
        tries = 0
        while True:
            try:
                recorded = await self._write(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, a stranger may have made it
                tries += 1
                if await self._may_go_again(error, tries, len(batch)):
                    continue
                if len(batch) > 1:  # one that cannot be stored must not cost the others
                    middle = len(batch) // 2
                    await self._store(batch[:middle], stream)
                    await self._store(batch[middle:], stream)
                    return
                if tries >= _TRIES and await self._put_aside(batch[0], error):
                    break
            else:
                self._tell(recorded, batch)
                break
        if stored := [event for event in batch if event.needs_ack]:
            await stream.ack(stored)

    async def _may_go_again(self, error: Exception, tries: int, waiting: int) -> bool:
        """Whether the fault lies elsewhere; then wait until it may be over. Too often, and it lies with the events."""
        if isinstance(error, CLASHES):
            await asyncio.sleep(_CLASH_PAUSE_SECONDS)
            return tries < _CLASHES
        if not isinstance(error, UNREACHABLE):
            return False
        log.warning("events.database_unreachable", waiting=waiting, error=repr(error))
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            with contextlib.suppress(*UNREACHABLE):
                await self._db.ping()
                return tries < _TRIES

    def _tell(self, recorded: Recorded, batch: Sequence[Event]) -> None:
        self._on_recorded(recorded)
        for event in batch:
            if isinstance(event.what, State):
                self._on_state(event.account, event.what)

    async def _write(self, batch: Sequence[Event]) -> Recorded:
        if all(isinstance(event.what, ReceiptReceived) for event in batch):
            await self._recording_over({event.account for event in batch})
            async with self._db.connection() as connection:
                others = await service.note(connection, arrivals.receipts(batch))
            if not others:
                return Recorded(frozenset(), {})
            async with self._db.transaction() as connection:
                return await service.store(connection, others, [])
        async with self._db.transaction() as connection:
            return await self._apply(connection, batch)

    async def _apply(self, connection: Connection, batch: Sequence[Event]) -> Recorded:
        recorded = await arrivals.apply_facts(connection, batch)
        for event in batch:
            if isinstance(event.what, Unreadable):
                await dead_letters.put_aside(connection, event, event.what.reason)
                continue
            await arrivals.apply_state(connection, self._worker, event, expire_after=self._expire_after)
        return recorded

    async def _put_aside(self, event: Event, error: Exception) -> bool:
        """Keep an event that cannot be stored as what it is. False: that cannot be done either; try all of it again."""
        try:
            async with self._db.transaction() as connection:
                await dead_letters.put_aside(connection, event, dead_letters.reason_of(error))
        except Exception as failure:  # noqa: BLE001 - nothing is acknowledged that is nowhere
            log.warning("events.not_put_aside", account=str(event.account), error=type(failure).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)
            return False
        return True


class _Came:
    """Events on the way from the stream to the database, no more than can be held. One task puts, one takes."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._pressing = asyncio.Event()
        self._taken_at = float("-inf")
        self._ended = False

    async def put(self, event: Event) -> None:
        """Add an event, when there is room for it."""
        while not self._has_room(len(event.raw)):
            self._pressing.set()
            self._room.clear()
            await self._room.wait()
        self._events.append(event)
        self._bytes += len(event.raw)
        if len(self._events) >= _BATCH or not isinstance(event.what, ReceiptReceived) or event.what.holds_up:
            self._pressing.set()
        self._some.set()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._some.set()
        self._pressing.set()

    async def take(self) -> list[Event]:
        """The next events: at least one, unless no more will come. Receipts may wait for others."""
        while not self._events and not self._ended:
            self._some.clear()
            await self._some.wait()
        early = self._taken_at + _TOGETHER_SECONDS - time.monotonic()
        if early > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(early):
                    await self._pressing.wait()
        self._taken_at = time.monotonic()
        taken: list[Event] = []
        facts = 0
        while self._events and len(taken) < _BATCH and (not taken or facts + _facts(self._events[0]) <= _MOST_FACTS):
            taken.append(self._events.popleft())
            facts += _facts(taken[-1])
            self._bytes -= len(taken[-1].raw)
        if not self._events:  # what is too much for a batch is not to wait
            self._pressing.clear()
        self._room.set()
        return taken

    def _has_room(self, size: int) -> bool:
        return not self._events or (len(self._events) < MAX_WAITING and self._bytes + size <= MAX_WAITING_BYTES)


def _facts(event: Event) -> int:
    """How many there are to be stored of it: a receipt may name thousands of messages."""
    return len(event.what.ids) if isinstance(event.what, ReceiptReceived) else 1
