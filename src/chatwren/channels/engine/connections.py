"""The accounts that are open at the engine, and what is to be done for each: connect, pair, log out, ask for groups.

What is wanted stands in rows. It is compared with what runs here, and jobs are started or stopped: one of a kind for an
account at a time; one that fails is tried again after a pause, and stops nothing else.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from chatwren.channels.engine import jobs, pairing
from chatwren.channels.engine.client import Engine, EngineError
from chatwren.channels.engine.process import EngineProcess
from chatwren.channels.facts import UNTOLD, Connected, Offline, Restricted, Source, State, Unlinked
from chatwren.domain import clock
from chatwren.domain.errors import ChatwrenError
from chatwren.store.database import UNREACHABLE, Database
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced.leases import Owned

log = structlog.get_logger(__name__)

_RENEW_SECONDS = 1.0
_ENGINE_PATIENCE_SECONDS = 10.0
_OPENING_AT_ONCE = 32  # a takeover of hundreds must not time out in its own queue
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0


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
class _Served:
    """An account while it is owned under one epoch.

    Attributes:
        open: the engine has it open, as far as is known.
        open_at: when to open it again, by time.monotonic.
        failures, not_before: of each kind of job, how often it failed in a row and when it is tried again.
    """

    row: Owned
    open: bool = False
    open_at: float = 0.0
    jobs: dict[Kind, _Job] = field(default_factory=dict)
    failures: dict[Kind, int] = field(default_factory=dict)
    not_before: dict[Kind, float] = field(default_factory=dict)


class EngineConnections:
    """Does what is wanted of accounts, through the worker's engine.

    Args:
        engines: where connections are held.
        lease_left: for how many seconds the worker surely owns them.
        look: called when something is to be done that `serve` can begin.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        engines: EngineProcess,
        lease_left: Callable[[], float],
        look: Callable[[], None],
    ) -> None:
        self._db = db
        self._worker = worker
        self._engines = engines
        self._lease_left = lease_left
        self._look = look
        self._served: dict[UUID, _Served] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._renewed = asyncio.Event()
        self._engine_lost = False
        self._orphans_seen = False
        self._opening = asyncio.Semaphore(_OPENING_AT_ONCE)

    # --- the engine -----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self, follow: Callable[[Source], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
        """Run the engine as long as the block; `follow` what each one reports."""
        following: asyncio.Task[None] | None = None

        def up(engine: Engine) -> None:
            nonlocal following
            following = asyncio.create_task(self._follow(engine, follow))
            self._look()

        def down() -> None:
            if following is not None:
                following.cancel()
            self.engine_down()

        async with self._engines.running(on_up=up, on_down=down):
            yield

    async def _follow(self, engine: Engine, follow: Callable[[Source], Coroutine[Any, Any, None]]) -> None:
        if not self._orphans_seen:
            try:
                await jobs.log_out_orphans(self._db, engine)
                self._orphans_seen = True
            except Exception as error:  # noqa: BLE001 - orphans can wait for the next engine, events cannot
                log.warning("worker.orphans_stay", error=repr(error))
        await follow(engine)

    async def log_out_orphans(self) -> None:
        """Log out devices that no account knows."""
        await jobs.log_out_orphans(self._db, self._engines.current)

    def engine_down(self) -> None:
        """The engine has ended, and every connection with it."""
        self._engine_lost = True
        for served in self._served.values():
            served.open, served.open_at = False, 0.0
        self._look()

    def kill(self) -> None:
        """End the engine at once."""
        self._engines.kill()

    # --- leases ---------------------------------------------------------------------------------------------------

    def lease_renewed(self) -> None:
        """The worker's heartbeat is on disk: the engine is to be told."""
        self._renewed.set()

    async def renew_leases(self) -> None:
        """Tell the engine of each renewal, until cancelled. An engine that does not answer is ended."""
        answered_at = time.monotonic()
        while True:
            await self._renewed.wait()
            self._renewed.clear()
            epochs = {account: served.row.epoch for account, served in self._served.items() if served.open}
            try:
                unknown = await self._engines.current.renew(
                    epochs, valid_for=self._lease_left(), at_most=_RENEW_SECONDS
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
                served = self._served.get(account)
                if served is not None and served.row.epoch == epochs[account]:
                    served.open = False
            if unknown:
                self._look()

    # --- accounts -------------------------------------------------------------------------------------------------

    def state_stored(self, account: UUID, state: State) -> None:
        """An account's connection changed; that is on disk."""
        served = self._served.get(account)
        if served is None:
            return
        match state:
            case Unlinked():
                served.open = False
            case Offline():
                if state.again_after is not None:
                    served.open, served.open_at = False, time.monotonic() + state.again_after.total_seconds()
            case Restricted():
                lasts = UNTOLD if state.until is None else state.until - clock.now()
                served.open, served.open_at = False, time.monotonic() + max(1.0, lasts.total_seconds())
            case Connected():
                pass

    def is_busy(self, account: UUID) -> bool:
        """Whether a job of the account runs."""
        return account in self._served and bool(self._served[account].jobs)

    def let_go(self, account: Owned) -> Awaitable[None]:
        """End the account's jobs, and have the engine close it."""
        served = self._served.pop(account.account, None)
        for job in served.jobs.values() if served else ():
            job.task.cancel()
        closing = asyncio.create_task(self._close(account))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _close(self, account: Owned) -> None:
        with contextlib.suppress(EngineError):
            await self._engines.current.close(account.account, account.epoch)

    async def rest(self) -> None:
        """End all jobs, and wait."""
        running = [job.task for served in self._served.values() for job in served.jobs.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *self._closing, return_exceptions=True)

    async def serve(self, accounts: Collection[Owned]) -> None:
        """Start what is wanted of these accounts, and stop what no longer is."""
        if self._engine_lost:
            async with self._db.connection() as connection:
                await fenced_accounts.all_disconnected(connection, self._worker, "engine_restarts")
            self._engine_lost = False
            self._look()  # what is given here was read before
            return
        for row in accounts:
            served = self._served.setdefault(row.account, _Served(row))
            served.row = row
            self._serve(served)

    def _serve(self, served: _Served) -> None:
        row = served.row
        running = served.jobs.get(Kind.PAIR)
        if running is not None and running.about != row.pairing:
            running.task.cancel()
        if not self._engines.is_up:
            return
        if row.left is not None:
            end = partial(jobs.end_device, self._db, self._engines.current, self._worker, row.account, row.left)
            self._start(served, Kind.LOGOUT, partial(end, epoch=row.epoch))
        elif row.pairing is not None:
            self._start(served, Kind.PAIR, partial(self._pair, served, row.pairing), about=row.pairing)
        elif row.logout_wanted:
            self._start(served, Kind.LOGOUT, partial(self._log_out, served))
        elif row.linked and not served.open and time.monotonic() >= served.open_at:
            self._start(served, Kind.OPEN, partial(self._open, served))
        if row.groups_wanted_at is not None and row.linked and row.connected:
            fetch = partial(jobs.fetch_groups, self._db, self._engines.current, self._worker, row, row.groups_wanted_at)
            self._start(served, Kind.GROUPS, fetch)

    def _start(
        self, served: _Served, kind: Kind, job: Callable[[], Coroutine[None, None, None]], *, about: UUID | None = None
    ) -> None:
        if kind in served.jobs or time.monotonic() < served.not_before.get(kind, 0.0):
            return
        served.jobs[kind] = _Job(asyncio.create_task(self._run_job(served, kind, job)), about)

    async def _run_job(self, served: _Served, kind: Kind, job: Callable[[], Coroutine[None, None, None]]) -> None:
        account = str(served.row.account)
        try:
            await job()
            served.failures.pop(kind, None)
        except Exception as error:
            failures = served.failures[kind] = served.failures.get(kind, 0) + 1
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
            served.not_before[kind] = time.monotonic() + pause
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
            served.jobs.pop(kind, None)
            self._look()

    async def _open(self, served: _Served) -> None:
        async with self._opening:
            engine = self._engines.current
            served.open = await jobs.connect(self._db, engine, self._worker, served.row, valid_for=self._lease_left())

    async def _log_out(self, served: _Served) -> None:
        await jobs.log_out(self._db, self._engines.current, self._worker, served.row)
        served.open = False

    async def _pair(self, served: _Served, pairing_id: UUID) -> None:
        engine = self._engines.current
        if await pairing.pair(self._db, engine, self._worker, served.row.epoch, pairing_id):
            served.open = True
            self.lease_renewed()  # the engine has opened it for some seconds only
