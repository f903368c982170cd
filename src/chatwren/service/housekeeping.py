"""What has had its time is removed, in small steps: sessions, throttles, idempotency keys, pairings, orphaned files."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chatwren.store import files
from chatwren.store.database import Database
from chatwren.store.media import MediaStore

log = structlog.get_logger(__name__)

_STEP = 1000
_OLD = {
    "session": "last_seen_at < now() - interval '14 days' OR created_at < now() - interval '90 days'",
    "throttle": "window_start < now() - interval '1 day'",
    "idempotency": "created_at < now() - interval '24 hours'",
    "pairing": "requested_at < now() - interval '30 days'",
}


async def sweep(db: Database, media_store: MediaStore) -> None:
    """Remove what is old. Safe to run anywhere, at any time, by many at once."""
    for table, condition in _OLD.items():
        removed = _STEP
        while removed == _STEP:
            async with db.connection() as connection:
                result = await connection.execute(
                    f"DELETE FROM {table} WHERE ctid = ANY"
                    f" (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {_STEP}))"
                )
            removed = int(result.removeprefix("DELETE "))
    orphans = await media_store.sweep(older_than=files.ORPHAN_AGE, keep=lambda keys: _with_rows(db, keys))
    if orphans:
        log.info("housekeeping.orphans_removed", count=orphans)


async def _with_rows(db: Database, keys: Sequence[str]) -> set[str]:
    ids = {key: UUID(key.rpartition("/")[2]) for key in keys}
    async with db.connection() as connection:
        known = await files.known(connection, list(ids.values()))
    return {key for key, media_id in ids.items() if media_id in known}
