"""Takes out of the database the workers that died here, so that their accounts need not wait for the end of a lease."""

import asyncpg
import structlog

from chatwren.machine.lives import Lives
from chatwren.store.database import Database
from chatwren.store.fenced import workers

log = structlog.get_logger(__name__)


async def bury(db: Database, lives: Lives) -> None:
    """Remove the workers of which it is proved that they and their engines are dead. All are told of their accounts."""
    if not (dead := lives.ended()):
        return
    async with db.connection() as connection:
        try:
            await workers.end_sessions_of(connection, dead)
        except asyncpg.InsufficientPrivilegeError as error:
            log.warning("worker.sessions_not_ended", error=str(error))
        gone = await workers.bury(connection, dead)
    for one in gone:
        lives.forget(one)
        log.warning("worker.buried", dead=str(one))
