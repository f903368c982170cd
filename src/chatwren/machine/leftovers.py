"""What an embedded PostgreSQL leaves whose guardian was killed with it, or before it."""

import contextlib
import os
import signal
import time
from pathlib import Path

import structlog

from chatwren.settings import CannotStart

log = structlog.get_logger(__name__)

LEFTOVER_SECONDS = 15.0


def end_leftover(home: Path) -> bool:
    """End what still runs on this data, and remove a postmaster.pid that nobody stands behind.

    PostgreSQL itself takes such a file for a living server when its number has been given to another process of the
    same user, or is that of one that was killed and that nobody has buried. We see a server by its program and working
    folder; where there is no /proc, the decision is PostgreSQL's.

    Returns:
        Whether nobody runs on it for certain.

    Raises:
        CannotStart: it does not end.
    """
    if not Path("/proc/self/exe").exists():
        return False
    deadline = time.monotonic() + LEFTOVER_SECONDS
    asked = False
    while left := processes_on(home):
        if not asked:
            log.info("postgres.ending_leftover", processes=left)
            with contextlib.suppress(OSError, ValueError, IndexError):
                postmaster = int((home / "postmaster.pid").read_text().splitlines()[0])
                if postmaster in left:
                    os.kill(postmaster, signal.SIGINT)
            asked = True
        if time.monotonic() > deadline:
            raise CannotStart(f"An earlier PostgreSQL on {home} does not end (process {left[0]}).")
        time.sleep(0.02)
    (home / "postmaster.pid").unlink(missing_ok=True)
    return True


def processes_on(home: Path) -> list[int]:
    """The PostgreSQL processes that run on these data, by number."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is not ours
            program = (process / "exe").readlink().name  # "postgres (deleted)" after its wheel was replaced
            if program.startswith("postgres") and (process / "cwd").samefile(home):
                found.append(int(process.name))
    return found
