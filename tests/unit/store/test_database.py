"""What a caller of the pool sees of a database that goes away."""

import asyncio
import threading

import asyncpg
import pytest
from tests.cable import cable
from tests.waiting import until

from chatwren.domain.ids import uuid7
from chatwren.store import database
from chatwren.store.database import OF_USERS, UNREACHABLE, Database, Topic

pytestmark = pytest.mark.anyio


async def test_a_connection_that_the_server_is_just_ending_is_an_unreachable_database(
    database_url: str, db: Database
) -> None:
    async def end(pid: int) -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await connection.close()

    async with db.connection() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        # While this loop stands still, so that the server's last words and its end are there to be read together.
        ending = threading.Thread(target=asyncio.run, args=(end(pid),))
        ending.start()
        ending.join()
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the last words are read, the end is not
        with pytest.raises(UNREACHABLE):
            await connection.fetchval("SELECT 1")


async def test_a_way_that_is_cut_in_silence_is_noticed_by_who_only_listens(
    database_url: str, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a firewall that has forgotten a connection on which nothing was said for minutes."""
    monkeypatch.setattr(database, "_LISTENING_SECONDS", 0.05)
    monkeypatch.setattr(database, "_ANSWER_SECONDS", 0.5)
    looks, heard = [], []
    async with cable(database_url) as way, Database.connect(way.url) as far:
        listening = asyncio.create_task(
            far.listen(OF_USERS, lambda _, ids: heard.append(ids), on_gap=lambda: looks.append(1))
        )
        await until(lambda: looks)
        way.forget()
        await until(lambda: len(looks) > 1, seconds=20, what="another connection")
        user = uuid7()
        async with db.connection() as connection:
            connection.tell(Topic.MESSAGES, [user])
        await until(lambda: {user} in heard, what="a hint on it")
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_sessions_that_may_not_write_are_replaced_when_one_could_not(database_url: str) -> None:
    """They stay so when their server is not read-only any more, or another takes its place."""
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        async with Database.connect(database_url) as db:
            with pytest.raises(UNREACHABLE):
                await db.ping()
            async with db.connection(), db.connection():  # two that began meanwhile
                await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            with pytest.raises(UNREACHABLE):
                async with db.connection() as connection:
                    await connection.execute("CREATE TABLE a ()")
            for _ in range(2):
                await db.ping()
    finally:
        await owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await owner.close()


async def test_a_connection_whose_way_is_cut_in_silence_is_given_up_with_its_statement(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_RELEASE_SECONDS", 0.5)
    async with cable(database_url) as way, Database.connect(way.url, size=1) as db:
        await db.ping()
        way.forget()
        with pytest.raises(UNREACHABLE):
            async with asyncio.timeout(20) as bound, db.connection() as connection:
                await connection.execute("SELECT", timeout=0.2)
        assert not bound.expired()
        await db.ping()


async def test_a_session_that_ended_while_nobody_used_it_is_replaced(database_url: str, db: Database) -> None:
    async with Database.connect(database_url, size=1) as pool:
        async with pool.connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
        async with db.connection() as connection:
            await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
        again = await pool.until_answered(lambda one: one.fetchval("SELECT pg_backend_pid()"), asked=True)
    assert again != pid


async def test_whoever_waits_for_a_connection_gets_the_one_that_is_given_back(database_url: str) -> None:
    async with Database.connect(database_url, size=1) as pool:
        async with pool.connection():
            waiting = [asyncio.create_task(pool.ping()) for _ in range(3)]
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await asyncio.gather(*waiting)
