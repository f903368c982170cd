"""Media files as rows. Their bytes: media.py."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

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
    """Record a file whose bytes are in the media store."""
    await connection.execute(*named(_INSERT, **asdict(file)))


async def get(connection: Connection, user_id: UUID, media_id: UUID) -> File | None:
    """A file of the user."""
    row = await connection.fetchrow(f"SELECT {_FILE} FROM media WHERE user_id = $1 AND id = $2", user_id, media_id)
    return _FILE.of(row) if row else None


async def known(connection: Connection, media_ids: list[UUID]) -> set[UUID]:
    """Which of these files have a row: the others are orphans of a crash between the object and the row."""
    rows = await connection.fetch("SELECT id FROM media WHERE id = ANY($1)", media_ids)
    return {row[0] for row in rows}


ORPHAN_AGE = timedelta(hours=1)
"""How old an object without a row must be before it is swept: longer than any request takes."""
