"""How old rows may become: both sides of each boundary, with times that SQL has shifted."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from tests.rows import Rows

from chatwren.domain import clock
from chatwren.store import files, idempotency, retention, sessions, throttles
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def begin_session(rows: Rows, *, age: str = "0", idle: str = "0", name: str = "alice") -> bytes:
    sid_hash = uuid4().bytes
    await rows.one(
        "INSERT INTO session (sid_hash, user_id, created_at, last_seen_at)"
        f" VALUES ($1, $2, now() - interval '{age}', now() - interval '{idle}')",
        sid_hash,
        await rows.user(name),
    )
    return sid_hash


async def living(db: Database, *sid_hashes: bytes) -> dict[bytes, sessions.Session]:
    async with db.connection() as connection:
        return await sessions.get(connection, sid_hashes)


async def sweep(db: Database, keep: timedelta = 30 * DAY) -> None:
    async with db.connection() as connection:
        for step in retention.steps(keep):
            await step(connection)


@pytest.mark.parametrize(
    ("age", "idle", "lives"),
    [
        ("13 days 23 hours", "13 days 23 hours", True),
        ("14 days 1 min", "14 days 1 min", False),
        ("89 days 23 hours", "1 min", True),
        ("90 days 1 min", "1 min", False),
    ],
)
async def test_a_session_ends_after_14_idle_days_and_after_90_in_all(
    db: Database, rows: Rows, age: str, idle: str, *, lives: bool
) -> None:
    sid_hash = await begin_session(rows, age=age, idle=idle)
    assert (sid_hash in await living(db, sid_hash)) == lives
    await sweep(db)
    assert await rows.one("SELECT count(*) FROM session") == lives


async def test_a_session_ends_when_its_user_is_disabled_and_no_others(db: Database, rows: Rows) -> None:
    alices, bobs = await begin_session(rows), await begin_session(rows, name="bob")
    await rows.one("UPDATE app_user SET disabled_at = now() WHERE username = 'alice'")
    assert (await living(db, alices, bobs)).keys() == {bobs}


async def test_ending_one_session_or_all_of_a_user(db: Database, rows: Rows) -> None:
    mine = [await begin_session(rows) for _ in range(3)]
    bobs = await begin_session(rows, name="bob")
    async with db.connection() as connection:
        await sessions.delete(connection, mine[0])
        assert (await living(db, *mine, bobs)).keys() == {*mine[1:], bobs}
        await sessions.delete_of_user(connection, rows.users["alice"])
    assert (await living(db, *mine, bobs)).keys() == {bobs}


@pytest.mark.parametrize(("idle", "stale"), [("4 min 50 s", False), ("5 min 10 s", True)])
async def test_use_is_noted_every_five_minutes(db: Database, rows: Rows, idle: str, *, stale: bool) -> None:
    used, other = [await begin_session(rows, idle=idle) for _ in range(2)]
    assert (await living(db, used))[used].stale == stale
    async with db.connection() as connection:
        await sessions.touch(connection, [used])
    found = await living(db, used, other)
    assert [found[one].stale for one in (used, other)] == [False, stale]


async def take(db: Database, user: UUID, key: str, request: bytes) -> bool:
    async with db.connection() as connection:
        return await idempotency.remember_answer(connection, user, key, request, {"of": request.decode()})


async def answer(db: Database, user: UUID, key: str) -> object:
    async with db.connection() as connection:
        found = await idempotency.answered(connection, user, key)
    return found and found[1]["of"]


async def test_a_key_counts_for_24_hours_and_for_one_user(db: Database, rows: Rows) -> None:
    alice, bob = await rows.user("alice"), await rows.user("bob")
    assert await take(db, alice, "key", b"first")
    assert await answer(db, bob, "key") is None
    await rows.one("UPDATE idempotency SET created_at = now() - interval '23 hours 59 min'")
    assert await answer(db, alice, "key") == "first"
    assert not await take(db, alice, "key", b"second")
    assert await take(db, bob, "key", b"his")
    await sweep(db)
    assert await answer(db, alice, "key") == "first"
    await rows.one("UPDATE idempotency SET created_at = now() - interval '24 hours 1 min' WHERE user_id = $1", alice)
    assert await answer(db, alice, "key") is None
    assert await take(db, alice, "key", b"second")
    assert await answer(db, alice, "key") == "second"
    assert not await take(db, alice, "key", b"third")
    assert await answer(db, bob, "key") == "his"


async def test_a_throttle_counts_its_window_alone_and_outlives_it(db: Database, rows: Rows) -> None:
    async with db.connection() as connection:
        now = await connection.fetchval("SELECT now()")
        before = now - timedelta(minutes=15)
        for window, let_through in ((before, True), (now, True), (now, True), (now, False)):
            assert await throttles.take(connection, "a", window, at_most=2, also="b") == let_through
        await sweep(db)
        assert await throttles.counts(connection, ["a", "b", "c"], now) == {"a": 2, "b": 2}
        assert await throttles.counts(connection, ["a", "b"], before) == {"a": 1, "b": 1}
        assert await throttles.counts(connection, ["a", "b"], now + timedelta(minutes=15)) == {}
        await throttles.give_back(connection, "a", now, also="b")
        assert await throttles.counts(connection, ["a", "b"], now) == {"a": 1, "b": 1}
        assert await throttles.counts(connection, ["a", "b"], before) == {"a": 1, "b": 1}
    await rows.one("UPDATE throttle SET window_start = window_start - interval '25 hours'")
    await sweep(db)
    assert await rows.one("SELECT count(*) FROM throttle") == 0


async def test_a_network_is_known_for_90_days_and_the_latest_50_are(db: Database, rows: Rows) -> None:
    alice, bob = await rows.user("alice"), await rows.user("bob")

    async def knows(user: UUID, network: bytes) -> bool:
        async with db.connection() as connection:
            _, known = await throttles.standing(connection, [], clock.now(), user_id=user, network=network)
            return known

    async with db.connection() as connection:
        await throttles.remember(connection, alice, b"home")
    assert [await knows(user, b"home") for user in (alice, bob)] == [True, False]
    for age, known in (("89 days 23 hours", True), ("90 days 1 min", False)):
        await rows.one(f"UPDATE login_network SET seen_at = now() - interval '{age}'")
        assert await knows(alice, b"home") == known
        await sweep(db)
        assert await rows.one("SELECT count(*) FROM login_network") == known
    async with db.connection() as connection:
        for number in range(51):
            await throttles.remember(connection, alice, b"%d" % number)
    assert [await knows(alice, b"%d" % number) for number in (0, 1, 50)] == [False, True, True]


async def test_pairings_are_kept_for_30_days(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    for age in ("29 days 23 hours", "30 days 1 hour"):
        await rows.one(
            "INSERT INTO pairing (id, account_id, user_id, token, requested_at, expires_at, state, failure, ended_at)"
            " SELECT gen_random_uuid(), id, user_id, $2, now() - $2::text::interval, now(), 'failed', 'x', now()"
            " FROM account WHERE id = $1",
            account,
            age,
        )
    await sweep(db)
    assert await rows.one("SELECT array_agg(token) FROM pairing") == ["29 days 23 hours"]


async def test_a_message_is_kept_from_its_end_on_and_while_it_waits(db: Database, rows: Rows) -> None:
    """Accepted 40 days ago each, as their ids say."""
    account = await rows.account("alice")
    young, old, waiting, sending = [await rows.message(account) for _ in range(4)]
    await rows.one(
        "UPDATE message SET status = 'sent', claimed_at = now(), sent_at = now() - interval '29 days' WHERE id = $1",
        young,
    )
    await rows.one("UPDATE message SET status = 'cancelled', ended_at = now() - interval '31 days' WHERE id = $1", old)
    await rows.one("UPDATE message SET status = 'sending', claimed_at = now() WHERE id = $1", sending)
    await rows.one("UPDATE message SET text = id::text")
    await rows.one(
        "UPDATE message SET id = (substr(uuid_at(now() - interval '40 days')::text, 1, 9) || substr(text, 10))::uuid"
    )
    await sweep(db)
    left = await rows.one("SELECT array_agg(text) FROM message")
    assert set(left) == {str(one) for one in (young, waiting, sending)}


async def test_a_bulk_is_kept_while_it_is_under_way(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    for total, ended in ((1, None), (2, 29 * DAY), (3, 31 * DAY)):
        await rows.one(
            "INSERT INTO bulk (id, user_id, account_id, total, ended_at)"
            " SELECT uuid_at(now() - interval '40 days' + $2 * interval '1 hour'), user_id, id, $2,"
            " now() - $3::interval FROM account WHERE id = $1",
            account,
            total,
            ended,
        )
    await sweep(db)
    assert await rows.one("SELECT array_agg(total ORDER BY total) FROM bulk") == [1, 2]


async def test_what_was_received_is_kept_as_long_as_messages(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    for age in ("29 days", "31 days"):
        await rows.one(
            "INSERT INTO inbound (account_id, chat, sender, wa_id, from_me, is_group, at, received_at, text, raw)"
            " VALUES ($1, 'c', 's', $2, false, false, now(), now() - $2::text::interval, '', '')",
            account,
            age,
        )
    await sweep(db, timedelta(0))
    assert await rows.one("SELECT count(*) FROM inbound") == 2
    await sweep(db)
    assert await rows.one("SELECT array_agg(wa_id) FROM inbound") == ["29 days"]


def test_a_users_files_are_under_the_users_own_prefix() -> None:
    alice, media = uuid4(), uuid4()
    assert files.media_key(alice, media) == f"{alice}/{media}"
