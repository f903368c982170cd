"""Migrations of a database that is full and in use: nothing is lost, nobody waits long, and kill -9 costs nothing."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from tests.conftest import Postgres
from tests.rows import Rows
from tests.waiting import until

from chatwren.domain.ids import uuid7
from chatwren.domain.messages import Filter, Shown
from chatwren.domain.reasons import doubtful, params, rejected, sentence
from chatwren.machine.throwaway import fresh_database
from chatwren.service import messages
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.store import bulks, listing, totals
from chatwren.store.bulks import Held
from chatwren.store.database import Database
from chatwren.store.migrate import is_current, migrate

pytestmark = pytest.mark.anyio

BEFORE, AFTER = "0012", "0016"
"""The revisions before inbound and contacts have ids, and inbound its sizes, and when they have."""

FACTS = """
  INSERT INTO contact (account_id, address, jid)
  SELECT $1, n::text, n || '@s.whatsapp.net' FROM generate_series($2::bigint, $3::bigint) AS n
"""
# Stored seven at a time, written one a second; each from one of 1,500, some of whom show their numbers.
INBOUND = """
  INSERT INTO inbound (account_id, chat, sender, wa_id, chat_phone, from_me, is_group, at, received_at, text, raw)
  SELECT $1, p.lid, p.lid, n::text, CASE WHEN n % 3000 < 1000 THEN p.phone END, n % 10 = 0, false,
         now() - interval '1 day' + n * interval '1 s', now() - interval '1 day' + n / 7 * interval '7 s', 'hello', 'r'
  FROM generate_series(1, 4000) AS n,
       LATERAL (SELECT 900000 + n % 1500 || '@lid' AS lid, (4915200000000 + n % 1500)::text AS phone) AS p
"""
MESSAGES = """
  INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
  SELECT gen_random_uuid(), user_id, id, 'msg', CASE WHEN n % 10 = 0 THEN 'group' ELSE 'phone' END,
         CASE WHEN n % 10 = 0 THEN n || '@g.us' ELSE (4915200000000 + n)::text END, 'hello', 'hello', now(), n::text
  FROM account, generate_series(1, 3000) AS n WHERE id = $1
"""
ALL = {
    "contact": "SELECT * FROM contact ORDER BY account_id, address",
    "message": "SELECT * FROM message ORDER BY id",
    "inbound": "SELECT account_id, chat, sender, wa_id, chat_phone, at, received_at FROM inbound ORDER BY 1, 2, 3, 4",
}


@pytest.fixture
async def full(postgres: Postgres) -> AsyncIterator[Rows]:
    """A database as the release before left it, with two accounts of Alice's and one of Charlie's."""
    async with fresh_database(postgres.url) as url:
        await migrate(url, to=BEFORE)
        async with Database.connect(url, application_name=url) as db:
            rows = Rows(db)
            mine = [await rows.account("alice") for _ in range(2)]
            charlies = await rows.account("charlie")
            for account, last in ((mine[0], 4915200002500), (mine[1], 4915200000700), (charlies, 4915200000100)):
                await rows.one(FACTS, account, 4915200000000, last)
                await rows.one(INBOUND, account)
            await rows.one(MESSAGES, mine[1])
            await rows.one(
                "INSERT INTO contact (account_id, address, jid) VALUES"
                " ($1, '5511987654321', '551187654321@s.whatsapp.net'), ($1, '551187654321', NULL),"
                " ($1, '77@lid', NULL), ($1, '1203@g.us', NULL)",
                mine[0],
            )
            yield rows


def url_of(rows: Rows) -> str:
    return rows.db._dsn


async def everything(rows: Rows) -> dict[str, list[asyncpg.Record]]:
    async with rows.db.connection() as connection:
        return {name: await connection.fetch(query) for name, query in ALL.items()}


async def contact_of(rows: Rows, name: str, value: str) -> Any:
    return await rows.one(
        "SELECT contact_id FROM contact_alias WHERE user_id = $1 AND value = $2", rows.users[name], value
    )


async def check(rows: Rows) -> None:
    """Each contact has one identity of its user; each inbound message its size, and an id in the order of arrival."""
    await rows.one("ANALYZE")
    assert await rows.one("SELECT count(*) FROM contact_alias WHERE value ~ '@g.us'") == 0
    lost = await rows.one(
        """
        SELECT count(*) FROM (
          SELECT user_id, address FROM contact JOIN account a ON a.id = account_id WHERE address !~ '@g.us'
          UNION SELECT user_id, recipient FROM message WHERE recipient_kind <> 'group'
          UNION SELECT user_id, unnest(ARRAY[chat, chat_phone]) FROM inbound JOIN account a ON a.id = account_id
        ) AS named (user_id, value)
        WHERE value IS NOT NULL AND NOT EXISTS (
          SELECT FROM contact_alias l
          WHERE (l.user_id, l.kind, l.value) = (named.user_id, alias_kind(named.value), named.value)
            AND NOT EXISTS (SELECT FROM merged_contact m WHERE (m.user_id, m.id) = (l.user_id, l.contact_id))
        )
        """
    )
    assert lost == 0
    apart = await rows.one(
        """
        SELECT count(*) FROM inbound i JOIN account a ON a.id = account_id
        JOIN contact_alias l ON (l.user_id, l.kind, l.value) = (a.user_id, 'lid', chat)
        JOIN contact_alias p ON (p.user_id, p.kind, p.value) = (a.user_id, 'phone', chat_phone)
        WHERE l.contact_id <> p.contact_id
        """
    )
    assert apart == 0
    brazilian = {await contact_of(rows, "alice", value) for value in ("5511987654321", "551187654321")}
    assert len(brazilian) == 1
    assert await contact_of(rows, "alice", "77@lid") not in {None, *brazilian}
    assert await contact_of(rows, "alice", "4915200000050") != await contact_of(rows, "charlie", "4915200000050")
    assert await rows.one("SELECT count(*) = count(DISTINCT id) AND count(*) = 12000 FROM inbound")
    out_of_order = await rows.one(
        """
        SELECT count(*) FROM (
          SELECT row_number() OVER (PARTITION BY account_id ORDER BY id) AS by_id,
                 row_number() OVER (PARTITION BY account_id ORDER BY at) AS by_time FROM inbound
        ) AS placed WHERE by_id <> by_time
        """
    )
    assert out_of_order == 0
    assert await rows.one("SELECT bool_and(size = 500 + octet_length(text) AND raw = '') FROM inbound")
    assert await rows.one(
        "SELECT bool_and(id BETWEEN uuid_at(received_at - 2 * ms) AND uuid_at(received_at + 2 * ms))"
        " FROM inbound, (SELECT interval '1 ms' AS ms) AS one"
    )


async def test_all_that_was_there_stays_and_gets_its_ids(full: Rows) -> None:
    before = await everything(full)
    await migrate(url_of(full), to=AFTER)
    assert await everything(full) == before
    await check(full)


async def test_twice_is_as_once(full: Rows) -> None:
    await migrate(url_of(full), to=AFTER)
    ids = await full.one("SELECT array_agg(id ORDER BY id) FROM inbound")
    aliases = await full.one("SELECT array_agg(to_jsonb(one) ORDER BY one::text) FROM contact_alias one")
    await full.one("UPDATE alembic_version SET version_num = $1", BEFORE)
    await full.one("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'inbound_id'::regclass")
    await migrate(url_of(full), to=AFTER)
    assert await full.one("SELECT array_agg(id ORDER BY id) FROM inbound") == ids
    assert await full.one("SELECT array_agg(to_jsonb(one) ORDER BY one::text) FROM contact_alias one") == aliases
    assert await full.one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'inbound_id'::regclass")


async def kill_in_the_middle(rows: Rows, begun: str) -> None:
    """Begin to migrate, and kill -9 that as soon as a query finds what it has begun."""
    code = (
        "import asyncio, sys; from chatwren.store.migrate import migrate;"
        "asyncio.run(migrate(sys.argv[1], to=sys.argv[2]))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url_of(rows), AFTER)

    async def has_begun() -> Any:
        with contextlib.suppress(asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
            return await rows.one(begun)

    await until(has_begun, seconds=60)
    assert process.returncode is None
    process.kill()
    await process.wait()


async def test_killed_among_inbound_it_goes_on(full: Rows) -> None:
    before = await everything(full)
    await full.one(
        "CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$"
    )
    await full.one(
        "CREATE TRIGGER stand_still BEFORE UPDATE ON inbound FOR EACH ROW WHEN (OLD.wa_id = '2500')"
        " EXECUTE FUNCTION stand_still()"
    )
    await kill_in_the_middle(full, "SELECT count(id) > 0 FROM inbound")
    given = await full.one("SELECT array_agg(id ORDER BY id) FROM inbound WHERE id IS NOT NULL")
    assert 1000 <= len(given) < 2500
    await full.one("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    await full.one("DROP TRIGGER stand_still ON inbound")
    await migrate(url_of(full), to=AFTER)
    assert await everything(full) == before
    await check(full)
    assert set(given) < set(await full.one("SELECT array_agg(id) FROM inbound"))


async def test_killed_among_contacts_it_goes_on(full: Rows) -> None:
    before = await everything(full)
    async with full.db.transaction() as holding:
        await holding.execute("SELECT FROM app_user WHERE username = 'charlie' FOR UPDATE")
        await kill_in_the_middle(full, "SELECT count(*) > 0 FROM contact_alias")
    assert await full.one("SELECT count(*) FROM contact_alias WHERE user_id = $1", full.users["charlie"]) == 0
    await migrate(url_of(full), to=AFTER)
    assert await everything(full) == before
    await check(full)


async def test_nobody_waits_behind_it(full: Rows) -> None:
    """While somebody reads for long, as a backup does, the migration waits, and others go on."""
    async with full.db.transaction() as reading:
        await reading.execute("SELECT FROM inbound LIMIT 1")
        migrating = asyncio.create_task(migrate(url_of(full), to=AFTER))
        await full.until_blocked(migrating)
        async with asyncio.timeout(10):
            assert await full.one("UPDATE inbound SET text = 'hello!' WHERE wa_id = '1' RETURNING true")
        assert not migrating.done()
    await migrating
    await check(full)


async def test_several_at_once(full: Rows) -> None:
    await asyncio.gather(*(migrate(url_of(full), to=AFTER) for _ in range(3)))
    await check(full)


async def test_what_the_older_release_stores_has_ids_and_sizes(full: Rows) -> None:
    await migrate(url_of(full), to=AFTER)
    account = await full.one("SELECT min(account_id::text)::uuid FROM inbound")
    await full.one(
        "INSERT INTO inbound (account_id, chat, sender, wa_id, from_me, is_group, at, text, raw)"
        " VALUES ($1, '78@lid', '78@lid', 'new', false, false, now(), '', 'raw')",
        account,
    )
    await full.one("INSERT INTO contact (account_id, address) VALUES ($1, '4915299999999')", account)
    assert await full.one("SELECT wa_id FROM inbound WHERE account_id = $1 ORDER BY id DESC LIMIT 1", account) == "new"
    assert await full.one("SELECT size FROM inbound WHERE wa_id = 'new'") == 500 + len("raw")
    for value in ("78@lid", "4915299999999"):
        assert await contact_of(full, "alice", value) is not None


FAIL = """
  UPDATE message SET status = 'failed', ended_at = now(), claimed_at = now(), attempts = 1,
                     error_code = 'outcome_unknown', unconfirmed = 1, {column} = $2
  WHERE id = $1
"""


async def test_what_the_older_release_says_of_a_failure_stays_and_the_newer_one_needs_no_sentence(
    postgres: Postgres,
) -> None:
    async with fresh_database(postgres.url) as url:
        await migrate(url, to=AFTER)
        async with Database.connect(url, application_name=url) as db:
            rows = Rows(db)
            account = await rows.account()
            before, beside, newer = [await rows.message(account) for _ in range(3)]
            await rows.one(FAIL.format(column="error_message"), before, "It was so.")
            await migrate(url)
            await rows.one(FAIL.format(column="error_message"), beside, "It was so.")
            failure = doubtful(rejected(479))
            await rows.one(FAIL.format(column="error_params"), newer, params(failure))
            for message, said in ((before, "It was so."), (beside, "It was so."), (newer, sentence(failure))):
                found, _ = await messages.get(db, rows.users["alice"], message)
                assert found.reason is not None
                assert (found.reason.code, sentence(found.reason)) == (failure.code, said)
                limits = Limits(db)
                await messages.retry(db, rows.users["alice"], message, limits=limits, computing=Computing(limits))
                found, timeline = await messages.get(db, rows.users["alice"], message)
                failed = [one.reason for one in timeline if one.step == "failed"]
                assert [one and sentence(one) for one in failed] == [said]
                assert found.reason is not None
                assert found.reason.code == "pacing"


async def test_what_the_older_release_accepts_of_bulks_is_counted(postgres: Postgres) -> None:
    """Of two with five rows each, before and beside the migration: first three, of which one is refused, then one."""
    async with fresh_database(postgres.url) as url:
        await migrate(url, to="0017")
        async with Database.connect(url, application_name=url) as db:
            rows = Rows(db)
            await rows.account()

            async def put() -> UUID:
                bulk = uuid7()
                await rows.one(
                    "INSERT INTO bulk (id, user_id, account_id, total) SELECT $1, user_id, id, 5 FROM account", bulk
                )
                await rows.one(
                    "INSERT INTO bulk_row (bulk_id, line, given) SELECT $1, n, '{}' FROM generate_series(1, 5) n", bulk
                )
                return bulk

            async def work_off(bulk: UUID, *lines: int) -> None:
                await rows.one(
                    "UPDATE bulk_row SET given = NULL, message_id = CASE WHEN line <> 2 THEN gen_random_uuid() END,"
                    " errors = CASE WHEN line = 2 THEN '[]' END WHERE bulk_id = $1 AND line = ANY($2)",
                    bulk,
                    lines,
                )
                await rows.one("UPDATE bulk SET read_to = $2 WHERE id = $1", bulk, max(lines))

            before = await put()
            await work_off(before, 1, 2, 3)
            await migrate(url)
            beside = await put()
            await work_off(beside, 1, 2, 3)
            for bulk in (before, beside):
                assert await rows.one("SELECT accepted FROM bulk WHERE id = $1", bulk) == 2
                await work_off(bulk, 4)
                assert await rows.one("SELECT accepted FROM bulk WHERE id = $1", bulk) == 3
            async with db.connection() as connection:
                assert await bulks.held(connection, await rows.user("alice")) == Held(open=2, unaccepted=4)


async def test_what_waited_before_and_meanwhile_is_listed_and_counted(postgres: Postgres) -> None:
    async with fresh_database(postgres.url) as url:
        await migrate(url, to="0019")
        async with Database.connect(url, application_name=url) as db:
            rows = Rows(db)
            account, charlies = await rows.account("alice"), await rows.account("charlie")
            for due in (-3600, -60, -1, 3600) * 5:
                await rows.message(account, due_in=due)
            await rows.message(charlies)
            migrated = False

            async def go_on() -> None:
                while not migrated:
                    await rows.message(account, due_in=-1)
                    await rows.one("UPDATE message SET status = 'cancelled', ended_at = now() WHERE id = $1", last)
                    await rows.message(account, due_in=60)

            last = await rows.message(account)
            going_on = asyncio.create_task(go_on())
            await migrate(url)
            migrated = True
            await going_on
            for _ in range(2):
                async with db.connection() as connection:
                    for status in (Shown.QUEUED, Shown.SCHEDULED, Shown.CANCELLED):
                        page = await listing.page(connection, Filter(rows.users["alice"], status), limit=1000)
                        assert len(page.rows) == page.total > 0
                    everything = await listing.page(connection, Filter(rows.users["alice"]), limit=1000)
                    assert everything.total == len(everything.rows) >= 21
                    await totals.look(connection)
            assert await rows.one("SELECT count(*) FROM message WHERE seen_at >= due") > 15


async def test_a_newer_schema_is_current_for_an_older_release(db: Database) -> None:
    async with db.connection() as connection:
        for version, current in (("9999", True), ("0012", False), ("another", False)):
            await connection.execute("UPDATE alembic_version SET version_num = $1", version)
            assert await is_current(connection) == current
