"""One `chatwren serve` to one data directory."""

import asyncio
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from chatwren.settings import CannotStart, option


class Claim:
    """Holds the data directory for one process, as a context. The claim ends with the process, however that ends.

    Attributes:
        unclean: the process that held it last did not let go in order; its children may still be on their way out.

    Raises:
        CannotStart: another process holds it, or there is no permission.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.unclean = False

    def __enter__(self) -> Self:
        try:
            self._data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            descriptor = os.open(self._data_dir / "lock", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._file = os.fdopen(descriptor, "a+")
            os.fchmod(descriptor, 0o600)  # who may read it may lock it
        except OSError as error:
            raise CannotStart(f"{self._data_dir} cannot be used as the data directory: {error.strerror}.") from None
        self._file.seek(0)
        holder = self._file.read().strip()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CannotStart(
                f"Chatwren runs on {self._data_dir} already (process {holder}): stop it, or choose another folder with "
                f"{option('data_dir')}."
            ) from None
        self.unclean = bool(holder)
        try:
            self._write(str(os.getpid()))
        except OSError as error:
            raise CannotStart(f"{self._data_dir} cannot be written to: {error.strerror}.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        self._file.close()

    def _write(self, text: str) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()


async def until_free(lock: Path, *, seconds: float) -> None:
    """Wait until no process holds the lock of a file, or so long."""
    deadline = time.monotonic() + seconds
    while _is_held(lock) and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel sends no event
        await asyncio.sleep(0.02)


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)  # else there is none
    return False
