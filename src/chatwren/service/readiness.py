"""Whether a process can do its work."""

from chatwren.domain.errors import Unavailable
from chatwren.store.database import Database
from chatwren.store.migrate import is_current


async def check(db: Database) -> None:
    """Return when the database answers, takes writes and has the schema of this version.

    Raises:
        Unavailable: it has another schema.
        any of store.database.UNREACHABLE: it does not answer, or takes no writes.
    """
    await db.ping()
    async with db.connection() as connection:
        if not await is_current(connection):
            raise Unavailable(
                "The database's schema is not the one of this version: run `chatwren migrate`.", retry_after=5
            )
