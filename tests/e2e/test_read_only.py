"""A database that takes no writes for a while: its disk is full, or another server is the first one now."""

from pathlib import Path

import asyncpg
import pytest

from chatwren.machine.throwaway import fresh_database
from tests.conftest import Postgres
from tests.e2e.conftest import LEASE
from tests.e2e.house import a_number, house
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def _take_writes(url: str, *, may: bool) -> None:
    """Whether sessions that begin from now on may write. Those that are there end, if not."""
    connection = await asyncpg.connect(url, server_settings={"default_transaction_read_only": "off"})
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if may else 'on'}")
        if not may:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    finally:
        await connection.close()


async def test_all_goes_on_when_writes_are_taken_again(postgres: Postgres, tmp_path: Path) -> None:
    """Though the sessions that began meanwhile stay read-only for as long as they are kept."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path, **LEASE) as home,
        home.person("alice") as alice,
    ):
        worker = await home.worker()
        await alice.link()
        bob = a_number()
        await alice.until_message(await alice.send(bob, "before"), status="sent")

        async def ready() -> bool:
            return (await alice.http.get("/health/ready")).is_success

        async def not_ready() -> bool:
            return not await ready()

        await _take_writes(url, may=False)
        await until(not_ready, what="web's word that it is not ready")
        answer = await alice.http.post("/api/messages/send", json={"phoneId": f"+{bob}", "message": "meanwhile"})
        assert answer.status_code == 503
        await home.phones.write(bob, alice.number, "hello?")

        async def engine_waits() -> bool:
            return any("read-only transaction" in str(said.get("error")) for said in worker.said())

        await until(engine_waits, seconds=60, what="a write that the worker or its engine could not do")
        await _take_writes(url, may=True)
        await until(ready, what="web's word that it is ready")
        await alice.until_message(await alice.send(bob, "after"), seconds=60, status="sent")

        async def heard() -> bool:
            return bool(await home.sql("SELECT FROM inbound WHERE text = 'hello?'"))

        await until(heard, seconds=60, what="what Bob wrote meanwhile")
        assert [one["text"] for one in await home.phones.messages(bob, sender=alice.number)] == ["before", "after"]
        assert worker.process.returncode is None
