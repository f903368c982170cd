"""Which workers that `chatwren serve` started on a folder are dead beyond doubt, so that nobody waits for their leases.

A worker holds a lock on a file of its own, named by its id, and its engine holds the same one: the kernel frees it when
both have ended, however they did, and not while one of them is frozen or in its last breath. Nothing else proves that a
worker is dead, and nothing is known of those that somebody started alone, or on another folder: they have no file here.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import structlog

from chatwren.machine import lifeline

log = structlog.get_logger(__name__)

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_UNFINISHED = ".new"


class Lives:
    """The workers of one folder.

    Args:
        data_dir: the data directory of the `serve` that started this process. Without one nothing is proved: no life is
            marked, and none has ended.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "workers" if lifeline.VARIABLE in os.environ else None

    @property
    def provable(self) -> bool:
        """Whether anything is proved here."""
        return self._folder is not None

    @contextlib.contextmanager
    def marked(self, worker: UUID) -> Iterator[tuple[int, ...]]:
        """A life, marked for as long as the context, which begins before anybody else can know of the worker.

        The file stays behind until the worker is forgotten. Where none can be made, the worker lives without.

        Returns:
            The descriptors that the worker's engine is to inherit, and no other process.
        """
        descriptor = None
        if self._folder is not None:
            try:
                descriptor = _mark(self._folder, str(worker))
            except OSError as error:
                log.warning("worker.not_marked", error=str(error))
        try:
            yield () if descriptor is None else (descriptor,)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def ended(self) -> list[UUID]:
        """The workers that are dead, whose engines are dead, and that were not forgotten."""
        found = []
        for mark in self._folder.glob("*-*") if self._folder is not None else ():
            if mark.suffix != _UNFINISHED:
                with contextlib.suppress(OSError, ValueError):  # it is held, or gone, or none of ours
                    if _proves_death(mark):
                        found.append(UUID(mark.name))
                    else:
                        mark.unlink()
        return found

    def forget(self, worker: UUID) -> None:
        """Remove what is left of a worker whose row is gone."""
        if self._folder is not None:
            (self._folder / str(worker)).unlink(missing_ok=True)


def _mark(folder: Path, name: str) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = folder / f"{name}{_UNFINISHED}"
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, _identity(descriptor))
        unfinished.rename(folder / name)  # who finds it finds it locked
    except OSError:
        os.close(descriptor)
        unfinished.unlink()
        raise
    return descriptor


def _proves_death(mark: Path) -> bool:
    """Whether who locked this very file, since this machine was started, is dead.

    Of a copy of the folder, or of one that several machines see, a free lock proves nothing.

    Raises:
        BlockingIOError: a process holds it.
    """
    descriptor = os.open(mark, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.read(descriptor, 200) == _identity(descriptor)
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> bytes:
    """A file, and the machine's run.

    Raises:
        OSError: the machine does not say which run it is.
    """
    file = os.fstat(descriptor)
    return f"{_BOOT.read_text().strip()} {file.st_dev} {file.st_ino}".encode()
