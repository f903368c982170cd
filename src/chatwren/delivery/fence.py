"""The worker's own fence: after it, another may act for its accounts."""

import time

_FRACTION = 0.6
"""Part of the lease. The rest is for another's slow answers, and for clocks that tick a little faster."""


def uptime() -> float:
    """Seconds on a clock that nobody sets and that counts while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Fence:
    """Open for a part of the lease after each renewal. Closed: no send and no decision, whatever the reason is."""

    def __init__(self, lease_seconds: float) -> None:
        self.width = lease_seconds * _FRACTION
        """Seconds that it stays open after a renewal."""
        self._until = float("-inf")

    def renewed(self, asked_at: float) -> None:
        """A renewal succeeded that was asked for at this `uptime()`: the database counts from later than that."""
        self._until = asked_at + self.width

    @property
    def remaining(self) -> float:
        """Seconds until it closes; 0 when it is closed."""
        return max(0.0, self._until - uptime())

    @property
    def open(self) -> bool:
        """Whether this worker may act."""
        return uptime() < self._until
