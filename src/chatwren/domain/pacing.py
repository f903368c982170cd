"""How fast an account may write, and to how many new contacts."""

from dataclasses import dataclass
from datetime import timedelta

DAY = timedelta(days=1)
"""Over what the cold cap counts: any 24 hours and not a date, which would let two bursts through around midnight."""


@dataclass(frozen=True, slots=True)
class ColdCap:
    """How many new contacts an account may write to within any 24 hours.

    Attributes:
        first: on the day on which its number was linked.
        growth: how many more with each day since.
        most: what it never exceeds; 0: there is no cap.
    """

    first: int
    growth: int
    most: int


@dataclass(frozen=True, slots=True)
class Pacing:
    """The pause between two messages of one account: `gap`, and a random time up to `jitter`; and the cold cap."""

    gap: timedelta
    jitter: timedelta
    cold: ColdCap

    @property
    def mean(self) -> timedelta:
        """The pause on average."""
        return self.gap + self.jitter / 2
