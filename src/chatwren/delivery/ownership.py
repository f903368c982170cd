"""The accounts that this worker owns: claims what nobody has, serves what it has, and gives up what is too much."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog

from chatwren.channels.channel import Connections
from chatwren.channels.facts import Connected, State
from chatwren.delivery.fence import Fence
from chatwren.settings import Settings
from chatwren.store.database import UNREACHABLE, Database
from chatwren.store.fenced import leases, workers
from chatwren.store.fenced.leases import Owned

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
_BETWEEN_LOOKS_SECONDS = 0.1
_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class _Mine:
    """An account while it is owned under one epoch. `leaving`: it is being given up."""

    row: Owned
    leaving: bool = False


class Ownership:
    """Owns accounts. `run` must be running.

    Args:
        fence: while it is closed nothing is decided.
        connections: where what is wanted of accounts is done.
        settings: the lease.
        is_busy: whether a message of an account is under way; then the account is not given up.
        on_ready: called with accounts that may send from now on.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        fence: Fence,
        connections: Connections,
        settings: Settings,
        is_busy: Callable[[UUID], bool],
        on_ready: Callable[[Iterable[UUID]], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._fence = fence
        self._connections = connections
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._is_busy = is_busy
        self._on_ready = on_ready
        self._mine: dict[UUID, _Mine] = {}
        self._woken = asyncio.Event()

    def look(self) -> None:
        """Something may have changed in the rows, or for an account."""
        self._woken.set()

    def state_stored(self, account: UUID, state: State) -> None:
        """A state of an account is on disk."""
        self._connections.state_stored(account, state)
        if isinstance(state, Connected) and account in self._mine:
            self._on_ready((account,))
        self.look()

    def may_send(self) -> Collection[UUID]:
        """The accounts whose messages this worker sends."""
        return [account for account, mine in self._mine.items() if mine.row.linked and not mine.leaving]

    async def run(self) -> None:
        """Look after the accounts until cancelled; then nothing is done for them any more."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._woken.wait()
                self._woken.clear()
                try:
                    await self._look()
                    await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)  # many hints are answered by one look
                except UNREACHABLE as error:
                    log.warning("accounts.database_unreachable", error=repr(error))
                    await asyncio.sleep(_PAUSE_SECONDS)
                except Exception:
                    log.exception("accounts.look_failed")
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            await self._connections.rest()

    async def _look(self) -> None:
        if not self._fence.open:
            return
        async with self._db.connection() as connection:
            share = await leases.share(connection, self._worker, lease=self._lease)
        if share.unowned and share.mine < share.fair:
            await self._claim(share.fair - share.mine)
        async with self._db.connection() as connection:
            rows = {row.account: row for row in await leases.owned(connection, self._worker)}
        for lost in [mine for account, mine in self._mine.items() if mine.row.epoch != _epoch(rows.get(account))]:
            del self._mine[lost.row.account]
            self._connections.let_go(lost.row)
        became_ready = []
        for account, row in rows.items():
            mine = self._mine.setdefault(account, _Mine(row))
            if row.linked and not mine.row.linked:
                became_ready.append(account)
            mine.row = row
        await self._connections.serve([mine.row for mine in self._mine.values() if not mine.leaving])
        if became_ready:
            self._on_ready(became_ready)
        await self._give_up(excess=share.mine - share.fair)

    async def _claim(self, most: int) -> None:
        async with self._db.connection() as connection:
            try:
                ended = await workers.end_sessions_of_the_gone(connection)
            except asyncpg.InsufficientPrivilegeError as error:
                log.warning("accounts.sessions_not_ended", error=str(error))
            else:
                if ended:
                    log.warning("accounts.sessions_ended", count=ended)
        async with self._db.transaction() as connection:
            claimed = await leases.claim(connection, self._worker, limit=most)
        if claimed:
            log.info("accounts.claimed", count=claimed)

    async def _give_up(self, *, excess: int) -> None:
        """Let go of accounts that nothing is wanted of, and of those that are too many here."""
        excess -= sum(mine.leaving and mine.row.wanted for mine in self._mine.values())  # those are on their way
        for account, mine in list(self._mine.items()):
            if self._connections.is_busy(account) or (mine.row.wanted and excess <= 0 and not mine.leaving):
                continue
            if mine.row.wanted and not mine.leaving:
                excess -= 1
            mine.leaving = True
            if self._is_busy(account):
                continue
            await self._connections.let_go(mine.row)
            async with self._db.connection() as connection:
                await leases.release(connection, self._worker, account, mine.row.epoch)
            del self._mine[account]
            log.info("accounts.given_up", account=str(account))


def _epoch(row: Owned | None) -> int | None:
    return row.epoch if row else None
