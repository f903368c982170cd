"""The command `chatwren worker`: owns accounts, drives its engine, sends what is due and stores what arrives."""

import asyncio
import contextlib
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

import structlog

from chatwren.channels.channel import Connections
from chatwren.channels.engine.connections import EngineConnections
from chatwren.channels.engine.process import EngineProcess
from chatwren.channels.engine.sender import EngineSender
from chatwren.delivery.burial import bury
from chatwren.delivery.consumer import Consumer
from chatwren.delivery.dispatch import Dispatcher
from chatwren.delivery.fence import Fence
from chatwren.delivery.heartbeat import Heartbeat, TakenForDead
from chatwren.delivery.ownership import Ownership
from chatwren.domain.ids import uuid7
from chatwren.machine import descriptors, lifeline
from chatwren.machine.lives import Lives
from chatwren.media.objects import media_store
from chatwren.service import bulk, deletion, housekeeping
from chatwren.service.computing import share_python
from chatwren.settings import CannotStart, Settings
from chatwren.store import migrate
from chatwren.store.database import CLASHES, UNREACHABLE, Database, Topic
from chatwren.store.fenced import workers

log = structlog.get_logger(__name__)

_DRAIN_MARGIN_SECONDS = 2
_PAUSE_SECONDS = 1
_OFTEN_SECONDS = 5
_BULKS_SECONDS = 0.5
_JOB_PAUSE_SECONDS = 0.1
_SWEEP_SECONDS = 600
_SEARCH_SECONDS = 60.0
_DELETIONS_SECONDS = 1
_DEAD_SECONDS = 0.2


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then drain: what is being sent may end, the accounts go to others.

    A worker that another took for dead begins anew, under a new id and with a new engine.

    Raises:
        CannotStart: no database is named, it has no tables of this version, or the engine cannot be started.
    """
    if settings.database_url is None:
        raise CannotStart("A worker needs DATABASE_URL.")
    share_python()
    descriptors.raise_limit()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    lifeline.watch(lambda: loop.call_soon_threadsafe(stop.set))
    while not stop.is_set():
        try:
            await _live(settings, settings.database_url, stop)
        except TakenForDead:
            log.warning("worker.taken_for_dead")
        except UNREACHABLE as error:
            log.warning("worker.database_unreachable", error=repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await stop.wait()


async def _live(settings: Settings, url: str, stop: asyncio.Event) -> None:
    """One life of a worker: from its row's beginning to its end."""
    worker = uuid7()
    structlog.contextvars.bind_contextvars(worker=str(worker))
    name = f"{workers.WORKER}{worker}"
    lives = Lives(settings.data_dir)
    async with (
        Database.connect(url, application_name=name, size=10, pacing=settings.pacing) as db,
        Database.connect(url, application_name=f"{name} beat", size=1) as pulse,
    ):
        async with db.connection() as connection:
            if problem := migrate.lacks(await migrate.revision(connection)):
                raise CannotStart(problem)
        # What is here now stays. Looking for garbage in it took a twelfth of the processor time of sending.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        with lives.marked(worker) as marks:
            async with _registered(db, worker, lives):
                jobs = [_repeat("bury", partial(bury, db, lives), every=_DEAD_SECONDS)] if lives.provable else []
                burying = _Loops(*jobs)
                try:
                    await _Worker(settings, worker, db, pulse, marks).work(stop)
                finally:
                    await burying.end()


@contextlib.asynccontextmanager
async def _registered(db: Database, worker: UUID, lives: Lives) -> AsyncIterator[None]:
    async with db.connection() as connection:
        await workers.register(connection, worker, socket.gethostname())
    log.info("worker.registered")
    try:
        yield
    finally:
        with contextlib.suppress(*UNREACHABLE):
            async with asyncio.timeout(_PAUSE_SECONDS), db.connection() as connection:
                await workers.remove(connection, worker)
            lives.forget(worker)
        log.info("worker.gone")


class _Worker:
    """The parts of a worker, and how they know of each other."""

    def __init__(self, settings: Settings, worker: UUID, db: Database, pulse: Database, marks: tuple[int, ...]) -> None:
        self._settings = settings
        self._worker = worker
        self._db = db
        self._fence = Fence(settings.lease_seconds)
        self._media = media_store(settings.media_url or str(settings.data_dir / "media"))
        # The one place that knows a channel by its name.
        engines = EngineProcess(settings, worker, marks=marks)
        self._connections: Connections = EngineConnections(
            db, worker, engines=engines, lease_left=lambda: self._fence.remaining, look=self._look
        )
        self._dispatcher = Dispatcher(
            db,
            worker,
            fence=self._fence,
            channel=EngineSender(db, engines, self._media, settings),
            settings=settings,
            accounts=self._may_send,
        )
        self._ownership = Ownership(
            db,
            worker,
            fence=self._fence,
            connections=self._connections,
            settings=settings,
            is_busy=self._dispatcher.is_busy,
            on_ready=self._dispatcher.look,
        )
        self._consumer = Consumer(
            db,
            worker,
            settings=settings,
            recording_over=self._dispatcher.recording_over,
            on_recorded=self._dispatcher.recorded,
            on_state=self._ownership.state_stored,
        )
        self._heartbeat = Heartbeat(
            pulse, worker, fence=self._fence, settings=settings, on_renewed=self._connections.lease_renewed
        )

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then drain: what is being sent ends, while the lease is still renewed and receipts count.

        Raises:
            TakenForDead: another worker has removed this one.
        """
        beating = _Loops(self._heartbeat.run(), self._connections.renew_leases())
        try:
            async with self._connections.running(self._consumer.follow):
                working, sending = (
                    _Loops(self._ownership.run(), self._listen(), *self._background()),
                    _Loops(self._dispatcher.run()),
                )
                try:
                    await _first_end(stop, beating, working, sending)
                    log.info("worker.drains")
                    self._dispatcher.stop()
                    await working.end()
                    with contextlib.suppress(*UNREACHABLE):
                        async with asyncio.timeout(_PAUSE_SECONDS), self._db.connection() as connection:
                            await workers.drain(connection, self._worker)
                    await asyncio.wait(
                        [*sending.tasks, *beating.tasks],
                        timeout=self._settings.send_timeout_seconds + _DRAIN_MARGIN_SECONDS,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                except TakenForDead:
                    self._connections.kill()  # nothing that it could still say counts
                    raise
                finally:
                    await working.end()
                    await sending.end()
        finally:
            await beating.end()

    def _look(self) -> None:
        self._ownership.look()

    def _may_send(self) -> Collection[UUID]:
        return self._ownership.may_send()

    async def _listen(self) -> None:
        def everywhere() -> None:
            self._ownership.look()
            self._dispatcher.look_everywhere()

        def look(_topic: Topic, accounts: set[UUID]) -> None:
            self._ownership.look()
            self._dispatcher.look(accounts)

        await self._db.listen([Topic.WORK], look, on_gap=everywhere)

    def _background(self) -> Iterable[Coroutine[Any, Any, NoReturn]]:
        async def often() -> None:
            await housekeeping.often(self._db, self._settings)

        async def sweep() -> None:
            await housekeeping.sweep(self._db, self._media, self._settings)

        async def delete_users() -> None:
            if users := await deletion.pending(self._db):
                await self._connections.log_out_orphans()  # of a pairing that the deletion ended
                await deletion.work_off(self._db, self._media, users)

        async def prepare_search() -> bool:
            return await housekeeping.prepare_search(self._db)

        async def accept_bulks() -> bool:
            return await bulk.accept_some(self._db, default_zone=self._settings.timezone)

        yield _repeat("often", often, every=_OFTEN_SECONDS)
        yield _repeat("sweep", sweep, every=_SWEEP_SECONDS)
        yield _repeat("delete_users", delete_users, every=_DELETIONS_SECONDS)
        yield _repeat("prepare_search", prepare_search, every=_SEARCH_SECONDS)
        yield _repeat("accept_bulks", accept_bulks, every=_BULKS_SECONDS)


async def _repeat(name: str, job: Callable[[], Awaitable[bool | None]], *, every: float) -> NoReturn:
    """Do a job again and again: after so many seconds, or soon where it says that there is more. No fault ends it."""
    while True:
        began = time.monotonic()
        try:
            more = await job()
        except CLASHES:
            more = True
        except UNREACHABLE as error:
            log.warning("worker.job_unreachable", job=name, error=repr(error))
            more = False
        except Exception:
            log.exception("worker.job_failed", job=name)
            more = False
        # As long as a step took, what is sent has Python for itself: a bulk may be slow, a message not late.
        await asyncio.sleep(min(time.monotonic() - began, _JOB_PAUSE_SECONDS) if more else every)


class _Loops:
    """Loops that run together."""

    def __init__(self, *loops: Coroutine[Any, Any, None]) -> None:
        self.tasks = [asyncio.create_task(loop) for loop in loops]

    async def end(self) -> None:
        """Cancel them, and wait."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _first_end(stop: asyncio.Event, *loops: _Loops) -> None:
    """Wait for `stop`. A loop that ends before, which none should, raises what ended it."""
    stopping = asyncio.create_task(stop.wait())
    tasks = [task for some in loops for task in some.tasks]
    try:
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                await task
    finally:
        stopping.cancel()
