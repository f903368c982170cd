"""Child processes that are started again when they die, stopped in order, and never outlive their parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence

import structlog

from chatwren.machine import lifeline
from chatwren.settings import CannotStart

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
"""A child that ran this long is healthy: its next death is answered at once again."""


class BackOff:
    """How long to wait before starting something again that has ended: longer each time, until it runs steadily."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE_SECONDS
        self._started = time.monotonic()

    def started(self) -> None:
        """It runs now."""
        self._started = time.monotonic()

    def pause(self) -> float:
        """Seconds to wait, now that it ended."""
        if time.monotonic() - self._started >= STEADY_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause


class Lifeline:
    """A pipe whose end of file tells the children that this process is gone (lifeline.py)."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()

    def close(self) -> None:
        """Let go: whatever still runs ends within 5 s."""
        os.close(self._write_end)
        os.close(self.read_end)


class Gate:
    """The standard input of children that load already while something is not ready: it ends when that is."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        self._open = False

    def open(self) -> None:
        """Let those go on that wait there. Once is enough; nobody can wait there afterwards."""
        if not self._open:
            self._open = True
            os.close(self._write_end)
            os.close(self.read_end)


class Child:
    """One child process.

    Args:
        environment: all of its environment but the lifeline.
        line: the lifeline that it inherits.
        patience: seconds between SIGTERM and SIGKILL when it is stopped.
        first_line: whether it prints a line when it is ready; then `start` waits for it and returns it.
        inherits: descriptors that it has open beside the lifeline.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        line: Lifeline,
        *,
        patience: float,
        first_line: bool = False,
        inherits: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self._command = command
        self._environment = {**environment, lifeline.VARIABLE: str(line.read_end)}
        self._line = line
        self._patience = patience
        self._first_line = first_line
        self._inherits = inherits
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._back_off = BackOff()

    async def start(self, *, behind: Gate | None = None) -> str:
        """Start it; the line that it prints when it is ready, or an empty text.

        Args:
            behind: a gate at which it waits.

        Raises:
            CannotStart: it ended without printing that line; what was wrong it has said itself.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL if behind is None else behind.read_end,
            stdout=subprocess.PIPE if self._first_line else None,
            pass_fds=[self._line.read_end, *self._inherits],
            start_new_session=True,  # an interrupt from the terminal goes to the parent, which stops children in order
        )
        self._back_off.started()
        log.info("process.started", name=self.name, pid=self._process.pid)
        if self._process.stdout is None:
            return ""
        said = (await self._process.stdout.readline()).decode().strip()
        if not said:
            raise CannotStart(f"{self.name} did not start: {_how(await self._process.wait())}.")
        return said

    async def ended(self) -> str:
        """Wait until it ends; how, in words."""
        assert self._process is not None  # noqa: S101 - started
        return _how(await self._process.wait())

    def keep(self) -> None:
        """From now on start it again whenever it ends, until `stop`."""
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _keep(self) -> None:
        while True:
            how = await self.ended()
            pause = self._back_off.pause()
            log.warning("process.ended", name=self.name, how=how, again_in_seconds=pause)
            await asyncio.sleep(pause)
            with contextlib.suppress(CannotStart):  # it has ended again, which the next turn says
                await self.start()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to end, and make it when its time is up or `hurry` is set."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            self._process.send_signal(signal.SIGTERM)
        ending = asyncio.create_task(self._process.wait())
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait([ending, hurrying], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not ending.done():
            log.warning("process.killed", name=self.name, why="it did not end in time")
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        log.info("process.stopped", name=self.name, how=_how(await ending))


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
