"""What is old goes, what is young stays."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatwren.domain import clock
from chatwren.service import housekeeping
from chatwren.store import files
from chatwren.store.database import Database
from chatwren.store.media import media_store

pytestmark = pytest.mark.anyio


async def _alice(db: Database) -> UUID:
    alice = uuid4()
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO app_user (id, username, username_key, name, phone, email, password_hash)"
            " VALUES ($1, 'alice', 'alice', 'Alice', '+1234567890', 'alice@example.com', '')",
            alice,
        )
    return alice


async def test_old_rows_go_and_young_ones_stay(db: Database, tmp_path: Path) -> None:
    alice = await _alice(db)
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO session (sid_hash, user_id, created_at, last_seen_at) VALUES"
            " ('young', $1, now(), now()),"
            " ('idle', $1, now() - interval '15 days', now() - interval '15 days'),"
            " ('ancient', $1, now() - interval '91 days', now())",
            alice,
        )
        await connection.execute(
            "INSERT INTO idempotency (user_id, key, request_hash, answer, created_at)"
            " SELECT $1, 'old ' || n, '', '{}', now() - interval '25 hours' FROM generate_series(1, 2500) n",
            alice,
        )
        await connection.execute(
            "INSERT INTO idempotency (user_id, key, request_hash, answer) VALUES ($1, 'young', '', '{}')", alice
        )
        await connection.execute("INSERT INTO throttle VALUES ('a', now(), 1), ('b', now() - interval '2 days', 1)")
    await housekeeping.sweep(db, media_store(str(tmp_path / "media")))
    async with db.connection() as connection:
        assert [row[0] for row in await connection.fetch("SELECT sid_hash FROM session")] == [b"young"]
        assert [row[0] for row in await connection.fetch("SELECT key FROM idempotency")] == ["young"]
        assert [row[0] for row in await connection.fetch("SELECT key FROM throttle")] == ["a"]


async def test_a_file_whose_row_was_never_written_goes(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, store = await _alice(db), media_store(str(tmp_path / "media"))
    kept = files.File(uuid4(), alice, "document", "text/plain", "a.txt", 5, "", None, None, None, None)
    orphan = files.media_key(alice, uuid4())
    upload = tmp_path / "upload"
    upload.write_bytes(b"hello")
    for key in (kept.key, orphan):
        await store.put(key, upload)
    async with db.connection() as connection:
        await files.insert(connection, kept)
    await housekeeping.sweep(db, store)
    assert await store.head(orphan) == 5, "a request may be about to write its row"
    shifted = clock.now() + files.ORPHAN_AGE + timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: shifted)
    await housekeeping.sweep(db, store)
    assert await store.head(orphan) is None
    assert await store.head(kept.key) == 5
