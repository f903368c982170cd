"""How fast an account may write, in SQL: what its row says, and where that says nothing (NULL) what the server says.

Each connection of ours is told the server's pacing when it opens, so that no statement needs it as a parameter.
"""

from datetime import timedelta

import asyncpg

from chatwren.domain.pacing import ColdCap, Pacing

_INTERVALS = ("pacing_gap", "pacing_jitter")
_NUMBERS = ("cold_first", "cold_growth", "cold_most")
COLUMNS = (*_INTERVALS, *_NUMBERS)
"""Of the table `account`, all of which may be NULL."""


def of(account: str) -> dict[str, str]:
    """SQL for each of COLUMNS, of a row that has them.

    Args:
        account: alias of the row.
    """
    kinds = {**dict.fromkeys(_INTERVALS, "interval"), **dict.fromkeys(_NUMBERS, "integer")}
    return {
        name: f"coalesce({account}.{name}, current_setting('chatwren.{name}')::{kind})" for name, kind in kinds.items()
    }


def next_at(account: str, claimed_at: str) -> str:
    """SQL: when the next message may leave an account, by its pacing, after one that was claimed then."""
    own = of(account)
    return f"{claimed_at} + {own['pacing_gap']} + random() * {own['pacing_jitter']}"


def read(gap: timedelta, jitter: timedelta, first: int, growth: int, most: int) -> Pacing:
    """The pacing of which a row gave these, in the order of COLUMNS."""
    return Pacing(gap, jitter, ColdCap(first, growth, most))


async def tell(connection: asyncpg.Connection, pacing: Pacing) -> None:
    """Tell a connection what the server's pacing is."""
    values = (pacing.gap, pacing.jitter, pacing.cold.first, pacing.cold.growth, pacing.cold.most)
    shown = [f"{one.total_seconds()} seconds" if isinstance(one, timedelta) else str(one) for one in values]
    settings = ", ".join(f"set_config('chatwren.{name}', ${n}, false)" for n, name in enumerate(COLUMNS, 1))
    await connection.execute(f"SELECT {settings}", *shown)
