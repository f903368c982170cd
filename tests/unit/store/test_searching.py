"""A search that passes over blocks of messages finds what one finds that reads them all."""

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.rows import Rows
from tests.waiting import until

from chatwren.domain import search
from chatwren.domain.messages import Filter, Shown
from chatwren.service import housekeeping
from chatwren.store import listing, searching
from chatwren.store.database import Database
from chatwren.store.messages import change

pytestmark = pytest.mark.anyio

TEXTS = ("Hello, Alice", "Olá João, até logo", "ORDER 4711 (100%)", "Ελλάδα", "नमस्ते 4711", "👋 hello", "Łódź", "ab")
ASKED = (
    "hello",
    "joao",
    "JOÃO",
    "4711",
    "order 4711 (",
    "ελλαδα",
    "नमस्ते",
    "lodz",
    "b",
    "ab",
    "lo",
    "nothing",
    "o, a",
    "é",
)
ADD = """
  INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
  SELECT $2, user_id, id, 'msg', 'phone', '1', $3, $3, now(), $2::uuid::text FROM account WHERE id = $1
"""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "BLOCK", 4)
    monkeypatch.setattr(searching, "BEHIND", 6)


async def prepare(db: Database) -> None:
    """Read all texts, when whoever writes anywhere in the server has ended."""

    async def all_are_read() -> bool:
        if await housekeeping.prepare_search(db):
            return False
        async with db.connection() as connection:
            return bool(await connection.fetchval("SELECT bool_and(grams IS NOT NULL) FROM message_block"))

    await until(all_are_read, what="reading")


async def find(db: Database, user: UUID, text: str, status: Shown | None = None) -> list[UUID]:
    """All ids, by the page and oldest first: those are the same."""
    async with db.connection() as connection:
        where = Filter(user, status, text=text)
        page = await listing.page(connection, where, limit=100)
        oldest = await listing.next_ids(connection, where, limit=100, after=None)
    found = [one.id for one in page.rows]
    assert (found, page.total) == (oldest[::-1], len(oldest))
    return found


async def fetched(db: Database, user: UUID, text: str) -> int:
    """How many messages a search reads."""
    count = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'message'"
    async with db.transaction() as connection:
        before = await connection.fetchval(count)
        await listing.page(connection, Filter(user, text=text), limit=10)
        return int(await connection.fetchval(count) - before)


async def test_it_finds_the_same(db: Database, rows: Rows) -> None:
    account, charlies = await rows.account("alice"), await rows.account("charlie")
    alice, charlie = rows.users["alice"], rows.users["charlie"]
    for number in range(40):
        await rows.message(account, TEXTS[number % len(TEXTS)], due_in=number % 3 * 60 - 60)
        await rows.message(charlies, TEXTS[number % 3])
    asked = [(user, text, status) for user in (alice, charlie) for text in ASKED for status in (None, Shown.QUEUED)]
    before = [await find(db, *one) for one in asked]
    assert sum(map(bool, before)) > len(asked) / 2
    await prepare(db)
    assert await rows.one("SELECT count(*) FROM message_block WHERE grams IS NOT NULL") == 2 * 9
    assert [await find(db, *one) for one in asked] == before


async def test_blocks_that_hold_nothing_of_it_are_not_read(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    for number in range(40):
        await rows.message(account, f"order {number}{number}{number}")
    assert await fetched(db, rows.users["alice"], "171717") >= 40
    await prepare(db)
    assert await fetched(db, rows.users["alice"], "171717") < 20


@pytest.mark.parametrize("asked", [{}, {"text": "order 7"}, {"text": "er"}], ids=str)
async def test_who_has_few_does_not_pay_for_who_has_many(db: Database, rows: Rows, asked: dict[str, Any]) -> None:
    alices, bobs = await rows.account("alice"), await rows.account("bob")
    for number in range(8):
        await rows.message(bobs, f"order {number}")
    await rows.one(
        """
        INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id)
        SELECT uuidv7(), user_id, id, 'msg', 'phone', '1', 'order ' || n, 'order ' || n, now(), n::text
        FROM account, generate_series(1, 4000) AS n WHERE id = $1
        """,
        alices,
    )
    await prepare(db)
    await rows.one("ANALYZE")
    count = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'message'"
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # one plan for both
        page = await listing.page(connection, Filter(rows.users["bob"], **asked), limit=10)
        assert page.total == (1 if asked.get("text") == "order 7" else 8)
        assert await connection.fetchval(count) < 2000


async def test_a_text_that_is_added_or_changed_within_a_block_is_found(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    alice = rows.users["alice"]
    made = [await rows.message(account) for _ in range(20)]
    await prepare(db)
    async with db.connection() as connection:
        await change(connection, alice, made[2], text="A new text", original="A new text")
    within = UUID(int=made[7].int + 1)  # of a clock that is behind
    await rows.one(ADD, account, within, "one more new text")
    assert await find(db, alice, "new text") == [within, made[2]]
    await prepare(db)
    assert await rows.one("SELECT count(*) FROM message_block WHERE grams IS NULL") == 0
    assert await find(db, alice, "new text") == [within, made[2]]


@pytest.mark.parametrize("what", ["added", "changed"])
async def test_a_block_is_not_read_beside_one_who_may_not_have_seen_it(db: Database, rows: Rows, what: str) -> None:
    account = await rows.account("alice")
    alice = rows.users["alice"]
    made = [await rows.message(account) for _ in range(20)]
    wanted = made[2] if what == "changed" else UUID(int=made[7].int + 1)
    async with db.transaction() as connection:
        if what == "changed":
            await change(connection, alice, wanted, text="A new text", original="A new text")
        else:
            await connection.execute(ADD, account, wanted, "A new text")
        while await housekeeping.prepare_search(db):
            pass
        assert await rows.one("SELECT count(grams) = 0 AND count(*) > 2 FROM message_block")
    assert await find(db, alice, "new text") == [wanted]
    await prepare(db)
    assert await rows.one("SELECT count(*) FROM message_block WHERE grams IS NULL") == 0
    assert await find(db, alice, "new text") == [wanted]


async def test_what_is_read_while_its_block_changes_is_read_again(db: Database, rows: Rows) -> None:
    account = await rows.account("alice")
    made = [await rows.message(account) for _ in range(20)]
    async with db.transaction() as connection:
        await searching.extend(connection)

    class Between:
        """The connection of who reads, and what happens between its reading and its writing."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

        async def fetch(self, *asked: Any) -> Any:
            found = await self.connection.fetch(*asked)
            if not found:  # others of the server write still
                return found
            async with db.connection() as other:
                await change(other, rows.users["alice"], made[2], text="A new text", original="A new text")
            return found

        async def execute(self, *asked: Any) -> Any:
            return await self.connection.execute(*asked)

    async with db.connection() as connection:
        await until(lambda: searching.read(Between(connection)), what="reading")  # type: ignore[arg-type]
    assert await rows.one("SELECT count(*) FROM message_block WHERE grams IS NULL") == 1
    assert await find(db, rows.users["alice"], "new text") == [made[2]]


async def test_blocks_of_what_was_removed_are_removed(db: Database, rows: Rows) -> None:
    account, charlies = await rows.account("alice"), await rows.account("charlie")
    for _ in range(20):
        await rows.message(charlies)
    made = [await rows.message(account, f"text {number}") for number in range(20)]
    await prepare(db)
    await rows.one("DELETE FROM message WHERE id = ANY($1)", made[:9])
    async with db.connection() as connection:
        assert await searching.forget(connection) == 2
        assert await searching.forget(connection) == 0
    late = UUID(int=made[2].int + 1)
    await rows.one(ADD, account, late, "a late text")
    assert await find(db, rows.users["alice"], "text") == [*made[:8:-1], late]
    await rows.one("DELETE FROM message WHERE user_id = $1", rows.users["alice"])
    async with db.connection() as connection:
        await searching.forget(connection)
    assert await rows.one("SELECT count(DISTINCT user_id) FROM message_block") == 1


LETTERS = st.text(st.sampled_from("aábcçdDeéÉ\u0301ıİøŁ 0(*Kſ\u0130नλς👋"), max_size=12)


@given(asked=LETTERS, text=st.lists(LETTERS, min_size=1, max_size=4).map("".join))
@example(asked="ILI", text="xılix")
@example(asked="cafe", text="CAFE\u0301")
def test_what_a_text_is_found_in_holds_all_that_it_consists_of(asked: str, text: str) -> None:
    for part in (asked, text[1:9], text[:6].swapcase()):
        if part and re.search(search.pattern_of(part), text):
            held = searching.grams_held([text])
            assert all(held[bit >> 3] >> (bit & 7) & 1 for bit in searching.grams_of(part))


def test_each_letter_with_an_accent_is_held_as_without() -> None:
    for char in map(chr, range(0x41, 0x2000)):
        bare = search.plain(char)
        if len(bare) == 1 and bare.isascii():
            assert searching.grams_of(f"x{bare}y") == searching.grams_of(f"x{char}y") != []
