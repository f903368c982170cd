"""Where the bytes of media files are kept: a local folder, or an object store. Their rows: files.py."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from chatwren.domain import clock
from chatwren.domain.errors import NotFound, Unavailable

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY = re.compile(f"{_UUID}/{_UUID}")
_OBJECT_STORE = re.compile("(?:s3|gs|az)://.+")
_URL = re.compile("[A-Za-z][A-Za-z0-9+.-]*://")
_CHUNK = 256 * 1024
_PART = 5 * 1024 * 1024  # the least that S3 takes as a part of a larger upload
_PARTS_AT_ONCE = 2
_SWEEP_STEP = 1000
_RETRY_AFTER = 10.0
_THREADS = 8

T = TypeVar("T")


class MediaStore:
    """The bytes of media files, by key: `{user's id}/{file's id}`, both UUIDs. Two users never share an object.

    Each method raises Unavailable while the store cannot be used. None holds a whole file in memory.

    obstore's own asynchronous functions are not used: they hand their results to the event loop from a thread that
    Python does not know, and a process that ends right after one of them is aborted now and then (seen with obstore
    0.12.1: exit status 134). Its synchronous ones run in threads of ours instead.
    """

    def __init__(self, objects: ObjectStore, *, folder: Path | None = None) -> None:
        """A store in `objects`; `folder` is where those are local files. See `media_store`."""
        self._objects = objects
        self._folder = folder
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="media-store")

    async def put(self, key: str, path: Path) -> None:
        """Store a file, which nobody changes from now on. When this returns, it survives a power failure.

        In a folder on its own file system it is not copied: it gets a second name, and the first may be removed.

        One that is cancelled ends no sooner than its thread: who removes what it has stored comes after that.
        """
        storing = asyncio.ensure_future(self._run(self._put, _checked(key), path))
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await asyncio.gather(storing, return_exceptions=True)
            raise

    async def open(self, key: str) -> AsyncIterator[bytes]:
        """The bytes of a file, in chunks.

        Raises:
            NotFound: there is none under this key. Raised at once, not by the first chunk.
        """
        try:
            chunks = await self._run(self._get, _checked(key))
        except FileNotFoundError as error:
            raise NotFound("The file is no longer there.") from error
        return self._each(chunks)

    async def head(self, key: str) -> int | None:
        """The size of a file in bytes; None if there is none under this key."""
        with suppress(FileNotFoundError):
            return (await self._run(obstore.head, self._objects, _checked(key)))["size"]
        return None

    async def delete(self, key: str) -> None:
        """Remove a file. One that is not there is none to remove."""
        with suppress(FileNotFoundError):
            await self._run(obstore.delete, self._objects, _checked(key))

    async def delete_all_of(self, user_id: UUID) -> None:
        """Remove all files of a user, and what a crash has left of some."""
        async for keys in self._each(self._keys_of(user_id)):
            for key in keys:
                await self.delete(key)
        if self._folder:
            await self._run(partial(shutil.rmtree, ignore_errors=True), self._folder / str(user_id))

    async def sweep(self, *, older_than: timedelta, keep: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
        """Remove old files that nobody keeps: those stored just before a crash, and those of removed users.

        What is not named like a key is another's and stays.

        Args:
            older_than: only files stored longer ago than this.
            keep: which of these keys (1,000 at most) are to stay.

        Returns:
            How many were removed.
        """
        before = clock.now() - older_than
        removed = 0
        async for keys in self._each(self._keys(before)):
            for key in set(keys) - await keep(keys):
                await self.delete(key)
                removed += 1
        if self._folder:
            await self._run(_remove_unfinished, self._folder, before)
        return removed

    def _put(self, key: str, path: Path) -> None:
        if not (self._folder and _linked(path, self._folder / key)):
            obstore.put(self._objects, key, path, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)
        if self._folder:
            # Nobody has synced the file or its name. The user's folder may be new as well.
            stored = self._folder / key
            for changed in (stored, stored.parent, self._folder):
                _sync(changed)

    def _get(self, key: str) -> Iterator[bytes]:
        stream = obstore.get(self._objects, key).stream(min_chunk_size=_CHUNK)
        return (bytes(chunk) for chunk in stream)

    def _keys(self, before: datetime) -> Iterator[list[str]]:
        for batch in obstore.list(self._objects, chunk_size=_SWEEP_STEP):
            keys = [one["path"] for one in batch if one["last_modified"] < before and _KEY.fullmatch(one["path"])]
            if keys:
                yield keys

    def _keys_of(self, user_id: UUID) -> Iterator[list[str]]:
        for batch in obstore.list(self._objects, prefix=str(user_id), chunk_size=_SWEEP_STEP):
            yield [one["path"] for one in batch if _KEY.fullmatch(one["path"])]

    async def _each(self, items: Iterator[T]) -> AsyncIterator[T]:
        while (item := await self._run(next, items, None)) is not None:
            yield item

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        with _unavailable():
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def media_store(url: str) -> MediaStore:
    """The store at an address: a folder, which is made if need be, or `s3://`, `gs://`, `az://`.

    An object store takes its credentials from its own usual environment variables.

    Raises:
        ValueError: an address of another kind.
    """
    if _OBJECT_STORE.fullmatch(url):
        # By default obstore tries for three minutes; whoever uploads would have left.
        return MediaStore(from_url(url, retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)}))
    if _URL.match(url):
        raise ValueError(f"{url} is no place for media files: name a folder, or s3://, gs:// or az://.")
    folder = Path(url).absolute()
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        _sync(folder.parent)
    return MediaStore(LocalStore(folder, automatic_cleanup=True), folder=folder)


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a media file")
    return key


def _linked(path: Path, to: Path) -> bool:
    """Whether a file has got a second name. It has not where there is a file already, or on another file system."""
    try:
        to.parent.mkdir(exist_ok=True)
        os.link(path, to)
    except OSError:  # whoever copies it stumbles as well, if anything is wrong, and says what
        return False
    return True


def _sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_unfinished(folder: Path, before: datetime) -> None:
    """Remove what a crash in the middle of a `put` left. obstore calls it `{key}#{number}`, and does not list it."""
    for path in folder.glob("*/*#*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise Unavailable("The media store cannot be used right now.", retry_after=_RETRY_AFTER) from error
