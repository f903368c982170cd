"""The files of messages: kept with the message that names them, and shown to those whose they are."""

import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import structlog

from chatwren.domain.caller import Caller
from chatwren.domain.errors import NotFound, Unavailable
from chatwren.domain.ids import uuid7
from chatwren.domain.limits import Limit, reached
from chatwren.media.objects import MediaStore
from chatwren.media.prepare import PreparedFile
from chatwren.service import sessions
from chatwren.store import files, limits
from chatwren.store.database import UNREACHABLE, Database

log = structlog.get_logger(__name__)


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


@contextlib.asynccontextmanager
async def kept(
    db: Database, media_store: MediaStore, caller: Caller, prepared: PreparedFile, *, at_most: int
) -> AsyncIterator[UUID]:
    """The id of a file that is stored, for the message that is to be stored in this context. Without one nothing stays.

    Its row comes first, as that is what counts: of many files at once no more are stored than there is room for. What a
    killed process leaves is swept.

    Args:
        at_most: bytes that all files of the user may have.

    Raises:
        NotAuthenticated: the session has ended meanwhile.
        TooLarge: there is no room for it.
        Unavailable: the media store cannot be used.
    """
    file = files.File(
        id=uuid7(),
        user_id=caller.user.id,
        kind=str(prepared.kind),
        mimetype=prepared.mimetype,
        file_name=prepared.file_name,
        size=prepared.size,
        sha256=prepared.sha256,
        width=prepared.width,
        height=prepared.height,
        seconds=prepared.seconds,
        thumbnail=prepared.thumbnail,
    )
    try:
        await _record(db, caller, file, at_most)
        await media_store.put(file.key, prepared.path)
        yield file.id
    except BaseException:
        await _forget(db, media_store, file)
        raise


async def _record(db: Database, caller: Caller, file: files.File, at_most: int) -> None:
    async with db.transaction() as connection:
        await sessions.confirm(connection, caller)
        if await limits.media_bytes(connection, file.user_id) + file.size > at_most:
            raise reached(Limit.MEDIA_BYTES, at_most)
        await files.insert(connection, file)


async def _forget(db: Database, media_store: MediaStore, file: files.File) -> None:
    """Remove a file, unless its message is stored after all: of a commit perhaps only the answer was lost."""
    try:
        if await db.until_answered(lambda connection: files.remove_unnamed(connection, file.id), asked=True):
            await media_store.delete(file.key)
    except (*UNREACHABLE, Unavailable) as error:
        log.warning("files.left_to_the_sweep", file=file.key, error=repr(error))
