"""A file is kept with the message that names it; of one whose message is not stored nothing is left."""

import asyncio
import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cable import cable
from tests.rows import Rows
from tests.unit.service.conftest import SignIn, hello, intake_of
from tests.waiting import until

from chatwren.domain.errors import NotAuthenticated, TooLarge, Unavailable
from chatwren.media.objects import MediaStore, media_store
from chatwren.media.prepare import PreparedFile
from chatwren.media.recognise import MediaKind
from chatwren.service import deletion, files
from chatwren.store.database import UNREACHABLE, Connection, Database

pytestmark = pytest.mark.anyio

BYTES = b"a,b\n" * 100


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedFile:
    path = tmp_path / "upload"
    path.write_bytes(BYTES)
    digest = hashlib.sha256(BYTES).hexdigest()
    return PreparedFile(
        path, MediaKind.DOCUMENT, "text/csv", "a.csv", len(BYTES), sha256=digest, received_sha256=digest
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def store(folder: Path) -> MediaStore:
    return media_store(str(folder))


def left(folder: Path) -> list[str]:
    """What lies in the media folder, folders included."""
    return [one.name for one in folder.rglob("*")]


async def test_of_many_at_once_no_more_are_kept_than_there_is_room_for(
    rows: Rows, sign_in: SignIn, prepared: PreparedFile, *, store: MediaStore, folder: Path
) -> None:
    alice = await sign_in("alice")
    all_have_tried, tried = asyncio.Event(), 0

    async def keep() -> None:
        nonlocal tried
        try:
            async with files.kept(rows.db, store, alice, prepared, at_most=2 * len(BYTES) + 1):
                tried += 1
                await all_have_tried.wait()
                raise RuntimeError
        except TooLarge:
            tried += 1
            raise

    keeping = [asyncio.create_task(keep()) for _ in range(8)]
    await until(lambda: _of(tried == len(keeping)))
    assert await rows.one("SELECT count(*) FROM media") == 2
    all_have_tried.set()
    results = await asyncio.gather(*keeping, return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["RuntimeError"] * 2 + ["TooLarge"] * 6
    assert await rows.one("SELECT count(*) FROM media") == 0
    assert left(folder) == []


async def _of(value: object) -> object:
    return value


async def test_what_was_being_stored_when_its_request_was_cancelled_goes(
    rows: Rows,
    sign_in: SignIn,
    prepared: PreparedFile,
    *,
    store: MediaStore,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice = await sign_in("alice")
    stores, goes_on, ended, put = asyncio.Event(), threading.Event(), threading.Event(), store._put
    loop = asyncio.get_running_loop()

    def slow(key: str, path: Path) -> None:
        loop.call_soon_threadsafe(stores.set)
        goes_on.wait(30)
        put(key, path)
        ended.set()

    monkeypatch.setattr(store, "_put", slow)

    async def keep() -> None:
        async with files.kept(rows.db, store, alice, prepared, at_most=10**6):
            pytest.fail("it was cancelled")

    keeping = asyncio.create_task(keep())
    await stores.wait()
    keeping.cancel()
    loop.call_later(0.1, goes_on.set)  # the thread ends when its caller has long been told
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert await asyncio.to_thread(ended.wait, 30)
    assert left(folder) == []
    assert await rows.one("SELECT count(*) FROM media") == 0


async def test_a_store_that_fails_leaves_no_row(
    rows: Rows, sign_in: SignIn, prepared: PreparedFile, *, store: MediaStore, folder: Path
) -> None:
    alice = await sign_in("alice")
    with pytest.raises(Unavailable):
        async with files.kept(rows.db, store, alice, replace(prepared, path=folder), at_most=10**6):
            pytest.fail("a folder cannot be stored")
    assert await rows.one("SELECT count(*) FROM media") == 0


async def test_a_user_who_is_deleted_while_their_file_is_stored_leaves_nothing(
    rows: Rows, sign_in: SignIn, prepared: PreparedFile, *, store: MediaStore, folder: Path
) -> None:
    alice = await sign_in("alice")
    await rows.one("UPDATE account SET status = 'logged_out'")

    class Deleting(MediaStore):
        async def put(self, key: str, path: Path) -> None:
            async with rows.db.connection() as connection:
                await connection.execute("UPDATE app_user SET deleted_at = now(), disabled_at = now()")
                await connection.execute("DELETE FROM session")
            await deletion.work_off(rows.db, store, [alice.user.id])
            await store.put(key, path)

    intake = intake_of(rows.db, folder)
    intake._media_store = Deleting(store._objects, folder=store._folder)
    with pytest.raises(NotAuthenticated):
        await intake.accept(alice, alice.account, replace(hello(), media=prepared))
    assert await rows.one("SELECT count(*) FROM app_user") == 0
    assert left(folder) == []
    with pytest.raises(NotAuthenticated):  # nor is anything begun for who is gone
        await intake_of(rows.db, folder).accept(alice, alice.account, replace(hello(), media=prepared))
    assert left(folder) == []


async def test_a_file_whose_message_is_stored_stays_though_that_was_never_heard(
    rows: Rows, sign_in: SignIn, prepared: PreparedFile, *, store: MediaStore, folder: Path
) -> None:
    alice = await sign_in("alice")
    await intake_of(rows.db, folder).accept(alice, alice.account, hello())

    async def keep(connection: Connection) -> None:
        async with files.kept(rows.db, store, alice, prepared, at_most=10**6) as media_id:
            await connection.execute("UPDATE message SET media_id = $1", media_id)
            raise ConnectionError

    async with rows.db.connection() as connection:  # committed before it is asked for,
        with pytest.raises(ConnectionError):
            await keep(connection)
    async with rows.db.transaction() as connection:  # and only afterwards
        keeping = asyncio.create_task(keep(connection))
        await rows.until_blocked()
    with pytest.raises(ConnectionError):
        await keeping
    assert await rows.one("SELECT count(*) FROM media") == 2
    assert len(left(folder)) == 3


async def test_a_database_that_is_away_for_a_moment_is_asked_again(
    database_url: str, rows: Rows, sign_in: SignIn, prepared: PreparedFile, *, store: MediaStore, folder: Path
) -> None:
    alice = await sign_in("alice")
    async with cable(database_url) as way, Database.connect(way.url, size=1) as far:

        async def keep() -> None:
            async with files.kept(far, store, alice, prepared, at_most=10**6):
                await way.cut()
                async with far.connection() as connection:
                    await connection.execute("SELECT")

        keeping = asyncio.create_task(keep())
        await until(lambda: rows.one("SELECT count(*) FROM media"))
        await asyncio.wait({keeping}, timeout=0.3)
        await way.mend()
        with pytest.raises(UNREACHABLE):
            await keeping
    assert await rows.one("SELECT count(*) FROM media") == 0
    assert left(folder) == []
