"""Sessions: how a request proves whose it is. How the id travels in a cookie is web's business."""

import hashlib
import secrets
from collections.abc import Sequence
from uuid import UUID

from chatwren.store import secrets as secret_store
from chatwren.store import sessions
from chatwren.store.batches import Batches
from chatwren.store.database import Connection, Database
from chatwren.store.sessions import Session

_COOKIE_SECRET = "session cookie"  # noqa: S105 - the name of its row


async def start(connection: Connection, user_id: UUID, *, instead_of: str | None) -> str:
    """Begin a session, in the caller's transaction.

    Args:
        connection: in a transaction.
        user_id: whose session it is.
        instead_of: id of the session that the same browser had before, which ends.

    Returns:
        The new session's id: 43 characters that nobody can guess.
    """
    if instead_of is not None:
        await sessions.delete(connection, hash_of(instead_of))
    sid = secrets.token_urlsafe(32)
    await sessions.insert(connection, hash_of(sid), user_id)
    return sid


class Sessions:
    """Finds sessions, those of many requests at once. Each request asks the database: a log-out counts at once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._batches = Batches(self._get)

    async def get(self, sid: str) -> Session | None:
        """The session with this id; None when there is no such session, or not any more."""
        return await self._batches.do(hash_of(sid))

    async def _get(self, sid_hashes: Sequence[bytes]) -> list[Session | None]:
        async with self._db.connection() as connection:
            found = await sessions.get(connection, set(sid_hashes))
            stale = [session.sid_hash for session in found.values() if session.stale]
            if stale:
                await sessions.touch(connection, sorted(stale))  # in one order for all processes
        return [found.get(sid_hash) for sid_hash in sid_hashes]


async def end(db: Database, sid: str) -> None:
    """End the session, if there is one."""
    async with db.connection() as connection:
        await sessions.delete(connection, hash_of(sid))


async def cookie_secret(db: Database) -> str:
    """The secret that signs cookies where the operator has set none: made once, the same for all processes."""
    async with db.connection() as connection:
        return await secret_store.get_or_keep(connection, _COOKIE_SECRET, secrets.token_urlsafe(32))


def hash_of(sid: str) -> bytes:
    """What is stored of a session's id."""
    return hashlib.sha256(sid.encode("utf-8", "surrogatepass")).digest()
