"""The files of messages, for those whose they are."""

from uuid import UUID

from chatwren.domain.errors import NotFound
from chatwren.store import files
from chatwren.store.database import Database


async def get(db: Database, user_id: UUID, file_id: UUID) -> files.File:
    """A file of the user. Its bytes are in the media store, under its key.

    Raises:
        NotFound: the user has none of that id.
    """
    async with db.connection() as connection:
        found = await files.get(connection, user_id, file_id)
    if found is None:
        raise NotFound("There is no such file.")
    return found
