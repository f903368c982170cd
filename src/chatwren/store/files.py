"""Media files as rows. Their bytes: media.py."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from chatwren.store.database import Connection
from chatwren.store.rows import Columns, named


@dataclass(frozen=True, slots=True)
class File:
    """A stored media file."""

    id: UUID
    user_id: UUID
    kind: str  # image, video, audio, document
    mimetype: str
    file_name: str
    size: int  # bytes
    sha256: str  # hex
    width: int | None
    height: int | None
    seconds: int | None
    thumbnail: bytes | None

    @property
    def key(self) -> str:
        """Its name in the media store. A user's files are under the user's own prefix."""
        return media_key(self.user_id, self.id)


def media_key(user_id: UUID, media_id: UUID) -> str:
    """The name of a file in the media store."""
    return f"{user_id}/{media_id}"


_FILE = Columns(File, "media")
_INSERT = """
    INSERT INTO media (id, user_id, kind, mimetype, file_name, size, sha256, width, height, seconds, thumbnail)
    VALUES (:id, :user_id, :kind, :mimetype, :file_name, :size, :sha256, :width, :height, :seconds, :thumbnail)
"""


async def insert(connection: Connection, file: File) -> None:
    """Record a file. It counts from now on, before its bytes are in the media store."""
    await connection.execute(*named(_INSERT, **asdict(file)))


async def remove_unnamed(connection: Connection, media_id: UUID) -> bool:
    """Remove a file's row that no message names. False: one does.

    A message that is being stored is waited for.
    """
    try:
        await connection.execute(
            "DELETE FROM media WHERE id = $1 AND NOT EXISTS (SELECT FROM message WHERE media_id = $1)", media_id
        )
    except asyncpg.ForeignKeyViolationError:  # it was, when it was not to be seen yet
        return False
    return not await known(connection, [media_id])


async def get(connection: Connection, user_id: UUID, media_id: UUID) -> File | None:
    """A file of the user."""
    row = await connection.fetchrow(f"SELECT {_FILE} FROM media WHERE user_id = $1 AND id = $2", user_id, media_id)
    return _FILE.of(row) if row else None


async def known(connection: Connection, media_ids: list[UUID]) -> set[UUID]:
    """Which of these files have a row: the others are orphans of a crash, or of a user who was deleted."""
    rows = await connection.fetch("SELECT id FROM media WHERE id = ANY($1)", media_ids)
    return {row[0] for row in rows}


ORPHAN_AGE = timedelta(hours=1)
"""How old a row without a message, or an object without a row, must be to be swept: longer than any request takes."""
