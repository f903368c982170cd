"""Signing up, logging in, and a user's profile."""

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from chatwren.domain.caller import Caller
from chatwren.domain.errors import Conflict, Forbidden, NotAuthenticated
from chatwren.domain.ids import uuid7
from chatwren.domain.limits import BOUNDS, Limit
from chatwren.domain.lookalikes import skeleton
from chatwren.domain.passwords import refuse_common
from chatwren.domain.people import username_key
from chatwren.domain.users import User
from chatwren.service import sessions, throttling
from chatwren.service.limits import Limits
from chatwren.service.throttling import Throttling
from chatwren.store import users
from chatwren.store.database import Connection, Database

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
        address: the client's IP address, by which registrations are throttled.
        instead_of: id of the session that the same browser had before.

    Returns:
        The user, and the id of their new session.

    Raises:
        Conflict: the user name is taken, or looks like one that is.
        Invalid: the password is one of those that are tried first.
        TooMany: too many registrations from this address.
        Unavailable: too many sign up or log in at the moment.
    """
    _check_password(new)
    async with throttle.registration(address):
        user, password_hash, looks = await _prepared(new)
    async with db.transaction() as connection:
        await _insert(connection, user, password_hash, looks)
        await throttling.remember(connection, user.id, address)
        most = BOUNDS[Limit.SESSIONS].default
        return user, await sessions.start(connection, user.id, instead_of=instead_of, at_most=most)


async def create(db: Database, new: Registration) -> None:
    """Sign somebody up on behalf of the operator.

    Raises:
        Conflict: the user name is taken, or looks like one that is.
    """
    user, password_hash, looks = await _prepared(new)
    async with db.transaction() as connection:
        await _insert(connection, user, password_hash, looks)


async def _prepared(new: Registration) -> tuple[User, str, str]:
    """The user, the hash of the password, and what the name looks like."""
    looks = await _in_thread(partial(skeleton, new.username))
    user = User(uuid7(), new.username, new.name, new.phone, new.email, new.gst, None)
    return user, await hash_password(new.password), looks


async def _insert(connection: Connection, user: User, password_hash: str, looks: str) -> None:
    key = username_key(user.username)
    if await users.insert(connection, user, key=key, skeleton=looks, password_hash=password_hash):
        return
    taken = "taken" if await users.credentials(connection, key) else "too like another user's"
    raise Conflict(f"The user name {user.username} is {taken}. Choose another.", code="username_taken")


def _check_password(new: Registration) -> None:
    refuse_common(new.password, own=(new.name, new.username, new.email, new.phone))


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
        raise _wrong("user name or the password")
    most = await limits.of(found.user.id, Limit.SESSIONS)
    async with db.transaction() as connection:
        await one.was_right(connection)
        found = await users.still(connection, key, found)  # it waited for its turn, and for others that change it
        if not found:
            raise _wrong("user name or the password")
        if not found.disabled:
            sid = await sessions.start(connection, found.user.id, instead_of=instead_of, at_most=most)
            return found.user, sid
    raise Forbidden("This user is disabled. Ask whoever runs this server.", code="user_disabled")


async def change_password(
    db: Database, throttle: Throttling, caller: Caller, current: str, new: str, *, address: str, sid: str | None
) -> int:
    """Give the user another password, and end all their sessions but this one. Returns how many ended.

    Args:
        throttle: of this process. A wrong password counts as in a log-in.

    Raises:
        NotAuthenticated: the current password is wrong, or the session has ended meanwhile.
        Invalid: the new one is one of those that are tried first.
        TooMany: too many failures.
        Unavailable: too many sign up or log in at the moment.
    """
    user = caller.user
    refuse_common(new, own=(user.name, user.username, user.email, user.phone), field="newPassword")
    key = username_key(user.username)
    async with db.connection() as connection:
        found = await users.credentials(connection, key)
    async with throttle.password(key, user.id, address=address, sid=sid) as one:
        right = found is not None and await _in_thread(lambda: _verify(found.password_hash, current))
        password_hash = await hash_password(new) if right else ""
    if not right or not found:
        raise _wrong("current password")
    async with db.transaction() as connection:
        await one.was_right(connection)
        await sessions.confirm(connection, caller)
        if not await users.still(connection, key, found):
            raise _wrong("current password")
        await users.set_password(connection, user.id, password_hash)
        return await sessions.end_others_in(connection, caller)


def _wrong(what: str) -> NotAuthenticated:
    return NotAuthenticated(f"The {what} is wrong.", code="wrong_credentials")


async def note_looks(db: Database) -> None:
    """Note what the names look like of users who have signed up with an older release."""
    async with db.connection() as connection:
        for user_id, username in await users.without_skeleton(connection):
            looks = await _in_thread(partial(skeleton, username))
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await users.set_skeleton(connection, user_id, looks)


async def set_time_zone(db: Database, user: User, time_zone: str | None) -> User:
    """Set the IANA time zone by which times without one are read; None to have none. Returns the user as changed.

    Raises:
        NotAuthenticated: the user is disabled or deleted meanwhile.
    """
    async with db.connection() as connection:
        if not await users.set_time_zone(connection, user.id, time_zone):
            raise sessions.ended()
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
