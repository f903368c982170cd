"""Signing up, logging in, and a user's profile."""

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from chatwren.domain.errors import Conflict, Forbidden, NotAuthenticated
from chatwren.domain.ids import uuid7
from chatwren.domain.limits import BOUNDS, Limit
from chatwren.domain.people import username_key
from chatwren.service import sessions, throttling
from chatwren.service.limits import Limits
from chatwren.service.throttling import Throttling
from chatwren.store import users
from chatwren.store.database import Database
from chatwren.store.users import User

__all__ = ["Registration", "User", "hash_password", "log_in", "register", "set_time_zone"]

T = TypeVar("T")

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


async def register(
    db: Database, throttle: Throttling, new: Registration, *, address: str, instead_of: str | None
) -> tuple[User, str]:
    """Sign somebody up and log them in.

    Args:
        db: where to.
        throttle: of this process.
        new: who.
        address: the client's IP address, by which registrations are throttled.
        instead_of: id of the session that the same browser had before.

    Returns:
        The user, and the id of their new session.

    Raises:
        Conflict: the user name is taken.
        TooMany: too many registrations from this address.
        Unavailable: too many sign up or log in at the moment.
    """
    user = User(uuid7(), new.username, new.name, new.phone, new.email, new.gst, None)
    async with throttle.registration(address):
        password_hash = await hash_password(new.password)
    async with db.transaction() as connection:
        if not await users.insert(connection, user, key=username_key(new.username), password_hash=password_hash):
            raise Conflict(f"The user name {new.username} is taken. Choose another.", code="username_taken")
        await throttling.remember(connection, user.id, address)
        most = BOUNDS[Limit.SESSIONS].default
        return user, await sessions.start(connection, user.id, instead_of=instead_of, at_most=most)


async def log_in(
    db: Database,
    throttle: Throttling,
    limits: Limits,
    username: str,
    password: str,
    *,
    address: str,
    instead_of: str | None,
) -> tuple[User, str]:
    """Log a user in.

    An unknown user and a wrong password cannot be told apart, neither by the answer nor by its time.

    Args:
        db: where to look.
        throttle: of this process.
        limits: how many sessions the user may have.
        username: as typed; spaces around it and case do not matter.
        password: as typed.
        address: the client's IP address, by which failures are throttled.
        instead_of: id of the session that the same browser had before.

    Returns:
        The user, and the id of their new session.

    Raises:
        NotAuthenticated: wrong.
        Forbidden: right, but the user is disabled.
        TooMany: too many failures of this user name from this address.
        Unavailable: too many sign up or log in at the moment.
    """
    key = username_key(username)
    async with db.connection() as connection:
        found = await users.credentials(connection, key)
    async with throttle.password(key, found.user.id if found else None, address=address, sid=instead_of) as one:
        right = await _in_thread(lambda: _verify(found.password_hash if found else _nobodys_hash(), password))
    if not right or not found:
        raise NotAuthenticated("The user name or the password is wrong.", code="wrong_credentials")
    most = await limits.of(found.user.id, Limit.SESSIONS)
    async with db.transaction() as connection:
        await one.was_right(connection)
        if not found.disabled:
            sid = await sessions.start(connection, found.user.id, instead_of=instead_of, at_most=most)
            return found.user, sid
    raise Forbidden("This user is disabled. Ask whoever runs this server.", code="user_disabled")


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
