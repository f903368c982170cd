"""`chatwren web` with a clock in its event loop: `python clocked.py FILE`, with the environment of `chatwren web`.

FILE gets a line for each turn of the loop that came late: when (CLOCK_MONOTONIC), by how many seconds, and how many of
these its thread waited for a processor, since others had them.
"""

import asyncio
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import TextIO

from chatwren.commands import settings_of
from chatwren.web import server

PERIOD = 0.005
WORTH_TELLING = 0.01


class Clocked(server.Server):
    """A server that notes how late its event loop is."""

    file: TextIO
    waited = 0.0
    """Seconds for a processor, until the turn before."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and look at the clock from then on."""
        self._look_later()
        await super().startup(sockets)

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(PERIOD, partial(self._look, time.monotonic() + PERIOD))

    def _look(self, due: float) -> None:
        late = time.monotonic() - due
        waited = waited_for_processor()
        if late > WORTH_TELLING:
            self.file.write(f"{time.monotonic():.3f} {late:.4f} {waited - self.waited:.4f}\n")
        self.waited = waited
        self._look_later()


def waited_for_processor() -> float:
    """Seconds that this thread has been ready while others ran."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", buffering=1) as Clocked.file:
        server.Server = Clocked  # type: ignore[misc]
        server.run(settings_of())
