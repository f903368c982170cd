"""What has had its time ends or is removed, in small steps. Safe to run anywhere, at any time, by many at once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.domain.limits import BOUNDS, Limit
from chatwren.media.objects import MediaStore
from chatwren.service import users
from chatwren.settings import Settings
from chatwren.store import files, lateness, retention, searching, totals
from chatwren.store.database import Database

log = structlog.get_logger(__name__)

_OUTAGES_KEPT = timedelta(days=400)  # a message may be due 366 days ahead


async def often(db: Database, settings: Settings) -> None:
    """What cannot wait long: messages that are too late expire or are given up, and totals stay quick to read."""
    async with db.connection() as connection:
        for end in (lateness.expire_passed, lateness.give_up_passed):
            ended = lateness.AT_ONCE
            while ended == lateness.AT_ONCE:
                ended = await end(connection)
        for account in await lateness.cut_off(connection):
            await lateness.expire(connection, account, settings.expire_after)
        while await totals.look(connection) == totals.LOOKED_AT_ONCE:
            pass
        while await totals.fold(connection) == totals.FOLDED_AT_ONCE:
            pass


async def prepare_search(db: Database) -> bool:
    """Read some texts of users who have many, so that searches pass over most of them. Whether there may be more."""
    async with db.transaction() as connection:
        made = await searching.extend(connection)
    async with db.connection() as connection:
        return bool(await searching.read(connection) or made)


async def sweep(db: Database, media_store: MediaStore, settings: Settings) -> None:
    """Remove what is old: messages, sessions, throttles, idempotency keys, pairings, and files that nothing names."""
    await users.note_looks(db)
    async with db.connection() as connection:
        await lateness.forget_outages(connection, _OUTAGES_KEPT)
        while await searching.forget(connection):
            pass
    for remove in retention.steps(timedelta(days=settings.keep_messages_days)):
        removed = retention.STEP
        while removed == retention.STEP:
            async with db.connection() as connection:
                removed = await remove(connection)
    await _cut_inbound(db)
    orphans = await media_store.sweep(older_than=files.ORPHAN_AGE, keep=lambda keys: _with_rows(db, keys))
    if orphans:
        log.info("housekeeping.orphans_removed", count=orphans)


async def _cut_inbound(db: Database) -> None:
    """Remove the oldest received messages of accounts that have too many: strangers decide how many arrive."""
    async with db.connection() as connection:
        too_many = await retention.surplus_inbound(
            connection, messages=BOUNDS[Limit.INBOUND_MESSAGES].default, size=BOUNDS[Limit.INBOUND_BYTES].default
        )
    for account, up_to in too_many:
        removed, step = 0, retention.STEP
        while step == retention.STEP:
            async with db.connection() as connection:
                step = await retention.remove_inbound(connection, account, up_to)
            removed += step
        log.warning("housekeeping.inbound_cut", account=str(account), removed=removed)


async def _with_rows(db: Database, keys: Sequence[str]) -> set[str]:
    ids = {key: UUID(key.rpartition("/")[2]) for key in keys}
    async with db.connection() as connection:
        known = await files.known(connection, list(ids.values()))
    return {key for key, media_id in ids.items() if media_id in known}
