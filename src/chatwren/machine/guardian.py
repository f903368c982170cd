"""The parent of the embedded PostgreSQL: starts it and ends it cleanly when whoever wanted it is gone, by SIGKILL too.

Run as a script, with the standard library alone, so that it is small and starts at once:

    python guardian.py LIFELINE_FD UID GID LOG LOG_BYTES COMMAND...

LIFELINE_FD is the read end of a pipe. A byte on it asks for an orderly end; end of file means that the other side is
dead, and then PostgreSQL is gone within 5 s. UID and GID are -1 to keep those of this process. LOG is the file that
COMMAND's output is appended to: soon after it has LOG_BYTES it begins anew, and what it held is beside it, as LOG.1.
Ends as COMMAND does.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ORDERLY_SECONDS = 60.0
ORPHANED_SECONDS = 3.0
IMMEDIATE_SECONDS = 1.0
LOG_SECONDS = 1.0


def main() -> int:
    """Run the command until it ends or is to end; its exit code."""
    lifeline, uid, gid = (int(argument) for argument in sys.argv[1:4])
    log, log_bytes = Path(sys.argv[4]), int(sys.argv[5])
    change = {"user": uid, "group": gid, "extra_groups": []} if uid >= 0 else {}
    server: subprocess.Popen[bytes] = subprocess.Popen(sys.argv[6:], stdin=subprocess.DEVNULL, cwd="/", **change)  # type: ignore[call-overload]

    def end() -> None:
        patience = ORDERLY_SECONDS if os.read(lifeline, 1) else ORPHANED_SECONDS
        # Fast shutdown: sessions end, a checkpoint is written. Then immediate: the next start recovers from the log.
        for how, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, IMMEDIATE_SECONDS)):
            server.send_signal(how)
            try:
                server.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
            return
        server.kill()

    def bound_log() -> None:
        while True:
            time.sleep(LOG_SECONDS)
            with contextlib.suppress(OSError):  # the disk is full, perhaps; the next time is soon
                if log.stat().st_size >= log_bytes:
                    renew(log)

    for polite in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(polite, lambda *_: server.send_signal(signal.SIGINT))
    for work in (end, bound_log):
        threading.Thread(target=work, daemon=True).start()
    return server.wait()


def renew(log: Path) -> None:
    """Empty a file that others append to; what it held is beside it then, for its owner alone as well."""
    half = log.with_name(f"{log.name}.new")
    try:
        half.touch(0o600)
        shutil.copyfile(log, half)
        half.replace(log.with_name(f"{log.name}.1"))
    finally:
        os.truncate(log, 0)  # the bound comes before what it costs


if __name__ == "__main__":
    sys.exit(main())
