"""Lists: their filters to the edge, their totals, and places in the queue."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.rows import Rows

from chatwren.domain import search
from chatwren.domain.ids import uuid7
from chatwren.domain.messages import Filter, Shown
from chatwren.store import listing, totals
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
            page = await listing.page(connection, where, limit=3)
            assert [one.id for one in page.rows] == own[::-1]
            assert page.total == len(own)


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
        assert (await listing.page(connection, where, limit=1)).total == len(await ids(db, where))


@given(asked=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
@example(asked="ɯƜ")
@example(asked="0\u03000")
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
        assert (await listing.page(connection, where, limit=1)).total == 1


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("asked", "most"),
    [({"since": datetime(2026, 1, 1, tzinfo=UTC)}, listing.COUNTED), ({"text": "X"}, listing.COUNTED_OF_TEXT)],
    ids=["filtered", "searched"],
)
async def test_so_many_are_counted_exactly(
    db: Database, rows: Rows, asked: dict[str, Any], most: int, more: int
) -> None:
    await rows.account("alice")
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
        SELECT gen_random_uuid(), a.user_id, a.id, 'msg', 'phone', '1', 'x', 'x', now(), n::text
        FROM account a, generate_series(1, $1) n
        """,
        most + more,
    )
    async with db.connection() as connection:
        count = await listing.page(connection, Filter(rows.users["alice"], **asked), limit=1)
        behind = await listing.page(connection, Filter(rows.users["alice"], **asked), limit=2, offset=most - 1)
        plain = await listing.page(connection, Filter(rows.users["alice"], status=Shown.QUEUED), limit=1)
    assert (count.total, count.at_least) == (most, bool(more))
    assert (len(behind.rows), behind.total, behind.at_least) == (1 + more, most, bool(more))
    assert (plain.total, plain.at_least) == (most + more, False)


async def test_places_are_those_of_the_claims_order_among_what_may_go(
    db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        monkeypatch.setattr(listing, "PLACES", 2)
        assert await listing.places(connection, account, every, ("urgent", "normal", "bulk")) == {
            urgent: 0,
            was_backing_off: 1,
        }


_TEXTS = ("hello", "Olá, João", "HELLO again", "")
_DUES = (-7200, -60, -1, 60, 7200)


async def put_mixture(rows: Rows, account: UUID, many: int) -> None:
    """Messages of every status, recipient, text and time, accepted at any time and seen or not."""
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, seen_at,
                             wa_id, status, claimed_at, sent_at, ended_at, error_code)
        SELECT gen_random_uuid(), user_id, id, 'msg', 'phone', (n % 3)::text,
               ($3::text[])[1 + (random() * 3)::integer], '',
               now() + CASE s.status WHEN 'sending' THEN -1 ELSE ($4::integer[])[1 + (random() * 4)::integer] END
                 * interval '1 s',
               now() - random() * interval '3 h', n::text, s.status,
               CASE WHEN s.status IN ('sending', 'sent') THEN now() END, CASE s.status WHEN 'sent' THEN now() END,
               CASE WHEN s.status > 'sent' THEN now() END, CASE s.status WHEN 'failed' THEN 'x' END
        FROM account, generate_series(1, $2::integer) AS n,
             LATERAL (SELECT (enum_range(NULL::message_status))[1 + n % 7 % 6] AS status) AS s
        WHERE id = $1
        """,
        account,
        many,
        list(_TEXTS),
        list(_DUES),
    )


_FILTERS = [
    {"status": status, "recipient": recipient, "text": text, "since": since, "until": until}
    for status in (None, *Shown)
    for recipient in (None, "1", "9")
    for text in (None, "joao", "HELLO", "e")
    for since, until in ((None, None), (-90, None), (None, 90))
]


async def test_a_page_is_what_reading_all_messages_would_give(db: Database, rows: Rows) -> None:
    """Of every filter: the first page, one in the middle and one by cursor, and the total."""
    account, second, charlies = [await rows.account(name) for name in ("alice", "alice", "charlie")]
    for one in (account, second, charlies):
        await put_mixture(rows, one, 60)
    alice = rows.users["alice"]
    async with db.connection() as connection:
        now = await connection.fetchval("SELECT now()")
        stored = await connection.fetch("SELECT * FROM message WHERE user_id = $1 ORDER BY id DESC", alice)

        def matches(row: Any, asked: dict[str, Any]) -> bool:
            status = row["status"]
            if status == "waiting":
                status = "queued" if row["due"] <= now else "scheduled"
            return (
                asked["status"] in (None, status)
                and asked["recipient"] in (None, row["recipient"])
                and (asked["text"] is None or search.plain(asked["text"]) in search.plain(row["text"] or " "))
                and (asked["since"] is None or row["due"] >= now + timedelta(seconds=asked["since"]))
                and (asked["until"] is None or row["due"] < now + timedelta(seconds=asked["until"]))
            )

        for seen in (False, True):
            for asked in _FILTERS:
                moments = {
                    name: None if asked[name] is None else now + timedelta(seconds=asked[name])
                    for name in ("since", "until")
                }
                where = Filter(alice, asked["status"], asked["recipient"], asked["text"], **moments)
                expected = [row["id"] for row in stored if matches(row, asked)]
                first = await listing.page(connection, where, limit=4)
                assert ([one.id for one in first.rows], first.total) == (expected[:4], len(expected)), asked
                middle = await listing.page(connection, where, limit=4, offset=3)
                assert ([one.id for one in middle.rows], middle.total) == (expected[3:7], len(expected)), asked
                cursor = expected[1] if len(expected) > 1 else uuid7()
                after = await listing.page(connection, where, limit=4, before=cursor)
                assert [one.id for one in after.rows] == [one for one in expected if one < cursor][:4], asked
                oldest = await listing.next_ids(connection, where, limit=100, after=None)
                assert oldest == expected[::-1][:100], asked
            if not seen:
                assert await totals.look(connection) > 0
