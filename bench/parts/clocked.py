"""`chatwren web` with a clock in its event loop: `python clocked.py FILE`, with the environment of `chatwren web`.

FILE gets a line for each turn of the loop that came late: when (CLOCK_MONOTONIC) and by how many seconds.
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and look at the clock from then on."""
        self._look_later()
        await super().startup(sockets)

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(PERIOD, partial(self._look, time.monotonic() + PERIOD))

    def _look(self, due: float) -> None:
        late = time.monotonic() - due
        if late > WORTH_TELLING:
            self.file.write(f"{time.monotonic():.3f} {late:.4f}\n")
        self._look_later()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", buffering=1) as Clocked.file:
        server.Server = Clocked  # type: ignore[misc]
        server.run(settings_of())
