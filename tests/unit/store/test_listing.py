"""Lists: their filters to the edge, their totals, and places in the queue."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.rows import Rows

from chatwren.domain import search
from chatwren.domain.ids import uuid7
from chatwren.domain.messages import Filter, Shown
from chatwren.store import listing
from chatwren.store.database import Database

pytestmark = pytest.mark.anyio


async def ids(db: Database, where: Filter) -> list[UUID]:
    async with db.connection() as connection:
        return await listing.next_ids(connection, where, limit=100, after=None)


async def test_since_is_part_of_the_time_and_until_is_not(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    first, second, third = [await rows.message(account, due_in=due) for due in (10, 20, 30)]
    due = (await rows.get(second))["due"]
    alice = rows.users["alice"]
    assert await ids(db, Filter(alice, since=due)) == [second, third]
    assert await ids(db, Filter(alice, until=due)) == [first]
    assert await ids(db, Filter(alice, since=due, until=due + timedelta(microseconds=1))) == [second]


@pytest.mark.parametrize("text", [None, "hello"])
async def test_a_list_is_of_its_users_messages(db: Database, rows: Rows, text: str | None) -> None:
    alices, charlies = await rows.account("alice"), await rows.account("charlie")
    hers, his = [], []
    for _ in range(2):
        hers.append(await rows.message(alices))
        his.append(await rows.message(charlies))
    for user, own in (("alice", hers), ("charlie", his)):
        where = Filter(rows.users[user], text=text)
        assert await ids(db, where) == own
        async with db.connection() as connection:
            page = await listing.page(connection, where, limit=3, offset=0, before=None)
            assert [one.id for one in page] == own[::-1]
            assert (await listing.count(connection, where)).total == len(own)


@pytest.mark.parametrize(
    "asked", ["manana (100%)", "MAÑANA (", "Man\u0303ana", "*", "a\u0301 \\d", "\u0301", "ana (100%)*"]
)
async def test_a_text_is_found_without_its_accents(db: Database, rows: Rows, asked: str) -> None:
    account = await rows.account("alice")
    text = {"\u0301": "e\u0301", "a\u0301 \\d": "Á \\D"}.get(asked, "Llega mañana (100%)*")
    found, ascii_too = await rows.message(account), await rows.message(account)
    for message, said in (
        (found, text),
        (ascii_too, "Llega Manana (100%)* a \\d"),
        (await rows.message(account), "ma"),
    ):
        await rows.one("UPDATE message SET text = $2 WHERE id = $1 RETURNING id", message, said)
    where = Filter(rows.users["alice"], text=asked)
    assert await ids(db, where) == ([found] if asked == "\u0301" else [found, ascii_too])
    async with db.connection() as connection:
        assert (await listing.count(connection, where)).total == len(await ids(db, where))


@given(asked=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
@example(asked="ɯƜ")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_is_asked_for_postgresql_reads_it(db: Database, asked: str) -> None:
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT $1::text ~ $2", f"x{asked}x", search.pattern_of(asked))


async def test_a_bulk_is_counted_by_its_own_messages(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    message, _ = [await rows.message(account) for _ in range(2)]
    bulk = uuid7()
    await rows.one("INSERT INTO bulk (id, user_id, account_id, total) SELECT $1, user_id, id, 1 FROM account", bulk)
    await rows.one("INSERT INTO bulk_row (bulk_id, line, message_id) VALUES ($1, 1, $2)", bulk, message)
    where = Filter(rows.users["alice"], bulk=bulk)
    assert await ids(db, where) == [message]
    async with db.connection() as connection:
        assert (await listing.count(connection, where)).total == 1


@pytest.mark.parametrize("more", [0, 1])
async def test_with_further_filters_ten_thousand_are_counted_exactly(db: Database, rows: Rows, more: int) -> None:
    await rows.account("alice")
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
        SELECT gen_random_uuid(), a.user_id, a.id, 'msg', 'phone', '1', 'x', 'x', now(), n::text
        FROM account a, generate_series(1, $1) n
        """,
        listing.COUNTED + more,
    )
    async with db.connection() as connection:
        count = await listing.count(connection, Filter(rows.users["alice"], text="X"))
        plain = await listing.count(connection, Filter(rows.users["alice"], status=Shown.QUEUED))
    assert (count.total, count.at_least) == (listing.COUNTED, bool(more))
    assert (plain.total, plain.at_least) == (listing.COUNTED + more, False)


async def test_places_are_those_of_the_claims_order_among_what_may_go(db: Database, rows: Rows) -> None:
    account, charlies = await rows.account("alice"), await rows.account("charlie")
    bulk, normal, later = [
        await rows.message(account, lane=lane, due_in=due)
        for lane, due in (("bulk", -9), ("normal", -2), ("normal", -1))
    ]
    urgent = await rows.message(account, lane="urgent", due_in=-1)
    cold = await rows.message(account, lane="cold", due_in=-9)
    future = await rows.message(account, due_in=60)
    backs_off = await rows.message(account, to="4915200009", due_in=-99)
    was_backing_off = await rows.message(account, to="4915200008", due_in=-5)
    await rows.message(charlies, due_in=-99)
    for address, retry in (("4915200009", "1 min"), ("4915200008", "-1 min")):
        await rows.one(
            f"INSERT INTO contact (account_id, address, retry_at) VALUES ($1, $2, now() + interval '{retry}')",
            account,
            address,
        )
    every = [bulk, normal, later, urgent, cold, future, backs_off, was_backing_off]
    async with db.connection() as connection:
        found = await listing.places(connection, account, every, ("urgent", "normal", "bulk"))
        assert found == {urgent: 0, was_backing_off: 1, normal: 2, later: 3, bulk: 4}
        assert await listing.places(connection, account, [bulk], ("urgent", "normal", "cold", "bulk")) == {bulk: 5}
        assert await listing.places(connection, account, every, ("cold",)) == {cold: 0}
