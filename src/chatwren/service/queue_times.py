"""When waiting messages go out: exactly for the next one of an account, estimated for those behind it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.accounts import Account
from chatwren.domain.clock import later
from chatwren.domain.health import account_reason, new_contacts_reason
from chatwren.domain.messages import Status
from chatwren.domain.pacing import DAY, ColdState
from chatwren.domain.reasons import Reason
from chatwren.store import accounts, cold, listing
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
        account: whose.
        blocked: why it sends nothing.
        cold_blocked: why it writes to nobody new.
        places: how many messages go before each, of all that may go.
        cold_places: the same among those to new contacts.
    """

    account: Account
    blocked: Reason | None
    new_contacts: ColdState
    cold_blocked: Reason | None
    places: Mapping[UUID, int]
    cold_places: Mapping[UUID, int]

    def of(self, row: MessageRow) -> When | None:
        """When a due message is tried next; None if that cannot be told."""
        place = self.places.get(row.id)
        if row.lane != "cold":
            return by_pace(self.account, place)
        return by_cap(self.account, self.new_contacts, self.cold_blocked, place, self.cold_places.get(row.id))


def by_pace(account: Account, place: int | None) -> When | None:
    """When a message goes out that has so many before it, at the account's usual pace; None where that is not known."""
    if place is None:
        return None
    if account.in_flight is not None:
        return When(later(account.now, account.pacing.mean * (place + 1)), estimated=True)
    return When(later(max(account.next_at, account.now), account.pacing.mean * place), estimated=place > 0)


def by_cap(
    account: Account, new_contacts: ColdState, cold_blocked: Reason | None, place: int | None, cold_place: int | None
) -> When | None:
    """When a message to a new contact goes out: by the cap of such contacts, and where that has room by the pace.

    Args:
        new_contacts: what it has of its cap.
        cold_blocked: why it writes to nobody new.
        place: how many messages go before, of all that may go.
        cold_place: the same among those to new contacts; None where that is not known.
    """
    cap = new_contacts.cap
    if cold_place is None:
        return None
    if cold_blocked is not None:
        until = cold_blocked.until
        if until is None:
            return None
        return When(later(until, DAY * (cold_place // cap if cap else 0)), estimated=cold_place > 0)
    room = None if cap is None else cap - new_contacts.used
    if room is None or cold_place < room or not cap:
        return by_pace(account, place)
    return When(later(account.now, DAY * ((cold_place - room) // cap + 1)), estimated=True)


async def queue_times(connection: Connection, user_id: UUID, rows: Sequence[MessageRow]) -> dict[UUID, QueueTimes]:
    """What is to be known to tell when these messages of a user go out, by account: each waits for its own."""
    own = await accounts.among(connection, user_id, {row.account_id for row in rows}) if rows else {}
    return {
        account.id: await _of_account(connection, account, [row for row in rows if row.account_id == account.id])
        for account in own.values()
    }


async def _of_account(connection: Connection, account: Account, rows: Collection[MessageRow]) -> QueueTimes:
    """The same of one account; asks for no more than its messages need."""
    due = [row for row in rows if row.status == Status.WAITING and row.due <= row.now]
    blocked = account_reason(account, account.now)
    if blocked is not None or not due:
        return QueueTimes(account, blocked, _NO_CAP, None, {}, {})
    new_contacts = _NO_CAP
    if any(row.lane in ("cold", "bulk") for row in due):  # whether cold ones go before those in bulk
        new_contacts = await cold.state(connection, account.id)
    cold_blocked = new_contacts_reason(account, new_contacts, account.now)
    ids = [row.id for row in due]
    places = await listing.places(connection, account.id, ids, _OPEN if cold_blocked else (*_OPEN, "cold"))
    cold_ids = [row.id for row in due if row.lane == "cold"]
    cold_places = await listing.places(connection, account.id, cold_ids, ("cold",)) if cold_ids else {}
    return QueueTimes(account, blocked, new_contacts, cold_blocked, places, cold_places)
