"""Signing up, logging in, and a user's profile."""

import asyncio
import base64
import hashlib
import ipaddress
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from chatwren.domain.clock import now
from chatwren.domain.errors import Conflict, Forbidden, NotAuthenticated, TooMany
from chatwren.domain.ids import uuid7
from chatwren.domain.people import username_key
from chatwren.service import sessions
from chatwren.store import throttles, users
from chatwren.store.database import Connection, Database
from chatwren.store.users import User

__all__ = ["Registration", "User", "hash_password", "log_in", "register", "set_time_zone"]

T = TypeVar("T")

_LOGIN_WINDOW: Final = timedelta(minutes=15)
_FAILURES_BY_USER_AND_ADDRESS: Final = 10
_FAILURES_BY_ADDRESS: Final = 100
_REGISTRATION_WINDOW: Final = timedelta(minutes=1)
_REGISTRATIONS_BY_ADDRESS: Final = 60

_hasher = PasswordHasher()  # argon2id with the library's parameters: RFC 9106's second choice, 64 MiB
# A hash takes a core and 64 MiB for about 0.1 s: as many at once as there are cores, the others wait their turn.
_hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="argon2")


@dataclass(frozen=True, slots=True)
class Registration:
    """What somebody signs up with, checked and normalised by domain/people.py and domain/gst.py."""

    name: str
    phone: str
    email: str
    username: str
    password: str
    gst: str


async def register(db: Database, new: Registration, *, address: str, instead_of: str | None) -> tuple[User, str]:
    """Sign somebody up and log them in.

    Args:
        db: where to.
        new: who.
        address: the client's IP address, by which registrations are throttled.
        instead_of: id of the session that the same browser had before.

    Returns:
        The user, and the id of their new session.

    Raises:
        Conflict: the user name is taken.
        TooMany: too many registrations from this address.
    """
    window = _Window(_REGISTRATION_WINDOW)
    by_address = _key("register", address=address)
    async with db.connection() as connection:
        count = (await throttles.add(connection, [by_address], window.start))[by_address]
    if count > _REGISTRATIONS_BY_ADDRESS:
        raise window.too_many("Too many registrations from your address.")
    user = User(uuid7(), new.username, new.name, new.phone, new.email, new.gst, None)
    password_hash = await hash_password(new.password)
    async with db.transaction() as connection:
        if not await users.insert(connection, user, key=username_key(new.username), password_hash=password_hash):
            raise Conflict(f"The user name {new.username} is taken. Choose another.", code="username_taken")
        return user, await sessions.start(connection, user.id, instead_of=instead_of)


async def log_in(
    db: Database, username: str, password: str, *, address: str, instead_of: str | None
) -> tuple[User, str]:
    """Log a user in.

    An unknown user and a wrong password cannot be told apart, neither by the answer nor by its time.

    Args:
        db: where to look.
        username: as typed; spaces around it and case do not matter.
        password: as typed.
        address: the client's IP address, by which failures are throttled.
        instead_of: id of the session that the same browser had before.

    Returns:
        The user, and the id of their new session.

    Raises:
        NotAuthenticated: wrong.
        Forbidden: right, but the user is disabled.
        TooMany: too many failures of this user name from this address, or of any from it.
    """
    key = username_key(username)
    failures = _Failures(key, address)
    async with db.connection() as connection:
        await failures.check(connection)
        found = await users.credentials(connection, key)
    if not await _in_thread(lambda: _verify(found.password_hash if found else _nobodys_hash(), password)) or not found:
        async with db.connection() as connection:
            await failures.add(connection)
        raise NotAuthenticated("The user name or the password is wrong.", code="wrong_credentials")
    if found.disabled:
        raise Forbidden("This user is disabled. Ask whoever runs this server.", code="user_disabled")
    async with db.transaction() as connection:
        # Many guesses at once all pass the first check; the right one among them must not pass this one.
        await failures.check(connection)
        return found.user, await sessions.start(connection, found.user.id, instead_of=instead_of)


async def set_time_zone(db: Database, user: User, time_zone: str | None) -> User:
    """Set the IANA time zone by which times without one are read; None to have none. Returns the user as changed."""
    async with db.connection() as connection:
        await users.set_time_zone(connection, user.id, time_zone)
    return replace(user, time_zone=time_zone)


async def hash_password(password: str) -> str:
    """The argon2id hash of a password, made off the event loop."""
    return await _in_thread(lambda: _hasher.hash(password))


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_hashing, work)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerificationError:
        return False


def _nobodys_hash() -> str:
    """What a password of an unknown user is compared with, in vain: that takes as long as with a user's own."""
    parameters = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    salt, digest = (
        base64.b64encode(os.urandom(length)).decode().rstrip("=") for length in (_hasher.salt_len, _hasher.hash_len)
    )
    return f"$argon2id$v=19${parameters}${salt}${digest}"


class _Window:
    """The current one of the windows of this length into which time is cut."""

    def __init__(self, length: timedelta) -> None:
        at = now()
        self.start = at - (at - datetime.min.replace(tzinfo=UTC)) % length
        self._end = self.start + length

    def too_many(self, message: str) -> TooMany:
        seconds = max(1, round((self._end - now()).total_seconds()))
        return TooMany(f"{message} Try again in {seconds} seconds.", retry_after=seconds)


class _Failures:
    """The failed log-ins that count against one more try. Never by user alone: a stranger could lock someone out."""

    def __init__(self, key: str, address: str) -> None:
        self._window = _Window(_LOGIN_WINDOW)
        self._limits = {
            _key("login", key, address=address): _FAILURES_BY_USER_AND_ADDRESS,
            _key("login", address=address): _FAILURES_BY_ADDRESS,
        }

    async def check(self, connection: Connection) -> None:
        counts = await throttles.counts(connection, list(self._limits), self._window.start)
        if any(counts.get(key, 0) >= limit for key, limit in self._limits.items()):
            raise self._window.too_many("Too many failed log-ins.")

    async def add(self, connection: Connection) -> None:
        await throttles.add(connection, list(self._limits), self._window.start)


def _key(*parts: str, address: str) -> str:
    """What is counted, of a length that an index takes, and without names or addresses for a reader of the table."""
    return hashlib.sha256("\0".join((*parts, _network(address))).encode()).hexdigest()


def _network(address: str) -> str:
    """Whoever has one IPv6 address usually has the 2**64 around it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
