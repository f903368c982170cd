"""What the operator of a server does with its users: `chatwren users …`. Names are compared without case."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chatwren.domain.errors import Conflict, NotFound
from chatwren.domain.limits import BOUNDS, Limit
from chatwren.domain.people import parse_email, parse_name, parse_phone, parse_username, username_key
from chatwren.domain.users import Deleted, UserSummary
from chatwren.media.objects import MediaStore
from chatwren.service import deletion
from chatwren.service import users as users_service
from chatwren.service.users import Registration, hash_password
from chatwren.store import exports, limits, pairings, sessions, users
from chatwren.store.database import Connection, Database


async def list_users(db: Database) -> list[UserSummary]:
    """All users, in the order in which they signed up."""
    async with db.connection() as connection:
        return await users.summaries(connection)


async def create(db: Database, *, username: str, name: str, phone: str, email: str) -> str:
    """Make a user with a random password, which is returned.

    Raises:
        Invalid: one of these is not as in a registration.
        Conflict: the user name is taken, or looks like one that is.
    """
    password = secrets.token_urlsafe(12)
    new = Registration(
        name=parse_name(name),
        phone=parse_phone(phone),
        email=parse_email(email),
        username=parse_username(username),
        password=password,
        gst="",
    )
    await users_service.create(db, new)
    return password


async def reset_password(db: Database, username: str) -> str:
    """Give the user a new password, which is returned, and end their sessions.

    Raises:
        NotFound: there is no such user.
    """
    password = secrets.token_urlsafe(12)
    password_hash = await hash_password(password)
    async with _user(db, username) as (connection, user_id):
        await users.set_password(connection, user_id, password_hash)
        await sessions.delete_of_user(connection, user_id)
        await pairings.leave(connection, user_id)
    return password


async def disable(db: Database, username: str) -> None:
    """Lock the user out, at once. Their account stays linked, and what waits goes out.

    Raises:
        NotFound: there is no such user.
    """
    async with _user(db, username) as (connection, user_id):
        await users.set_disabled(connection, user_id, disabled=True)
        await sessions.delete_of_user(connection, user_id)
        await pairings.leave(connection, user_id)


async def enable(db: Database, username: str) -> None:
    """Let the user log in again.

    Raises:
        NotFound: there is no such user.
    """
    async with _user(db, username) as (connection, user_id):
        await users.set_disabled(connection, user_id, disabled=False)


@dataclass(frozen=True, slots=True)
class AllowedLimit:
    """What a user is allowed of one thing. `is_override`: the operator has set it for this user."""

    limit: Limit
    allowed: int
    is_override: bool
    meaning: str


async def limits_of(db: Database, username: str) -> list[AllowedLimit]:
    """All limits of the user.

    Raises:
        NotFound: there is no such user.
    """
    async with _user(db, username) as (connection, user_id):
        overrides = (await limits.standing(connection, user_id)).overrides
    return [
        AllowedLimit(limit, overrides.get(limit, bound.default), limit in overrides, bound.meaning)
        for limit, bound in BOUNDS.items()
    ]


async def set_limits(db: Database, username: str, changes: Sequence[tuple[Limit, int | None]]) -> None:
    """Allow the user so much, from within seconds on; None: the default again.

    Raises:
        NotFound: there is no such user.
    """
    async with _user(db, username) as (connection, user_id):
        for limit, value in changes:
            await limits.set_override(connection, user_id, limit, value)


async def delete(
    db: Database, media: MediaStore, username: str, *, lease: timedelta, wait: timedelta
) -> Deleted | None:
    """Delete the user and everything that belongs to them, or go on with it.

    Args:
        lease: how long a worker may be silent that lives.
        wait: how long to wait for the end.

    Returns:
        What it came to; None: it has begun, and goes on.

    Raises:
        NotFound: there is no such user.
        NoWorker: it has begun, and goes on when a worker runs.
    """
    async with db.connection() as connection:
        found = await users.credentials(connection, username_key(username))
    if found is None:
        raise _unknown(username)
    return await deletion.begin(db, media, found.user.id, lease=lease, wait=wait)


async def export(db: Database, username: str) -> AsyncIterator[bytes]:
    """Everything that belongs to the user, a JSON object a line, told apart by `type`. No hashes, no keys.

    It tells what files are, with their preview in base64; their bytes are at /api/media/{id}.

    Raises:
        NotFound: there is no such user.
    """
    async with _user(db, username) as (connection, user_id):
        async for row in exports.export(connection, user_id):
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


@contextlib.asynccontextmanager
async def _user(db: Database, username: str) -> AsyncIterator[tuple[Connection, UUID]]:
    """A transaction, and the id of the user of that name.

    Raises:
        NotFound: there is no such user.
        Conflict: the user is being deleted.
    """
    async with db.transaction() as connection:
        found = await users.credentials(connection, username_key(username))
        if found is None:
            raise _unknown(username)
        if found.deleted:
            raise Conflict(f"{username} is being deleted.", code="being_deleted")
        yield connection, found.user.id


def _unknown(username: str) -> NotFound:
    return NotFound(f"There is no user {username}.")
