"""How many connections clients may hold: those that do nothing keep nobody out."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from chatwren.domain.addresses import IpAddress, network_of, parse_address
from chatwren.machine import descriptors

OF_CLIENT: Final = 512
"""Connections of one network, unless it is a trusted proxy's."""
_IN_ALL: Final = 4096
"""One process has so many: some 20 KB each."""
_OTHER_FILES: Final = 256
"""Descriptors for what else a process opens: the database, uploads, media."""
_LEAST: Final = 16


class ClientConnection(Protocol):
    """What is counted."""

    transport: asyncio.Transport


class ClientConnections:
    """The connections of one process.

    Where one more would be too many, the one that has been idle for longest is closed: of the same client when that has
    too many, else of all. Only when none is idle the new one is refused.
    """

    def __init__(self, *, trusts: Callable[[IpAddress | None], bool], in_all: int | None = None) -> None:
        """None is open.

        Args:
            trusts: whether an address is that of a proxy, which has as many as its clients need.
            in_all: most of all clients; what this process can open when left out.
        """
        self._trusts = trusts
        self._in_all = in_all or max(_LEAST, min(_IN_ALL, descriptors.limit() - _OTHER_FILES))
        self._clients: dict[ClientConnection, str | None] = {}
        self._open: Counter[str] = Counter()
        self._idle: dict[ClientConnection, None] = {}  # the longest first

    def enter(self, one: ClientConnection, address: str) -> bool:
        """Count a new one, which is idle; False when there is no room for it."""
        client = None if self._trusts(parse_address(address)) else network_of(address)
        full = len(self._clients) >= self._in_all
        crowded = client is not None and self._open[client] >= OF_CLIENT
        if (crowded and not self._close_idle(client)) or (full and not crowded and not self._close_idle(None)):
            return False
        self._clients[one] = client
        if client is not None:
            self._open[client] += 1
        self._idle[one] = None
        return True

    def busy(self, one: ClientConnection) -> None:
        """A request came on it."""
        self._idle.pop(one, None)

    def idle(self, one: ClientConnection) -> None:
        """The request was answered."""
        if one in self._clients:
            self._idle[one] = None

    def leave(self, one: ClientConnection) -> None:
        """It is closed."""
        self._idle.pop(one, None)
        client = self._clients.pop(one, None)
        if client is not None:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

    def _close_idle(self, client: str | None) -> bool:
        """Close the one that has been idle for longest, of that client or of all."""
        for one in self._idle:
            if client is None or self._clients[one] == client:
                self.leave(one)
                if one.transport.get_write_buffer_size():  # it would stay until its client has read that
                    one.transport.abort()
                else:
                    one.transport.close()
                return True
        return False
