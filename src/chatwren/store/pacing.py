"""How fast an account may write, in SQL: what its row says, and where that says nothing (NULL) what the server says.

Each connection of ours is told the server's pacing when it opens, so that no statement needs it as a parameter.
"""

from datetime import timedelta

import asyncpg

from chatwren.domain.pacing import ColdCap, Pacing
from chatwren.store.rows import Columns

_INTERVALS = ("pacing_gap", "pacing_jitter")
_NUMBERS = ("cold_first", "cold_growth", "cold_most")
COLUMNS = (*_INTERVALS, *_NUMBERS)
"""Columns of the table `account`, all of which may be NULL."""


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


_OWN = of("account")
_PACING = Columns(Pacing, "account", gap=_OWN["pacing_gap"], jitter=_OWN["pacing_jitter"], cold=None)
_CAP = Columns(ColdCap, "account", first=_OWN["cold_first"], growth=_OWN["cold_growth"], most=_OWN["cold_most"])
SELECTED = f"{_PACING}, {_CAP}"
"""What is selected of the table `account` for `read`."""


def read(row: asyncpg.Record) -> Pacing:
    """The pacing of an account."""
    return _PACING.of(row, cold=_CAP.of(row))


async def tell(connection: asyncpg.Connection, pacing: Pacing) -> None:
    """Tell a connection what the server's pacing is."""
    values = (pacing.gap, pacing.jitter, pacing.cold.first, pacing.cold.growth, pacing.cold.most)
    shown = [f"{one.total_seconds()} seconds" if isinstance(one, timedelta) else str(one) for one in values]
    settings = ", ".join(f"set_config('chatwren.{name}', ${n}, false)" for n, name in enumerate(COLUMNS, 1))
    await connection.execute(f"SELECT {settings}", *shown)
