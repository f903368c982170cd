"""New contacts: how many an account has written to within 24 hours, and how many it may."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.pacing import DAY, ColdCap
from chatwren.store.database import Connection

_WINDOW = f"interval '{DAY.total_seconds():.0f} seconds'"


def _cap(account: str, first: str, growth: str, most: str) -> str:
    days = f"floor(extract(epoch FROM now() - coalesce({account}.number_since, now())) / {DAY.total_seconds():.0f})"
    return f"least({most}::integer, {first}::integer + {growth}::integer * {days}::integer)"


def _written_to(account: str) -> str:
    return f"FROM contact k WHERE k.account_id = {account}.id AND k.cold_at > now() - {_WINDOW}"


def has_room(account: str, first: str, growth: str, most: str) -> str:
    """SQL: whether an account may write to one more new contact.

    Args:
        account: alias of a row with id and number_since.
        first: parameter of the cap's member, as are the others.
        growth: see above.
        most: see above.
    """
    return f"({most}::integer = 0 OR (SELECT count(*) {_written_to(account)}) < {_cap(account, first, growth, most)})"


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


async def state(connection: Connection, account: UUID, cap: ColdCap) -> ColdState:
    """What the account has of its cap now."""
    row = await connection.fetchrow(
        f"""
        SELECT CASE WHEN $4::integer > 0 THEN cap END, used, CASE WHEN $4::integer > 0 AND used >= cap THEN (
          -- When the newest but so many are older than 24 hours, one place is free.
          SELECT k.cold_at + {_WINDOW} {_written_to("a")} ORDER BY k.cold_at DESC OFFSET greatest(cap - 1, 0) LIMIT 1
        ) END
        FROM account a
        CROSS JOIN LATERAL (
          SELECT {_cap("a", "$2", "$3", "$4")} AS cap, (SELECT count(*)::integer {_written_to("a")}) AS used
        ) AS c
        WHERE a.id = $1
        """,
        account,
        cap.first,
        cap.growth,
        cap.most,
    )
    return ColdState(*row)
