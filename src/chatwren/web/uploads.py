"""Where the files of requests lie while the requests last, and whether there is room for them."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

from chatwren.domain.errors import Unavailable
from chatwren.domain.limits import Limit
from chatwren.web.context import HttpRequest, context
from chatwren.web.http.bodies import MAX_FILE_BYTES

LEAST_FREE = 0.1
"""The share of a disk that clients may not fill: PostgreSQL stops when it cannot write."""

_RETRY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Uploads:
    """Which fields of a form may be files, whose they are, and how many bytes they may have."""

    user_id: UUID
    fields: Collection[str]
    at_most: int = MAX_FILE_BYTES


@contextlib.asynccontextmanager
async def temporary_file(request: HttpRequest, user_id: UUID) -> AsyncIterator[IO[bytes]]:
    """A file for what a client sends, gone with the context.

    Threads open, write and remove it: while the disk is busy, each of these may wait for it.

    Raises:
        TooMany: the user sends as many files at once as they may (`limit_reached`).
        Unavailable: a disk is nearly full (`disk_nearly_full`).
    """
    _check_disks(request)
    async with context(request).limits.slot(user_id, Limit.UPLOADS):
        opening = asyncio.ensure_future(asyncio.to_thread(_open))
        try:
            yield await asyncio.shield(opening)
        finally:
            file = await opening
            await asyncio.shield(asyncio.to_thread(file.close))


async def write_on(request: HttpRequest, file: IO[bytes], data: bytes) -> None:
    """Put more into such a file, for whoever reads it by its name.

    Raises:
        Unavailable: a disk is nearly full (`disk_nearly_full`): with what others write meanwhile, this was too much.
    """
    _check_disks(request)
    await asyncio.to_thread(_write, file, data)


def _open() -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="chatwren-upload-")


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()


def _check_disks(request: HttpRequest) -> None:
    for folder in (Path(tempfile.gettempdir()), context(request).settings.data_dir):
        disk = shutil.disk_usage(next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists()))
        if disk.free < disk.total * LEAST_FREE:
            raise Unavailable(
                "The server has too little disk left to take files. Messages without files are accepted.",
                code="disk_nearly_full",
                retry_after=_RETRY_SECONDS,
            )
