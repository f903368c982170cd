"""What a caller is told whose message goes to a new contact: that the cap of such contacts keeps it, and until when."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.accounts import Account
from chatwren.domain.health import new_contacts_reason
from chatwren.domain.pacing import ColdState
from chatwren.domain.reasons import sentence
from chatwren.domain.times import told
from chatwren.service.queue_times import by_cap
from chatwren.store import cold
from chatwren.store.database import Connection
from chatwren.store.messages import NewRow

_FRESH_SECONDS = 5.0
_KEPT = 1000
"""Accounts that are remembered; of more, those asked for first are asked for again."""

Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(slots=True)
class _Known:
    """What an account has of its cap, as it was. `waiting`: messages to new contacts, those accepted here included."""

    until: float
    state: ColdState
    waiting: int


class NewContacts:
    """Tells when messages to new contacts go out, by what was known of their account some seconds ago."""

    def __init__(self) -> None:
        self._known: dict[UUID, _Known] = {}

    async def warning(
        self, account: Account, row: NewRow, connect: Connect, *, zone: Callable[[], str | None]
    ) -> str | None:
        """What to tell the caller of a message that was stored in the cold lane; None: nothing keeps it.

        Args:
            connect: gives a connection that sees the message.
            zone: tells the name of the zone in which the user thinks.
        """
        known = await self._of(account.id, connect)
        reason = new_contacts_reason(account, known.state, account.now)
        when = by_cap(account, known.state, reason, None, known.waiting - 1)
        if when is None or when.at <= row.due:
            return None
        many = (
            f"{known.waiting} messages to new contacts wait, and the account writes to {known.state.cap} in 24 hours."
        )
        why = sentence(reason, zone()) if reason else many
        expires = row.expires_at is not None and row.expires_at <= when.at
        then = "Its turn comes after its expiresAt," if expires else "It goes out"
        return f"Accepted, but it waits: {why} {then} about {told(when.at, zone())}."

    async def _of(self, account: UUID, connect: Connect) -> _Known:
        known = self._known.get(account)
        if known is not None:
            known.waiting += 1
            if time.monotonic() < known.until:
                return known
            known.until = time.monotonic() + _FRESH_SECONDS  # meanwhile others are told what was known
        async with connect() as connection:
            state = await cold.state(connection, account)
            waiting = await cold.waiting(connection, account) if state.cap is not None else 0
        self._known.pop(account, None)
        while len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        known = self._known[account] = _Known(time.monotonic() + _FRESH_SECONDS, state, max(1, waiting))
        return known
