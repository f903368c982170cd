"""Tables grow under connections that have planned for them when they were empty, and whose statistics nobody takes."""

from datetime import timedelta

import pytest
from tests.rows import Rows

from chatwren.domain.messages import Filter
from chatwren.service import messages
from chatwren.store import database
from chatwren.store.database import Database
from chatwren.store.fenced import messages as fenced_messages

pytestmark = pytest.mark.anyio

MANY = 2000
REACHED = """
  SELECT count(*) FROM message m
  WHERE EXISTS (SELECT FROM contact c WHERE c.account_id = m.account_id AND c.address = m.recipient)
"""
GENERIC = 6
"""How often PostgreSQL is asked before it keeps a plan."""
LOOKED_AT = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables"


async def test_what_is_asked_while_they_grow_looks_at_each_row_a_few_times_at_most(
    database_url: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    for table in ("account", "contact", "message", "message_total"):
        await rows.one(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        await rows.one(f"ANALYZE {table}")  # nothing is known to be there, unlike before anything is known
    async with Database.connect(database_url, size=1) as pool:

        async def ask() -> int:
            """How many rows a page of Alice's queue, a claim, and a join of the two largest tables look at."""
            before = await looked_at()
            await messages.page(pool, Filter(rows.users["alice"]), page=1, limit=20)
            async with pool.connection() as connection:
                await fenced_messages.claim(
                    connection,
                    worker,
                    [account],
                    fenced_messages.Terms(guard=timedelta(0), contact_age=timedelta(1), upload_age=timedelta(1)),
                )
                await connection.fetchval(REACHED)
            return await looked_at() - before

        async def looked_at() -> int:
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_stat_force_next_flush()")
                await connection.execute("SELECT pg_stat_clear_snapshot()")
                found: int = await connection.fetchval(LOOKED_AT)
            return found

        for n in range(GENERIC):
            await rows.message(account, to=str(n))  # one of them goes, the others have a place in the queue
            await ask()
        await rows.one(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
            SELECT uuidv7(), user_id, id, 'msg', 'phone', n::text, 'x', 'x', now() - interval '1 min', n::text
            FROM account, generate_series(100, 99 + $1) AS n
            """,
            MANY,
        )
        await rows.one(
            "INSERT INTO contact (account_id, address, reached_at) SELECT account_id, recipient, now() FROM message"
        )
        monkeypatch.setattr(database, "_PLANS_SECONDS", 0)
        assert await ask() < 20 * MANY
