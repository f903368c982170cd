"""Sessions that begin and end at the same moment."""

import asyncio

from tests.rows import Rows

from chatwren.service import sessions
from chatwren.service.sessions import Sessions
from chatwren.store.database import Database


async def test_a_session_ends_with_the_others_while_another_begins_in_its_place(db: Database, rows: Rows) -> None:
    """As when the password is changed in one browser while the user logs in anew in another."""
    await rows.account("alice")
    user_id = rows.users["alice"]

    async def begun(instead_of: str | None) -> str:
        async with db.transaction() as connection:
            return await sessions.start(connection, user_id, instead_of=instead_of, at_most=50)

    first, second = [await begun(None) for _ in range(2)]
    changing = await Sessions(db).caller(first)
    assert changing is not None
    async with db.transaction() as connection:
        await sessions.confirm(connection, changing)
        third = asyncio.create_task(begun(second))
        await rows.until_blocked()
        assert await sessions.end_others_in(connection, changing) == 1
    living = [await Sessions(db).caller(sid) is not None for sid in (first, second, await third)]
    assert living == [True, False, True]
