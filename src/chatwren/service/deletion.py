"""Deleting a user and all that is theirs: here, at WhatsApp, and in the media store.

A deletion is a state of the user's row, so that no crash forgets it. It begins in one transaction, after which nobody
can act as the user; the worker that owns their account unlinks the device, as for a logout, also one that a pairing has
left, and the engine forgets its keys; then any worker removes the rest in small steps, the user's own row last.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.domain.users import Deleted
from chatwren.media.objects import MediaStore
from chatwren.store import deletions, devices
from chatwren.store.database import Database

log = structlog.get_logger(__name__)


class NoWorker(Exception):
    """A device is linked and no worker runs: the deletion goes on when one does."""


async def begin(db: Database, media: MediaStore, user_id: UUID, *, lease: timedelta, wait: timedelta) -> Deleted | None:
    """Delete a user. None: it has begun, and goes on when this returns.

    Without a device nobody else is needed for it.

    Args:
        lease: how long a worker may be silent that lives.
        wait: how long to wait for the end. Reaching WhatsApp is tried for up to 45 s.

    Raises:
        NoWorker: see there.
    """
    async with db.connection() as ear, deletions.watch(ear, user_id) as ended:
        async with db.transaction() as connection:
            await deletions.begin(connection, user_id)
        if user_id in await pending(db):
            await work_off(db, media, [user_id])
        else:
            async with db.connection() as connection:
                if not await deletions.somebody_works(connection, lease=lease):
                    raise NoWorker
        try:
            async with asyncio.timeout(wait.total_seconds()):
                return await ended
        except TimeoutError:
            return None


async def pending(db: Database) -> list[UUID]:
    """The users whose devices are unlinked and whose data are to be removed."""
    async with db.connection() as connection:
        return await deletions.ready(connection)


async def work_off(db: Database, media: MediaStore, user_ids: list[UUID]) -> None:
    """Remove all that belongs to these users, unless another worker is at it."""
    async with db.connection() as guard, deletions.one_at_a_time(guard) as my_turn:
        if not my_turn:
            return
        async with db.connection() as connection:
            await devices.remove_leftovers(connection)
        for user_id in user_ids:
            await _remove(db, media, user_id)


async def _remove(db: Database, media: MediaStore, user_id: UUID) -> None:
    for step in deletions.steps(user_id):
        removed = deletions.STEP
        while removed == deletions.STEP:
            async with db.connection() as connection:
                removed = await step(connection)
    await media.delete_all_of(user_id)
    async with db.transaction() as connection:
        await deletions.end(connection, user_id)
    await media.delete_all_of(user_id)  # of a request that was under way when the deletion began
    log.info("user.deleted")
