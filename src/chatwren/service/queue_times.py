"""When waiting messages go out: exactly for the next one of an account, estimated for those behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.clock import later
from chatwren.domain.health import Reason, account_reason, new_contacts_reason
from chatwren.domain.messages import Status
from chatwren.domain.pacing import DAY, Pacing
from chatwren.store import cold, listing
from chatwren.store.accounts import Account
from chatwren.store.cold import ColdState
from chatwren.store.database import Connection
from chatwren.store.messages import MessageRow

_OPEN = ("urgent", "normal", "bulk")
_NO_CAP = ColdState(None, 0, None)


@dataclass(frozen=True, slots=True)
class When:
    """When a message is tried next. `estimated`: others go before it."""

    at: datetime
    estimated: bool


@dataclass(frozen=True, slots=True)
class QueueTimes:
    """What an account's waiting messages wait for.

    Attributes:
        account: whose; None before anything was linked.
        blocked: why the account sends nothing.
        cold_blocked: why it writes to nobody new.
        places: how many messages go before each, of all that may go.
        cold_places: the same among those to new contacts.
    """

    account: Account | None
    pacing: Pacing
    blocked: Reason | None
    new_contacts: ColdState
    cold_blocked: Reason | None
    places: dict[UUID, int]
    cold_places: dict[UUID, int]

    def of(self, row: MessageRow) -> When | None:
        """When a due message is tried next; None if that cannot be told."""
        account = self.account
        if account is None:
            return None
        if row.lane == "cold":
            return self._of_cold(account, row)
        return self._by_place(account, self.places.get(row.id), row.now)

    def _by_place(self, account: Account, place: int | None, now: datetime) -> When | None:
        if place is None:
            return None
        if account.in_flight is not None:
            return When(later(now, self.pacing.mean * (place + 1)), estimated=True)
        return When(later(max(account.next_at, now), self.pacing.mean * place), estimated=place > 0)

    def _of_cold(self, account: Account, row: MessageRow) -> When | None:
        place = self.cold_places.get(row.id)
        cap = self.new_contacts.cap
        if place is None:
            return None
        if self.cold_blocked is not None:
            until = self.cold_blocked.until
            if until is None:
                return None
            return When(later(until, DAY * (place // cap if cap else 0)), estimated=place > 0)
        room = None if cap is None else cap - self.new_contacts.used
        if room is None or place < room or not cap:
            return self._by_place(account, self.places.get(row.id), row.now)
        return When(later(row.now, DAY * ((place - room) // cap + 1)), estimated=True)


async def queue_times(
    connection: Connection, account: Account | None, rows: Sequence[MessageRow], pacing: Pacing
) -> QueueTimes:
    """What is to be known to tell when these messages go out; asks for no more than they need."""
    due = [row for row in rows if row.status == Status.WAITING and row.due <= row.now]
    blocked = account_reason(account, account.now) if account else None
    if account is None or blocked is not None or not due:
        return QueueTimes(account, pacing, blocked, _NO_CAP, None, {}, {})
    new_contacts = _NO_CAP
    if any(row.lane in ("cold", "bulk") for row in due):  # whether cold ones go before those in bulk
        new_contacts = await cold.state(connection, account.id, pacing.cold)
    cold_blocked = new_contacts_reason(account, new_contacts, account.now)
    ids = [row.id for row in due]
    places = await listing.places(connection, account.id, ids, _OPEN if cold_blocked else (*_OPEN, "cold"))
    cold_ids = [row.id for row in due if row.lane == "cold"]
    cold_places = await listing.places(connection, account.id, cold_ids, ("cold",)) if cold_ids else {}
    return QueueTimes(account, pacing, blocked, new_contacts, cold_blocked, places, cold_places)
