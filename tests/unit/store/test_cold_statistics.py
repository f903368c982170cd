"""What is asked of an account that statistics do not know yet grows with its messages, not with their square.

An account is that new until the next autoanalyze. To PostgreSQL each index of accounts seems to lead to one row of it.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from asyncpg.connection import LoggedQuery
from tests.rows import Rows

from chatwren.domain.ids import uuid7
from chatwren.domain.messages import Filter, Shown
from chatwren.store import bulks, contacts, listing, messages, totals
from chatwren.store.database import Connection, Database

pytestmark = pytest.mark.anyio

FEW, TIMES = 250, 4
MOST = 1.5 * TIMES
"""How much more so many times the messages may cost. Of what looks at each for each, it would be TIMES squared."""
KNOWN = 4000
"""Messages that statistics know. To look at all of them a few times is no square either."""

Ask = Callable[[Connection, bulks.Bulk, list[UUID]], Awaitable[object]]


async def _page(connection: Connection, bulk: bulks.Bulk, ids: list[UUID], **asked: Any) -> None:
    await listing.page(connection, Filter(bulk.user_id, **asked), limit=len(ids))


ASKED: dict[str, Ask] = {
    "a bulk's state": lambda connection, bulk, _: bulks.progress(connection, bulk),
    "its rows": lambda connection, bulk, ids: bulks.results(
        connection, bulk, refused=False, limit=100, offset=len(ids) - 100
    ),
    "a page": lambda connection, bulk, ids: listing.page(
        connection, Filter(bulk.user_id, bulk=bulk.id), limit=100, offset=len(ids) - 100
    ),
    **{f"a page of what is {status}": partial(_page, status=status) for status in (*Shown, None)},
    "a page to one": partial(_page, recipient="1"),
    "the next": lambda connection, bulk, ids: listing.next_ids(
        connection, Filter(bulk.user_id, bulk=bulk.id), limit=len(ids), after=None
    ),
    "places": lambda connection, bulk, ids: listing.places(connection, bulk.account_id, ids, ("normal", "bulk")),
    "an end": lambda connection, bulk, ids: messages.cancel_all(connection, bulk.user_id, ids),
    "totals": lambda connection, bulk, _: totals.of_user(connection, bulk.user_id),
    "contacts": lambda connection, bulk, ids: contacts.promote(
        connection, [(bulk.account_id, str(n)) for n in range(len(ids))]
    ),
}


async def put_bulk(rows: Rows, name: str, many: int) -> tuple[bulks.Bulk, list[UUID]]:
    """A bulk of so many rows, each of them a message to a stranger of a new account's."""
    account = await rows.account(name)
    bulk = uuid7()
    await rows.one(
        "INSERT INTO bulk (id, user_id, account_id, total) SELECT $1, user_id, id, $3 FROM account WHERE id = $2",
        bulk,
        account,
        many,
    )
    async with rows.db.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, lane, due,
                                 wa_id)
            SELECT gen_random_uuid(), user_id, id, 'msg', 'phone', n::text, 'x', 'x',
                   CASE WHEN n % 2 = 0 THEN 'cold' ELSE 'bulk' END::message_lane,
                   now() + n % 2 * interval '1 h' - interval '1 min', n::text
            FROM account, generate_series(0, $2 - 1) AS n WHERE id = $1
            """,
            account,
            many,
        )
        await connection.execute(
            "INSERT INTO contact (account_id, address, reached_at)"
            " SELECT account_id, recipient, now() FROM message WHERE account_id = $1",
            account,
        )
        await connection.execute(
            "INSERT INTO bulk_row (bulk_id, line, message_id)"
            " SELECT $1, row_number() OVER (ORDER BY id), id FROM message WHERE account_id = $2",
            bulk,
            account,
        )
        found = await bulks.get(connection, rows.users[name], bulk)
    assert found is not None
    async with rows.db.connection() as connection:
        ids = [row[0] for row in await connection.fetch("SELECT message_id FROM bulk_row WHERE bulk_id = $1", bulk)]
    return found, ids


def work_of(plan: Any) -> float:
    """How many rows the nodes of a plan looked at: what they passed on, and what they dropped."""
    seen = sum(plan.get(key, 0) for key in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter"))
    return float(plan["Actual Loops"] * seen + sum(map(work_of, plan.get("Plans", ()))))


async def work(db: Database, ask: Ask, bulk: bulks.Bulk, ids: list[UUID]) -> float:
    """How many rows are looked at for what is asked. Each statement is run once more for that, and undone."""
    asked: list[LoggedQuery] = []
    seen = 0.0
    async with db.connection() as connection:
        async with undone(connection):
            await ask(connection, bulk, ids)  # what asyncpg asks the first time is its own
        async with undone(connection):
            with connection.query_logger(asked.append):
                await ask(connection, bulk, ids)
        for one in asked:
            async with undone(connection):
                plans = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {one.query}", *one.args)
            seen += work_of(json.loads(plans)[0]["Plan"])
    return seen


@contextlib.asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """A transaction that is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def put_history(rows: Rows, accounts: int) -> None:
    """What statistics know: messages of so many accounts of Charlie's, none of which waits."""
    for _ in range(accounts):
        await rows.account("charlie")
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id,
                             status, ended_at)
        SELECT gen_random_uuid(), user_id, id, 'msg', 'phone', n::text, 'x', 'x', now(), n::text, 'cancelled', now()
        FROM account, generate_series(1, $1) AS n
        """,
        KNOWN // accounts,
    )


@pytest.mark.parametrize("known", ["a bulk", "an account", "many accounts"])
@pytest.mark.parametrize("what", ASKED)
async def test_it_grows_with_the_messages(db: Database, rows: Rows, what: str, known: str) -> None:
    for table in ("account", "message", "bulk", "bulk_row", "contact"):
        await rows.one(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    if known == "a bulk":
        await put_bulk(rows, "charlie", KNOWN)
    else:
        await put_history(rows, 1 if known == "an account" else 100)
    await rows.one("ANALYZE account, message, bulk, bulk_row, contact")
    few = await work(db, ASKED[what], *await put_bulk(rows, "alice", FEW))
    many = await work(db, ASKED[what], *await put_bulk(rows, "bob", FEW * TIMES))
    assert 0 < many <= few * MOST + 4 * KNOWN, (few, many)
