"""How fast an account may write, and to how many new contacts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

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
class ColdState:
    """What an account has of its cap.

    Attributes:
        cap: how many new contacts it may write to within 24 hours; None: as many as it likes.
        used: how many it has written to in the last 24 hours.
        free_at: when it may write to the next one; None: now.
    """

    cap: int | None
    used: int
    free_at: datetime | None


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


USUAL = Pacing(timedelta(seconds=8), timedelta(seconds=7), ColdCap(first=20, growth=10, most=200))
"""Where nobody says otherwise. WhatsApp publishes no figures: these are what people report to go well, and cautious."""
