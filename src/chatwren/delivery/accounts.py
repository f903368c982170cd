"""The accounts that this worker owns, and what is to be done for each: connect, pair, log out, ask for groups.

What is wanted stands in rows. Each look compares it with what runs here and starts or stops jobs: one of a kind for an
account at a time; one that fails is tried again after a pause, and stops nothing else.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from chatwren.channels.engine.client import EngineError
from chatwren.channels.engine.model import Connection as State
from chatwren.channels.engine.model import ConnectionChanged
from chatwren.channels.engine.process import EngineProcess
from chatwren.delivery import jobs, pairing
from chatwren.delivery.fence import Fence
from chatwren.domain import clock
from chatwren.domain.errors import ChatwrenError
from chatwren.settings import Settings
from chatwren.store.database import CHANGED, UNREACHABLE, Database
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import leases, workers
from chatwren.store.fenced.leases import Owned

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
_BETWEEN_LOOKS_SECONDS = 0.1
_RENEW_SECONDS = 1.0
_ENGINE_PATIENCE_SECONDS = 10.0
_OPENING_AT_ONCE = 32  # a takeover of hundreds must not time out in its own queue
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0

# States out of which only another Open leads, with the seconds to wait for it.
_OPEN_AGAIN = {
    State.REPLACED: 5.0,  # a lease that was lost is noticed before that
    State.OUTDATED: 900.0,
    State.BANNED: 3600.0,
    State.CONNECT_FAILURE: 60.0,
}


class Kind(Enum):
    """What a job does."""

    OPEN = "open"
    PAIR = "pair"
    LOGOUT = "logout"
    GROUPS = "groups"


@dataclass(slots=True)
class _Job:
    task: asyncio.Task[None]
    about: UUID | None = None  # the pairing


@dataclass(slots=True)
class _Mine:
    """An account while it is owned under one epoch.

    Attributes:
        open: the engine has it open, as far as is known.
        open_at: when to open it again, by time.monotonic.
        leaving: it is being given up.
        failures, not_before: of each kind of job, how often it failed in a row and when it is tried again.
    """

    row: Owned
    open: bool = False
    open_at: float = 0.0
    leaving: bool = False
    jobs: dict[Kind, _Job] = field(default_factory=dict)
    failures: dict[Kind, int] = field(default_factory=dict)
    not_before: dict[Kind, float] = field(default_factory=dict)


class Accounts:
    """Owns accounts. `run` and `renew_leases` must be running.

    Args:
        db: rows.
        worker: who owns.
        fence: while it is closed nothing is decided.
        engines: where connections are held.
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
        engines: EngineProcess,
        settings: Settings,
        is_busy: Callable[[UUID], bool],
        on_ready: Callable[[Iterable[UUID]], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._fence = fence
        self._engines = engines
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._is_busy = is_busy
        self._on_ready = on_ready
        self._mine: dict[UUID, _Mine] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._renewed = asyncio.Event()
        self._engine_lost = False
        self._opening = asyncio.Semaphore(_OPENING_AT_ONCE)

    # --- what others tell -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Something may have changed in the rows."""
        self._woken.set()

    def lease_renewed(self) -> None:
        """The worker's heartbeat is on disk: the engine is to be told."""
        self._renewed.set()

    def may_send(self) -> Collection[UUID]:
        """The accounts whose messages this worker sends."""
        return [account for account, mine in self._mine.items() if mine.row.linked and not mine.leaving]

    def connection_changed(self, account: UUID, change: ConnectionChanged) -> None:
        """An account's connection changed; that is on disk."""
        mine = self._mine.get(account)
        if mine is None:
            return
        if change.kind is State.CONNECTED:
            self._on_ready((account,))
        elif change.kind in (State.LOGGED_OUT, State.FENCED):
            mine.open = False
        elif change.kind in _OPEN_AGAIN:
            pause = _OPEN_AGAIN[change.kind]
            if change.until is not None:
                pause = max(1.0, (change.until - clock.now()).total_seconds())
            mine.open, mine.open_at = False, time.monotonic() + pause
        self.look()

    def engine_down(self) -> None:
        """The engine has ended, and every connection with it."""
        self._engine_lost = True
        for mine in self._mine.values():
            mine.open, mine.open_at = False, 0.0
        self.look()

    # --- loops ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look after the accounts until cancelled; then no job runs any more."""
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
                    await asyncio.sleep(_FIRST_PAUSE)
                except Exception:
                    log.exception("accounts.look_failed")
                    await asyncio.sleep(_FIRST_PAUSE)
        finally:
            running = [job.task for mine in self._mine.values() for job in mine.jobs.values()]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, *self._closing, return_exceptions=True)

    async def renew_leases(self) -> None:
        """Tell the engine of each renewal, until cancelled. An engine that does not answer is ended."""
        answered_at = time.monotonic()
        while True:
            await self._renewed.wait()
            self._renewed.clear()
            epochs = {account: mine.row.epoch for account, mine in self._mine.items() if mine.open}
            try:
                unknown = await self._engines.current.renew(
                    epochs, valid_for=self._fence.remaining, at_most=_RENEW_SECONDS
                )
            except EngineError as error:
                if not self._engines.is_up:
                    answered_at = time.monotonic()
                elif time.monotonic() - answered_at > _ENGINE_PATIENCE_SECONDS:
                    log.warning("accounts.engine_silent", error=error.message)
                    self._engines.kill()
                continue
            answered_at = time.monotonic()
            for account in unknown:
                mine = self._mine.get(account)
                if mine is not None and mine.row.epoch == epochs[account]:
                    mine.open = False
            if unknown:
                self.look()

    # --- one look -------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        if not self._fence.open:
            return
        if self._engine_lost:
            async with self._db.connection() as connection:
                users = await fenced_accounts.all_disconnected(connection, self._worker, "engine_restarts")
            self._engine_lost = False
            self._db.hint(CHANGED, users)
        async with self._db.connection() as connection:
            share = await leases.share(connection, self._worker, lease=self._lease)
        if share.unowned and share.mine < share.fair:
            await self._claim(share.fair - share.mine)
        async with self._db.connection() as connection:
            rows = {row.account: row for row in await leases.owned(connection, self._worker)}
        for account in [one for one, mine in self._mine.items() if mine.row.epoch != _epoch(rows.get(one))]:
            self._forget(account)
        for account, row in rows.items():
            mine = self._mine.setdefault(account, _Mine(row))
            became_ready = row.linked and not mine.row.linked
            mine.row = row
            self._serve(mine)
            if became_ready:
                self._on_ready((account,))
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

    def _serve(self, mine: _Mine) -> None:
        """Start what is wanted of an account, and stop what no longer is."""
        row = mine.row
        running = mine.jobs.get(Kind.PAIR)
        if running is not None and running.about != row.pairing:
            running.task.cancel()
        if mine.leaving or not self._engines.is_up:
            return
        if row.pairing is not None:
            self._start(mine, Kind.PAIR, partial(self._pair, mine, row.pairing), about=row.pairing)
        elif row.logout_wanted:
            self._start(mine, Kind.LOGOUT, partial(self._log_out, mine))
        elif row.linked and not mine.open and time.monotonic() >= mine.open_at:
            self._start(mine, Kind.OPEN, partial(self._open, mine))
        if row.groups_wanted_at is not None and row.linked and row.connected:
            fetch = partial(jobs.fetch_groups, self._db, self._engines.current, self._worker, row, row.groups_wanted_at)
            self._start(mine, Kind.GROUPS, fetch)

    def _start(
        self, mine: _Mine, kind: Kind, job: Callable[[], Coroutine[None, None, None]], *, about: UUID | None = None
    ) -> None:
        if kind in mine.jobs or time.monotonic() < mine.not_before.get(kind, 0.0):
            return
        mine.jobs[kind] = _Job(asyncio.create_task(self._run_job(mine, kind, job)), about)

    async def _run_job(self, mine: _Mine, kind: Kind, job: Callable[[], Coroutine[None, None, None]]) -> None:
        account = str(mine.row.account)
        try:
            await job()
            mine.failures.pop(kind, None)
        except Exception as error:
            failures = mine.failures[kind] = mine.failures.get(kind, 0) + 1
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
            mine.not_before[kind] = time.monotonic() + pause
            expected = isinstance(error, (ChatwrenError, *UNREACHABLE))
            log.warning(
                "accounts.job_failed",
                account=account,
                job=kind.value,
                error=repr(error),
                again_in_seconds=pause,
                exc_info=not expected,
            )
        finally:
            mine.jobs.pop(kind, None)
            self.look()

    async def _open(self, mine: _Mine) -> None:
        async with self._opening:
            engine = self._engines.current
            mine.open = await jobs.connect(self._db, engine, self._worker, mine.row, valid_for=self._fence.remaining)

    async def _log_out(self, mine: _Mine) -> None:
        await jobs.log_out(self._db, self._engines.current, self._worker, mine.row)
        mine.open = False

    async def _pair(self, mine: _Mine, pairing_id: UUID) -> None:
        engine = self._engines.current
        if await pairing.pair(self._db, engine, self._worker, mine.row.epoch, pairing_id):
            mine.open = True
            self.lease_renewed()  # the engine has opened it for some seconds only

    async def _give_up(self, *, excess: int) -> None:
        """Let go of accounts that nothing is wanted of, and of those that are too many here."""
        excess -= sum(mine.leaving and mine.row.wanted for mine in self._mine.values())  # those are on their way
        for account, mine in list(self._mine.items()):
            if mine.jobs or (mine.row.wanted and excess <= 0 and not mine.leaving):
                continue
            if mine.row.wanted and not mine.leaving:
                excess -= 1
            mine.leaving = True
            if self._is_busy(account):
                continue
            if self._engines.is_up:
                with contextlib.suppress(EngineError):
                    await self._engines.current.close(account, mine.row.epoch)
            async with self._db.connection() as connection:
                await leases.release(connection, self._worker, account, mine.row.epoch)
            self._forget(account)
            log.info("accounts.given_up", account=str(account))

    def _forget(self, account: UUID) -> None:
        """The account is no longer owned under the epoch that was known here."""
        mine = self._mine.pop(account)
        for job in mine.jobs.values():
            job.task.cancel()
        closing = asyncio.create_task(self._close(account, mine.row.epoch))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, account: UUID, epoch: int) -> None:
        with contextlib.suppress(EngineError):
            await self._engines.current.close(account, epoch)


def _epoch(row: Owned | None) -> int | None:
    return row.epoch if row else None
