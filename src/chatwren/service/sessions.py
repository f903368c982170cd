"""Sessions: how a request proves whose it is. How the id travels in a cookie is web's business."""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from chatwren.domain.caller import Caller, Way
from chatwren.domain.errors import NotAuthenticated, NotFound
from chatwren.store import pairings, sessions, users
from chatwren.store import secrets as secret_store
from chatwren.store.batches import Batches
from chatwren.store.database import Connection, Database
from chatwren.store.sessions import SeenSession, Session

_PUBLIC_ID = re.compile("[0-9a-f]{32}")
_KNOWN_SECONDS = 5.0
_MOST_KNOWN = 1_000
_COOKIE_SECRET = "session cookie"  # noqa: S105 - the name of its row


async def start(connection: Connection, user_id: UUID, *, instead_of: str | None, at_most: int) -> str:
    """Begin a session, in the caller's transaction.

    Args:
        connection: in a transaction.
        instead_of: id of the session that the same browser had before, which ends.
        at_most: sessions that the user may have; the one that was not used for longest ends for the new one.

    Returns:
        The new session's id: 43 characters that nobody can guess.
    """
    await users.lock(connection, user_id)  # before any session, as whoever ends the user's others
    before = await sessions.delete(connection, hash_of(instead_of)) if instead_of is not None else None
    sid = secrets.token_urlsafe(32)
    await sessions.insert(connection, hash_of(sid), user_id)
    await sessions.keep_latest(connection, user_id, at_most=at_most, new=hash_of(sid))
    if before is not None:
        await pairings.leave(connection, before)
    return sid


class Sessions:
    """Finds sessions, those of many requests at once. Each request asks the database: a log-out counts at once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._batches = Batches(self._get)

    async def caller(self, sid: str) -> Caller | None:
        """Whose session has this id; None when there is no such session, or not any more."""
        found = await self._batches.do(hash_of(sid))
        if found is None:
            return None
        caller = Caller(found.user, Way.SESSION, found.sid_hash, found.account)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[found.sid_hash] = (time.monotonic(), replace(caller, standing=found.standing))
        return caller

    def supposed(self, sid: str) -> Caller | None:
        """Whose session had this id a moment ago, with their standing; None when nobody asked for it."""
        asked_at, caller = self._known.get(hash_of(sid), (0, None))
        return caller if time.monotonic() < asked_at + _KNOWN_SECONDS else None

    async def _get(self, sid_hashes: Sequence[bytes]) -> list[Session | None]:
        async with self._db.connection() as connection:
            found = await sessions.get(connection, list(set(sid_hashes)))
            stale = [session.sid_hash for session in found.values() if session.stale]
            if stale:
                await sessions.touch(connection, sorted(stale))  # in one order for all processes
        return [found.get(sid_hash) for sid_hash in sid_hashes]


async def confirm(connection: Connection, caller: Caller) -> None:
    """See to it that the caller may still act as the user, in the transaction in which they do.

    Until it ends, nobody else takes what the user may have so much of, nor disables or deletes the user.

    Raises:
        NotAuthenticated: the session has ended, or the user is disabled or being deleted.
    """
    there = await users.lock(connection, caller.user.id)
    if not (there and await sessions.is_of_user(connection, caller.session, caller.user.id)):
        raise ended()


def ended() -> NotAuthenticated:
    """The error of whoever asked for something while they were logged in, and is not any more."""
    return NotAuthenticated("The session has ended. POST /api/auth/login again; nothing was accepted.")


async def end(db: Database, sid: str) -> None:
    """End the session, if there is one."""
    async with db.transaction() as connection:
        user_id = await sessions.delete(connection, hash_of(sid))
        if user_id is not None:
            await pairings.leave(connection, user_id)


async def of_user(db: Database, caller: Caller) -> list[SeenSession]:
    """All sessions of the user, the one that asks first."""
    async with db.connection() as connection:
        return await sessions.of_user(connection, caller.user.id, current=caller.session)


async def end_others(db: Database, caller: Caller) -> int:
    """End all sessions of the user but the one that asks. Returns how many."""
    async with db.transaction() as connection:
        return await end_others_in(connection, caller)


async def end_others_in(connection: Connection, caller: Caller) -> int:
    """The same, in the caller's transaction."""
    ended = await sessions.delete_of_user(connection, caller.user.id, but=caller.session)
    await pairings.leave(connection, caller.user.id)
    return ended


async def end_one(db: Database, user_id: UUID, public_id: str) -> None:
    """End one of the user's sessions.

    Raises:
        NotFound: the user has none of that id.
    """
    async with db.transaction() as connection:
        if not (_PUBLIC_ID.fullmatch(public_id) and await sessions.delete_one(connection, user_id, public_id)):
            raise NotFound("There is no such session.")
        await pairings.leave(connection, user_id)


async def cookie_secret(db: Database) -> str:
    """The secret that signs cookies where the operator has set none: made once, the same for all processes."""
    async with db.connection() as connection:
        return await secret_store.get_or_keep(connection, _COOKIE_SECRET, secrets.token_urlsafe(32))


def hash_of(sid: str) -> bytes:
    """What is stored of a session's id."""
    return hashlib.sha256(sid.encode("utf-8", "surrogatepass")).digest()
