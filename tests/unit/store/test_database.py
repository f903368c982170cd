"""What a caller of the pool sees of a database that goes away."""

import asyncio
import threading

import asyncpg
import pytest

from chatwren.store.database import UNREACHABLE, Database

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
