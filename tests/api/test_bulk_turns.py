"""Whose rows are accepted next, and what becomes of rows that cost, fail, or kill whoever is at them."""

import asyncio
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chatwren.domain import clock
from chatwren.service import bulk, bulk_rows
from chatwren.store import bulk_steps
from chatwren.store.database import Database
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer
from tests.api.test_bulk import JSONL, accept, follow, lines, submit, texts
from tests.waiting import until

# What a worker does with bulks, in a process of its own that dies in the middle of a row.
DIES = """
import asyncio, os, signal, sys
from chatwren.service import bulk, bulk_rows
from chatwren.store.database import Database

read = bulk_rows.message_of

def deadly(given, **more):
    if "poison" in given:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(given, **more)

bulk_rows.message_of = deadly

async def main():
    async with Database.connect(sys.argv[1], size=2) as db:
        while await bulk.accept_some(db, default_zone=None):
            pass

asyncio.run(main())
"""


def row(text: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"phoneId": f"+9198111{number:05}", "message": text, **more}


def step(server: WebServer) -> bool:
    return server.run(lambda db: bulk.accept_some(db, default_zone=None))


def somebody_died(server: WebServer) -> None:
    """As if whoever had taken rows had done so long ago."""
    server.sql("UPDATE bulk SET taken_at = taken_at - interval '1 minute'")


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's client, with an account linked."""
    alice.link("919876543210")
    return alice.http


def work_until_killed(server: WebServer) -> bool:
    """Let a process work that dies of poison. Returns whether it did."""
    command = [sys.executable, "-c", DIES, str(server.settings.database_url)]
    return subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL


def test_a_row_that_kills_its_worker_is_put_aside_and_costs_its_neighbours_nothing(
    shop: httpx.Client, server: WebServer, bob: Person
) -> None:
    bob.link("919876543211")
    words = ["one", "two", "poison", "three", "poison too", "four"]
    bulk_id = submit(shop, lines(*(row(text, number) for number, text in enumerate(words))), JSONL)
    deaths = 0
    while work_until_killed(server):
        deaths += 1
        assert deaths < 20
        somebody_died(server)
    assert deaths == 3  # once for all rows, and once more for each of the deadly
    done = follow(shop, bulk_id)
    assert (done["status"], done["accepted"], done["refused"]) == ("accepted", 4, 2)
    refused = follow(shop, bulk_id, refused="true")["rows"]
    given_up = "The row was given up: two workers, one after the other, ended while they were at it."
    assert [(one["line"], one["errors"][0]["message"]) for one in refused] == [(3, given_up), (5, given_up)]
    assert texts(shop) == ["one", "two", "three", "four"]


def test_a_row_whose_time_is_over_before_its_turn_is_refused(
    shop: httpx.Client, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited, without = row("one", expiresAt=ahead(hours=1)), row("two")
    bulk_id = submit(shop, lines(limited, without), JSONL)
    monkeypatch.setattr(bulk, "now", lambda: clock.now() + timedelta(hours=2))
    accept(server)
    (refused,) = follow(shop, bulk_id, refused="true")["rows"]
    assert (refused["line"], refused["errors"][0]["field"]) == (1, "expiresAt")
    assert "row's turn" in refused["errors"][0]["message"]
    assert texts(shop) == ["two"]


def test_while_one_has_died_at_a_bulk_others_are_accepted(shop: httpx.Client, server: WebServer, bob: Person) -> None:
    bob.link("919876543211")
    submit(shop, lines(row("poison")), JSONL)
    assert work_until_killed(server)
    bobs = submit(bob.http, lines(row("hello")), JSONL)
    accept(server)
    assert follow(bob.http, bobs)["status"] == "accepted"
    assert server.sql("SELECT count(*) FROM bulk WHERE ended_at IS NULL") == [(1,)]  # Alice's waits for its worker


def test_rows_are_taken_in_turns_by_user_and_each_users_oldest_first(
    shop: httpx.Client, server: WebServer, alice: Person, bob: Person
) -> None:
    bob.link("919876543211")
    two_steps = lines(*(row("sale", number) for number in range(201)))
    for client in (shop, shop, bob.http):
        submit(client, two_steps, JSONL)
    turns = []
    while step(server):
        ((last,),) = server.sql("SELECT user_id FROM bulk_turn ORDER BY at DESC LIMIT 1")
        turns.append("alice" if last == alice.id else "bob")
    # Each bulk takes two steps, and one that finds no more rows.
    assert turns == ["alice", "bob"] * 3 + ["alice"] * 3
    ended = server.sql("SELECT id FROM bulk WHERE user_id = $1 ORDER BY ended_at", alice.id)
    assert ended == sorted(ended)


def test_new_bulks_of_one_user_do_not_go_before_anothers_old_one(
    shop: httpx.Client, server: WebServer, bob: Person
) -> None:
    bob.link("919876543211")
    bobs = submit(bob.http, lines(*(row("sale", number) for number in range(401))), JSONL)
    for _ in range(8):
        submit(shop, lines(row("mine")), JSONL)
        step(server)
    assert follow(bob.http, bobs)["accepted"] == 401


def test_a_step_ends_when_it_has_computed_for_its_time(
    shop: httpx.Client, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk_id = submit(shop, lines(*(row("sale", number) for number in range(10))), JSONL)
    monkeypatch.setattr(bulk, "_STEP_SECONDS", 0.0)
    for number in range(1, 4):
        assert step(server)
        assert follow(shop, bulk_id)["accepted"] == number
    accept(server)
    assert follow(shop, bulk_id)["status"] == "accepted"
    assert len(texts(shop)) == 10


def test_a_step_takes_rows_of_so_many_bytes(shop: httpx.Client, server: WebServer) -> None:
    long = {"notes": "x" * 200_000}
    bulk_id = submit(shop, lines(*(row("sale", number, **long) for number in range(12))), JSONL)
    step(server)
    assert 5 <= follow(shop, bulk_id)["accepted"] <= 7
    accept(server)
    assert follow(shop, bulk_id)["accepted"] == 12


def test_a_row_with_which_something_of_ours_fails_is_refused_alone(
    shop: httpx.Client, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_of = bulk_rows.message_of

    def fails(given: str, **more: Any) -> Any:
        if "bad" in given:
            raise RecursionError
        return message_of(given, **more)

    monkeypatch.setattr(bulk_rows, "message_of", fails)
    bulk_id = submit(shop, lines(row("one"), row("bad"), row("two")), JSONL)
    accept(server)
    assert texts(shop) == ["one", "two"]
    assert [one["line"] for one in follow(shop, bulk_id, refused="true")["rows"]] == [2]


async def _interrupted(db: Database) -> None:
    task = asyncio.create_task(bulk.accept_some(db, default_zone=None))
    async with db.connection() as connection:
        taken = "SELECT EXISTS (SELECT FROM bulk WHERE taken_at IS NOT NULL)"
        await until(lambda: connection.fetchval(taken), every=0)
        task.cancel()
        await asyncio.wait([task])


def test_a_worker_that_ends_gives_its_rows_back_and_blames_none(
    shop: httpx.Client, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk_id = submit(shop, lines(row("one"), row("two", 2)), JSONL)
    message_of = bulk_rows.message_of

    def slowly(given: str, **more: Any) -> Any:
        time.sleep(0.2)
        return message_of(given, **more)

    monkeypatch.setattr(bulk_rows, "message_of", slowly)
    for _ in range(3):
        server.run(_interrupted)
        assert server.sql("SELECT taken_at, tried_to, alone FROM bulk") == [(None, 0, None)]
    monkeypatch.undo()
    accept(server)
    assert follow(shop, bulk_id)["accepted"] == 2


def test_a_bulk_that_is_cancelled_while_its_rows_are_worded_accepts_none_of_them(
    shop: httpx.Client, server: WebServer
) -> None:
    """The cancel comes when the rows are taken, and when they are being stored: nothing goes out of either."""
    bulk_id = submit(shop, lines(*(row("sale", number) for number in range(300))), JSONL)

    async def taken(db: Database) -> bulk_steps.Taken:
        async with db.transaction() as connection:
            found = await bulk_steps.take(connection)
            assert found is not None
            return found

    async def stale(db: Database, mine: bulk_steps.Taken) -> bool:
        async with db.transaction() as connection:
            return await bulk_steps.is_ours(connection, mine)

    mine = server.run(taken)
    assert server.run(lambda db: stale(db, mine))
    assert shop.post("/api/messages/cancel", json={"bulkId": bulk_id}).json()["cancelled"] == 300
    assert not server.run(lambda db: stale(db, mine))
    accept(server)
    done = follow(shop, bulk_id)
    assert (done["status"], done["accepted"], done["refused"]) == ("accepted", 0, 300)
    assert texts(shop) == []


@pytest.mark.parametrize(
    "begun",
    [
        "SELECT true",
        "SELECT EXISTS (SELECT FROM bulk WHERE taken_at IS NOT NULL OR ended_at IS NOT NULL)",
        "SELECT EXISTS (SELECT FROM message)",
    ],
    ids=["none is taken", "some are taken", "some are accepted"],
)
def test_cancel_and_acceptance_at_the_same_moment_leave_nothing_that_goes_out(
    shop: httpx.Client, server: WebServer, begun: str
) -> None:
    bulk_id = submit(shop, lines(*(row("sale", number) for number in range(400))), JSONL)

    async def race(db: Database) -> int:
        async def work() -> None:
            while await bulk.accept_some(db, default_zone=None):
                pass

        async def cancel() -> int:
            async with db.connection() as connection:
                await until(lambda: connection.fetchval(begun), every=0)
            async with httpx.AsyncClient(base_url=server.url, headers=shop.headers, cookies=shop.cookies) as client:
                answer = await client.post("/api/messages/cancel", json={"bulkId": bulk_id})
                return int(answer.json()["cancelled"])

        working = [asyncio.create_task(work()) for _ in range(3)]
        cancelled = await cancel()
        await asyncio.gather(*working)
        return cancelled

    assert server.run(race) == 400
    assert server.sql("SELECT count(*) FROM message WHERE status = 'waiting'") == [(0,)]
    done = follow(shop, bulk_id)
    assert (done["status"], done["accepted"] + done["refused"]) == ("accepted", 400)


def test_who_was_taken_for_dead_stores_nothing(shop: httpx.Client, server: WebServer) -> None:
    submit(shop, lines(row("once")), JSONL)

    async def slow_and_quick(db: Database) -> None:
        async with db.transaction() as connection:
            slow = await bulk_steps.take(connection)
        assert slow is not None
        async with db.connection() as connection:
            await connection.execute("UPDATE bulk SET taken_at = taken_at - interval '1 minute'")
        while await bulk.accept_some(db, default_zone=None):
            pass
        async with db.transaction() as connection:
            assert not await bulk_steps.is_ours(connection, slow)

    server.run(slow_and_quick)
    assert texts(shop) == ["once"]
