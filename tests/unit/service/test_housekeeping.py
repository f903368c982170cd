"""What is old goes, what is young stays."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.rows import Rows

from chatwren.domain import clock
from chatwren.domain.ids import uuid7
from chatwren.domain.limits import Limit
from chatwren.media.objects import media_store
from chatwren.service import housekeeping, users_admin
from chatwren.settings import Settings
from chatwren.store import files
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio

SETTINGS = Settings(_env_file=None, keep_messages_days=30)


def _id(moment: datetime) -> UUID:
    """As if it had been made at that moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1)))


def _file(media_id: UUID, user: UUID) -> files.File:
    return files.File(media_id, user, "document", "text/plain", "a.txt", 5, "", None, None, None, None)


async def _message(db: Database, user: UUID, *, days_ago: int, status: str, ended_days_ago: int = 0) -> UUID:
    """A message with a file, accepted and ended so many days ago."""
    moment = clock.now() - timedelta(days=days_ago)
    ids = [_id(moment) for _ in range(2)]
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO account (id, user_id) SELECT $1, $1 WHERE NOT EXISTS (SELECT FROM account)", user
        )
        await connection.execute(
            "INSERT INTO media (id, user_id, kind, mimetype, file_name, size, sha256)"
            " VALUES ($1, $2, 'document', 'text/plain', 'a.txt', 5, '')",
            ids[1],
            user,
        )
        await connection.execute(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, media_id,
                                 accepted_at, due, status, wa_id, claimed_at, sent_at, ended_at)
            VALUES ($1::uuid, $2, $2, 'msg', 'phone', '1', '', '', $3, $4, $4, $5::message_status, $1::uuid::text, $4,
                    CASE WHEN $5::message_status = 'sent' THEN now() - $6::interval END,
                    CASE WHEN $5::message_status = 'cancelled' THEN now() - $6::interval END)
            """,
            ids[0],
            user,
            ids[1],
            moment,
            status,
            timedelta(days=ended_days_ago),
        )
    return ids[0]


async def test_old_rows_go_and_young_ones_stay(db: Database, tmp_path: Path) -> None:
    alice = await Rows(db).user("alice")
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
        await connection.execute(
            "INSERT INTO login_network VALUES ($1, 'young', now()), ($1, 'old', now() - interval '91 days')", alice
        )
    await housekeeping.sweep(db, media_store(str(tmp_path / "media")), SETTINGS)
    async with db.connection() as connection:
        assert [row[0] for row in await connection.fetch("SELECT sid_hash FROM session")] == [b"young"]
        assert [row[0] for row in await connection.fetch("SELECT key FROM idempotency")] == ["young"]
        assert [row[0] for row in await connection.fetch("SELECT key FROM throttle")] == ["a"]
        assert [row[0] for row in await connection.fetch("SELECT network FROM login_network")] == [b"young"]


async def test_a_file_whose_row_was_never_written_goes(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, store = await Rows(db).user("alice"), media_store(str(tmp_path / "media"))
    kept = _file(uuid7(), alice)
    orphan = files.media_key(alice, uuid4())
    upload = tmp_path / "upload"
    upload.write_bytes(b"hello")
    for key in (kept.key, orphan):
        await store.put(key, upload)
    async with db.connection() as connection:
        await files.insert(connection, kept)
    began = clock.now()
    for passed, left in ((0, 5), (59, 5), (61, None)):  # for an hour a request may be about to write its row
        shifted = began + timedelta(minutes=passed)
        monkeypatch.setattr(clock, "now", lambda shifted=shifted: shifted)
        await housekeeping.sweep(db, store, SETTINGS)
        assert await store.head(orphan) == left
    assert await store.head(kept.key) == 5


async def test_a_file_whose_message_was_never_stored_goes(db: Database, tmp_path: Path) -> None:
    alice, store = await Rows(db).user("alice"), media_store(str(tmp_path / "media"))
    await _message(db, alice, days_ago=1, status="waiting")
    old, young = (_file(_id(clock.now() - timedelta(minutes=ago)), alice) for ago in (61, 59))
    upload = tmp_path / "upload"
    upload.write_bytes(b"hello")
    for one in (old, young):
        async with db.connection() as connection:
            await files.insert(connection, one)
        await store.put(one.key, upload)
        stored = tmp_path / "media" / one.key
        os.utime(stored, (stored.stat().st_mtime - 3700,) * 2)
    for _ in range(2):
        await housekeeping.sweep(db, store, SETTINGS.changed(keep_messages_days=0))
        assert [await store.head(one.key) for one in (old, young)] == [None, 5]
        async with db.connection() as connection:
            assert await files.known(connection, [old.id, young.id]) == {young.id}
            assert await connection.fetchval("SELECT count(*) FROM media") == 2


async def test_messages_go_so_long_after_their_end_with_their_files(db: Database, tmp_path: Path) -> None:
    alice, store = await Rows(db).user("alice"), media_store(str(tmp_path / "media"))
    for ended in (31, 32):
        await _message(db, alice, days_ago=40, status="sent", ended_days_ago=ended)
    kept = [
        await _message(db, alice, days_ago=40, status="sent", ended_days_ago=29),
        await _message(db, alice, days_ago=40, status="waiting"),
        await _message(db, alice, days_ago=29, status="cancelled", ended_days_ago=29),
    ]
    await housekeeping.sweep(db, store, SETTINGS.changed(keep_messages_days=0))
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM message") == 5
    await housekeeping.sweep(db, store, SETTINGS)
    async with db.connection() as connection:
        assert {row[0] for row in await connection.fetch("SELECT id FROM message")} == set(kept)
        assert await connection.fetchval("SELECT count(*) FROM media") == 3
        assert await connection.fetchval("SELECT sum(pending + sent + cancelled) FROM message_total") == 3


async def test_messages_of_an_account_that_cannot_send_expire_meanwhile(db: Database) -> None:
    alice = await Rows(db).user("alice")
    message = await _message(db, alice, days_ago=3, status="waiting")
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO outage (account_id, began_at) VALUES ($1, now() - interval '2 days')", alice
        )
    await housekeeping.often(db, SETTINGS)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT status::text FROM message WHERE id = $1", message) == "expired"


@pytest.mark.parametrize(
    ("limit", "most", "received", "content", "left"),
    [
        (Limit.INBOUND_MESSAGES, 300, 2500, "'', NULL", 300),
        # Each takes 100,000 bytes, and what belongs to it.
        (Limit.INBOUND_BYTES, 600_000, 12, "repeat('ä', 50000), NULL", 5),
        (Limit.INBOUND_BYTES, 600_000, 12, "'', decode(repeat('00', 100000), 'hex')", 5),
    ],
)
async def test_of_what_was_received_beyond_a_limit_the_oldest_goes(
    db: Database, rows: Rows, tmp_path: Path, *, limit: Limit, most: int, received: int, content: str, left: int
) -> None:
    alice, bob = await rows.account("alice"), await rows.account("bob")
    async with db.connection() as connection:
        for account in (alice, bob):
            await connection.execute(
                "INSERT INTO inbound (account_id, chat, sender, wa_id, from_me, is_group, at, received_at, text, media)"
                f" SELECT $1, 'a', 'a', n::text, false, false, now(), now() - n * interval '1 minute', {content}"
                " FROM generate_series(1, $2::integer) n",
                account,
                received,
            )
    await users_admin.set_limits(db, "alice", [(limit, most)])
    await housekeeping.sweep(db, media_store(str(tmp_path / "media")), SETTINGS)
    async with db.connection() as connection:
        kept = await connection.fetch("SELECT wa_id::integer FROM inbound WHERE account_id = $1 ORDER BY 1", alice)
        assert [row[0] for row in kept] == list(range(1, left + 1))
        assert await connection.fetchval("SELECT count(*) FROM inbound WHERE account_id = $1", bob) == received


async def test_the_docs_name_a_bound_for_every_table(db: Database) -> None:
    docs = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    section = docs.partition("## What grows")[2].partition("\n## ")[0]
    named = {name for line in section.splitlines() if line.startswith("| `") for name in _names(line.split("|")[1])}
    async with db.connection() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert named == {row[0] for row in tables}


def _names(cell: str) -> list[str]:
    return cell.split("`")[1::2]
