"""How often strangers may try, and whose password is hashed next. The counts are in PostgreSQL, for all processes.

A try is counted before its password is hashed, and given back when it was right: of many at the same moment no more are
hashed than may fail. A network of many failures is slowed down, never locked out.
"""

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from chatwren.domain.addresses import network_of
from chatwren.domain.clock import now
from chatwren.domain.errors import TooMany, Unavailable
from chatwren.service.sessions import hash_of
from chatwren.service.turns import Turns
from chatwren.store import sessions, throttles
from chatwren.store.database import Connection, Database

_LOGIN_WINDOW: Final = timedelta(minutes=15)
_FAILURES_BY_USER: Final = 10
_FAILURES_BY_NETWORK: Final = 100
_REGISTRATION_WINDOW: Final = timedelta(minutes=1)
_REGISTRATIONS: Final = 60

# A hash takes a core and 64 MiB for about 0.1 s: as many at once as there are cores, of strangers half as many.
_AT_ONCE: Final = os.cpu_count() or 1
_STRANGERS: Final = max(1, _AT_ONCE // 2)
_WAITING: Final = 20
_SHARE: Final = 5
_PACE_SECONDS: Final = 1.0
_BUSY_SECONDS: Final = 2.0
_KNOWN: Final = -1
_SIGNED_IN: Final = -2  # before the known: who guesses a name at its owner's address is known by both


@dataclass(frozen=True, slots=True)
class Try:
    """One password that is compared. It counts as a failure until `was_right`."""

    user_id: UUID | None
    network: str
    _key: str
    _by_network: str | None
    _window: datetime

    async def was_right(self, connection: Connection) -> None:
        """It does not count, and the user is known in that network from now on. In the caller's transaction."""
        await throttles.give_back(connection, self._key, self._window, also=self._by_network)
        if self.user_id is not None:
            await remember(connection, self.user_id, self.network)


class Throttling:
    """What one web process lets through to its hashing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._turns = Turns(at_once=_AT_ONCE, strangers=_STRANGERS, waiting=_WAITING, share=_SHARE, pace=_PACE_SECONDS)

    @contextlib.asynccontextmanager
    async def registration(self, address: str) -> AsyncIterator[None]:
        """The turn of a new password to be hashed.

        Args:
            address: of the client. 60 a minute may come from its network.

        Raises:
            TooMany: more than that.
            Unavailable: too many wait.
        """
        window = _Window(_REGISTRATION_WINDOW, "Too many registrations from your address.")
        network = network_of(address)
        key = _key("register", network)
        async with self._db.connection() as connection:
            count = (await throttles.counts(connection, [key], window.start)).get(key, 0)
        if count >= _REGISTRATIONS:
            raise window.too_many()
        async with self._turns.turn(network, network=network, failures=count, refusal=_busy()):
            await window.take(self._db, key, at_most=_REGISTRATIONS)
            yield

    @contextlib.asynccontextmanager
    async def password(
        self, username_key: str, user_id: UUID | None, *, address: str, sid: str | None
    ) -> AsyncIterator[Try]:
        """The turn of a password to be compared.

        Within a quarter of an hour 10 may fail by user and network: never by user alone, since a stranger could lock
        somebody out. A browser that has a session of the user is counted by itself, so that strangers at its address
        do not matter. After 100 failures from a network strangers there are slowed down; who has logged in from it
        before is not, and goes before them but for one of a few turns.

        Args:
            username_key: of the name that the client gave.
            user_id: of the user with that name; None when there is none.
            address: of the client.
            sid: id of the session that the client has.

        Raises:
            TooMany: too many failed.
            Unavailable: too many wait.
        """
        window = _Window(_LOGIN_WINDOW, "Too many failed log-ins.")
        network = network_of(address)
        of_network = _key("login", network)
        key = _key("login", username_key, network)
        by_network: str | None = of_network
        async with self._db.connection() as connection:
            if sid is not None and user_id is not None and await sessions.is_of_user(connection, hash_of(sid), user_id):
                key, by_network = _key("login", username_key, hash_of(sid).hex()), None
            counts, known = await throttles.standing(
                connection,
                [key, of_network],
                window.start,
                user_id=user_id,
                network=_mark(user_id, network) if user_id else b"",
            )
        if counts.get(key, 0) >= _FAILURES_BY_USER:
            raise window.too_many()
        stranger = counts.get(of_network, 0)
        failures = _SIGNED_IN if by_network is None else _KNOWN if known else stranger
        slow = failures >= _FAILURES_BY_NETWORK
        party = str(user_id) if failures < 0 else network  # of the known a user, wherever from: their sessions are many
        async with self._turns.turn(party, network=network, failures=failures, refusal=_busy(), slow=slow):
            await window.take(self._db, key, at_most=_FAILURES_BY_USER, also=by_network)
            yield Try(user_id, network, key, by_network, window.start)


async def remember(connection: Connection, user_id: UUID, address: str) -> None:
    """Note that the user has logged in from there, in the caller's transaction."""
    await throttles.remember(connection, user_id, _mark(user_id, network_of(address)))


async def take(db: Database, what: str, who: str, *, window: timedelta, at_most: int) -> bool:
    """Count one more of something that somebody does, before it is done. False: there were as many as may be.

    Args:
        window: the length of time of which the current one counts.
    """
    async with db.connection() as connection:
        return await throttles.take(connection, _key(what, who), _Window(window, "").start, at_most=at_most)


class _Window:
    """The current one of the windows of this length into which time is cut."""

    def __init__(self, length: timedelta, said: str) -> None:
        at = now()
        self.start = at - (at - datetime.min.replace(tzinfo=UTC)) % length
        self._end = self.start + length
        self._said = said

    async def take(self, db: Database, key: str, *, at_most: int, also: str | None = None) -> None:
        async with db.connection() as connection:
            taken = await throttles.take(connection, key, self.start, at_most=at_most, also=also)
        if not taken:
            raise self.too_many()

    def too_many(self) -> TooMany:
        seconds = max(1, round((self._end - now()).total_seconds()))
        return TooMany(f"{self._said} Try again in {seconds} seconds.", retry_after=seconds)


def _busy() -> Unavailable:
    return Unavailable(
        "Too many people sign in at this moment. Try again in a few seconds.", code="busy", retry_after=_BUSY_SECONDS
    )


def _key(*parts: str) -> str:
    """What is counted, of a length that an index takes, and without names or addresses for a reader of the table."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _mark(user_id: UUID, network: str) -> bytes:
    return hashlib.sha256(user_id.bytes + network.encode()).digest()
