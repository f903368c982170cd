"""Has strangers' files decoded by processes that can be killed, in turn by user. What they run: decoder_process.py."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import Final, Self
from uuid import UUID

import msgspec
import structlog

from chatwren.domain.errors import Unavailable
from chatwren.domain.fairness import FairPlaces
from chatwren.media.decoder_wire import MAX_REPLY, Job, Other, Reply, Task, unpack

log = structlog.get_logger(__name__)

SMALL_MEMORY: Final = 64_000_000
"""Bytes that a file may take which is tried at once: enough for photos that pass as they are."""
USUAL_MEMORY: Final = 150_000_000
"""Bytes that each of two may take: a turned photo of 12 megapixels needs 136 MB."""
LARGE_MEMORY: Final = 320_000_000
"""Bytes that one may take of which there is no second: 52 megapixels with transparency need 315 MB."""

_USUAL_AT_ONCE = 2
_MOST_WAITING = 64  # of all users
_SMALL_SECONDS, _SECONDS = 1, 5  # of the processor
_WALL_SECONDS = 30.0  # for what waits instead of computing
_START_SECONDS = 30.0
_RETRY_SECONDS = 2.0
_TRIES = 2
_CHUNK = 256 * 1024
_STATUS_BYTES = 4
# Python finds itself and its packages by these. Nothing else of web's environment concerns a decoder.
_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE")


class _LostError(Exception):
    """The process was killed, and not by us: an operator, or a machine without memory."""


class Decoders:
    """Decodes files, each in a process of its own that has bounded memory and time.

    Most files need little of both, and a process for these is never taken by others. What needs more than that is
    tried again with more; what needs much memory, while nothing else has more than little. The first files start what
    forks those processes; `close` ends it.
    """

    def __init__(self) -> None:
        self._small = FairPlaces(1, most_waiting=_MOST_WAITING)
        self._usual = FairPlaces(_USUAL_AT_ONCE, most_waiting=_MOST_WAITING)
        self._idle: list[_Decoder] = []
        self._started: list[_Decoder] = []
        self._starting: set[asyncio.Task[None]] = set()

    async def decode(self, user: UUID, path: Path, *, task: Task, mimetype: str, size: int) -> Reply:
        """What became of a file. To cancel this kills what decodes it.

        Args:
            user: whose turn it takes.
            task: to decode a picture, to read what a video or sound says about itself, or what a ZIP file holds.
            mimetype: by its first bytes.
            size: bytes.

        Raises:
            Unavailable: too many wait, or the process was killed and so was the one after it.
        """
        async with self._small.turn(user):
            reply = await self._surely(path, Job(task, mimetype, size, SMALL_MEMORY, _SMALL_SECONDS))
        if reply.outcome in (Other("memory"), Other("time")):
            job = Job(task, mimetype, size, USUAL_MEMORY, _SECONDS)
            reply = await self._usual.do(user, lambda: self._surely(path, job))
        if reply.outcome == Other("memory"):
            async with self._usual.turn(user, _USUAL_AT_ONCE):
                reply = await self._surely(path, Job(task, mimetype, size, LARGE_MEMORY, _SECONDS))
        return reply

    async def close(self) -> None:
        """End the processes."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        for one in self._started:
            one.end()
            await one.process.wait()

    async def _surely(self, path: Path, job: Job) -> Reply:
        for _ in range(_TRIES):
            try:
                return await self._once(path, job)
            except _LostError:
                log.warning("decoder.lost", mimetype=job.mimetype, size=job.size)
        raise Unavailable("The file could not be read right now. Send it again.", retry_after=_RETRY_SECONDS)

    async def _once(self, path: Path, job: Job) -> Reply:
        decoder = await self._free()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_WALL_SECONDS):
                status, reply = await decoder.do(path, job)
        except TimeoutError:
            decoder.end()
            status, reply = -signal.SIGXCPU, b""
        finally:
            if decoder.lives:
                self._idle.append(decoder)
        log.debug("decoder.done", mimetype=job.mimetype, status=status, ms=round((time.perf_counter() - began) * 1000))
        if status == -signal.SIGKILL:
            raise _LostError
        if status == -signal.SIGXCPU:
            return Reply(Other("time"))
        try:
            return unpack(reply)
        except (ValueError, msgspec.DecodeError):
            log.warning("decoder.senseless", mimetype=job.mimetype, size=job.size, status=status, bytes=len(reply))
            return Reply(Other("damaged"))

    async def _free(self) -> "_Decoder":
        while not self._idle:
            starting = asyncio.create_task(self._start())
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)
            await asyncio.shield(starting)  # one that has begun to start is there for the next, if this client leaves
        return self._idle.pop()

    async def _start(self) -> None:
        decoder = await _Decoder.start()
        self._started = [decoder, *(one for one in self._started if one.process.returncode is None)]
        await decoder.ready()
        self._idle.append(decoder)


class _Decoder:
    """A process that forks another for each job (decoder_process.py), seen from web.

    Attributes:
        process: that one.
        lives: whether it can be given jobs.
    """

    def __init__(self, process: Process, control: socket.socket) -> None:
        self.process = process
        self._control = control
        self._owes_status = False
        self.lives = True

    @classmethod
    async def start(cls) -> Self:
        """One that starts."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "chatwren.media.decoder_process", str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                cwd="/",
                start_new_session=True,  # an interrupt from the terminal is web's to handle
            )
        return cls(process, ours)

    async def ready(self) -> None:
        """Wait until it can be given jobs.

        Raises:
            _LostError: it has ended instead, or does not answer.
        """
        confined = b""
        try:
            async with asyncio.timeout(_START_SECONDS):
                confined = await asyncio.get_running_loop().sock_recv(self._control, 1)
        except (OSError, TimeoutError) as error:
            raise _LostError from error
        finally:
            if not confined:
                self.end()
        if not confined:
            raise _LostError
        if confined == b"\0":
            log.warning("decoder.system_calls_unrestricted", why="not known for this kernel or processor")

    async def do(self, path: Path, job: Job) -> tuple[int, bytes]:
        """How the process ended that did a job (its exit code, or the negative signal), and what it replied.

        Raises:
            _LostError: there is none any more.
        """
        try:
            if self._owes_status:
                await self._status()
            ours, theirs = socket.socketpair()
            with ours:
                ours.setblocking(False)
                with theirs, path.open("rb") as file:
                    socket.send_fds(self._control, [msgspec.json.encode(job)], [file.fileno(), theirs.fileno()])
                self._owes_status = True
                reply = await _all_of(ours)
            return await self._status(), reply
        except OSError as error:
            self.end()
            raise _LostError from error
        finally:
            if self._owes_status and self.lives:
                self._stop_job()

    def end(self) -> None:
        """End it, and what it has forked."""
        self.lives = False
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        self._control.close()

    async def _status(self) -> int:
        status = await asyncio.get_running_loop().sock_recv(self._control, _STATUS_BYTES)
        if len(status) != _STATUS_BYTES:
            raise ConnectionResetError
        self._owes_status = False
        return int.from_bytes(status, signed=True)

    def _stop_job(self) -> None:
        try:
            self._control.send(b"\0")
        except OSError:
            self.end()


async def _all_of(reply: socket.socket) -> bytes:
    """What comes until the end, or until it is more than a reply can have."""
    received = bytearray()
    while len(received) <= MAX_REPLY and (chunk := await asyncio.get_running_loop().sock_recv(reply, _CHUNK)):
        received += chunk
    return bytes(received)
