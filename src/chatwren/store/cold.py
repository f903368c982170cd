"""New contacts: how many an account has written to within 24 hours, and how many it may."""

from uuid import UUID

from chatwren.domain.pacing import DAY, ColdState
from chatwren.store import pacing
from chatwren.store.conditions import WAITS
from chatwren.store.database import Connection
from chatwren.store.listing import COUNTED

_WINDOW = f"interval '{DAY.total_seconds():.0f} seconds'"


def _cap(account: str) -> str:
    own = pacing.of(account)
    days = f"floor(extract(epoch FROM now() - coalesce({account}.number_since, now())) / {DAY.total_seconds():.0f})"
    return f"least({own['cold_most']}, {own['cold_first']} + {own['cold_growth']} * {days}::integer)"


def _written_to(account: str) -> str:
    return f"FROM contact k WHERE k.account_id = {account}.id AND k.cold_at > now() - {_WINDOW}"


def has_room(account: str) -> str:
    """SQL: whether an account may write to one more new contact.

    Args:
        account: alias of a row with id, number_since and the columns of pacing.
    """
    most = pacing.of(account)["cold_most"]
    return f"({most} = 0 OR (SELECT count(*) {_written_to(account)}) < {_cap(account)})"


async def waiting(connection: Connection, account: UUID) -> int:
    """How many of the account's messages to new contacts wait and are due; COUNTED: at least so many."""
    found: int = await connection.fetchval(
        f"""
        SELECT count(*) FROM (
          SELECT FROM message m WHERE m.account_id = $1 AND m.lane = 'cold' AND {WAITS} AND m.due <= now()
          LIMIT {COUNTED}
        ) AS found
        """,
        account,
    )
    return found


async def state(connection: Connection, account: UUID) -> ColdState:
    """What the account has of its cap now."""
    row = await connection.fetchrow(
        f"""
        SELECT CASE WHEN c.most > 0 THEN cap END, used, CASE WHEN c.most > 0 AND used >= cap THEN (
          -- When the newest but so many are older than 24 hours, one place is free.
          SELECT k.cold_at + {_WINDOW} {_written_to("a")} ORDER BY k.cold_at DESC OFFSET greatest(cap - 1, 0) LIMIT 1
        ) END
        FROM account a
        CROSS JOIN LATERAL (
          SELECT {_cap("a")} AS cap, {pacing.of("a")["cold_most"]} AS most,
                 (SELECT count(*)::integer {_written_to("a")}) AS used
        ) AS c
        WHERE a.id = $1
        """,
        account,
    )
    return ColdState(*row)
