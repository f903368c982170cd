"""The worker's engine: a child process that is started again whenever it dies, and that dies with the worker."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID

import structlog

from chatwren.channels.engine.client import Engine, EngineError
from chatwren.machine import programs
from chatwren.machine.environment import ENGINE, inherited
from chatwren.machine.supervisor import BackOff, Child, Lifeline
from chatwren.settings import CannotStart, Settings, variable

log = structlog.get_logger(__name__)

_LONGEST_SOCKET_PATH = 107
_PREFIX = "chatwren-engine-"
_ROOM_FOR_NAMES = 48
_PATIENCE_SECONDS = 6.0
_PASSED_ON = ("whatsapp_address", "whatsapp_proxy", "whatsapp_ca_file", "whatsapp_root_key")


class EngineProcess:
    """Runs an engine. `run` must be running; `current` is the client while the engine is up.

    Args:
        settings: what the engine talks to.
        worker: who owns it. The engine's database sessions carry the id.
        marks: descriptors that it inherits, so that the worker does not count as dead before it has ended as well.
    """

    def __init__(self, settings: Settings, worker: UUID, *, marks: tuple[int, ...] = ()) -> None:
        self._settings = settings
        self._worker = worker
        self._marks = marks
        self._engine: Engine | None = None
        self._killed = asyncio.Event()

    @property
    def current(self) -> Engine:
        """The engine.

        Raises:
            EngineError: it is not up at the moment.
        """
        if self._engine is None:
            raise EngineError("the engine is not running")
        return self._engine

    @property
    def is_up(self) -> bool:
        """Whether there is a running engine."""
        return self._engine is not None

    @contextlib.asynccontextmanager
    async def running(self, *, on_up: Callable[[Engine], None], on_down: Callable[[], None]) -> AsyncIterator[None]:
        """The engine runs as long as the block. The first start is awaited.

        Args:
            on_up: called at each start, with its client.
            on_down: called when it has ended.

        Raises:
            CannotStart: the program is missing or ended at once.
        """
        with socket_folder() as folder, contextlib.closing(Lifeline()) as line:
            starts: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            keeping = asyncio.create_task(self._keep(folder, line, on_up, on_down, starts), name="keep engine")
            try:
                await asyncio.wait([starts, keeping], return_when=asyncio.FIRST_COMPLETED)
                if keeping.done():
                    await keeping
                yield
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    def kill(self) -> None:
        """End an engine that no longer answers; another is started."""
        self._killed.set()

    async def _keep(
        self,
        folder: Path,
        line: Lifeline,
        on_up: Callable[[Engine], None],
        on_down: Callable[[], None],
        first: asyncio.Future[None],
    ) -> None:
        back_off = BackOff()
        for number in range(1, 1 << 62):
            socket = folder / f"{number}.sock"
            child = self._new_child(socket, line)
            try:
                await child.start()
                back_off.started()
                async with Engine.connect(socket) as engine:
                    log.info("engine.up", about=await engine.describe())
                    self._engine = engine
                    on_up(engine)
                    if not first.done():
                        first.set_result(None)
                    how = await self._end_of(child)
            except (CannotStart, EngineError) as error:
                if not first.done():
                    raise CannotStart(f"The engine did not start: {error.message}") from None
                how = error.message
            finally:
                if self._engine is not None:
                    self._engine = None
                    on_down()
                await asyncio.shield(child.stop(self._killed))
                socket.unlink(missing_ok=True)
            pause = back_off.pause()
            log.warning("engine.down", how=how, again_in_seconds=pause)
            self._killed.clear()
            await asyncio.sleep(pause)

    async def _end_of(self, child: Child) -> str:
        ended, killed = asyncio.create_task(child.ended()), asyncio.create_task(self._killed.wait())
        try:
            await asyncio.wait([ended, killed], return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else "it did not answer"
        finally:
            ended.cancel()
            killed.cancel()

    def _new_child(self, socket: Path, line: Lifeline) -> Child:
        given = {variable(name): getattr(self._settings, name) for name in _PASSED_ON}
        return Child(
            "engine",
            [str(programs.engine()), "serve", "--socket", str(socket), "--worker", str(self._worker)],
            inherited(ENGINE)
            | {"DATABASE_URL": self._settings.database_url or ""}
            | {variable("log_level"): self._settings.log_level}
            | {name: str(value) for name, value in given.items() if value is not None},
            line,
            patience=_PATIENCE_SECONDS,
            first_line=True,
            inherits=self._marks,
        )


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """A private folder whose path leaves room for a socket's name. What killed processes left is removed."""
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp makes it private
        if len(os.fsencode(parent)) <= _LONGEST_SOCKET_PATH - _ROOM_FOR_NAMES:
            break
    else:
        raise CannotStart("The folder for temporary files has too long a path for a socket: set TMPDIR to a short one.")
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left)
    with contextlib.ExitStack() as lock:
        while True:  # until it is locked, another process may take it for one that was left
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            with contextlib.suppress(OSError):
                lock.enter_context(_locked(folder))
                if folder.exists():
                    break
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with this process.

    Raises:
        BlockingIOError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
