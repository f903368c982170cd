import asyncio
import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from obstore.store import MemoryStore, S3Store

from chatwren.domain import clock
from chatwren.domain.errors import NotFound, Unavailable
from chatwren.media.objects import MediaStore, media_store

ALICE, BOB, CHARLIE = "alice", "bob", "charlie"
USERS = {name: str(uuid4()) for name in (ALICE, BOB, CHARLIE)}


def key_of(user: str) -> str:
    return f"{USERS[user]}/{uuid4()}"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    """Every test below runs against a local folder and against an object store, here one in memory."""
    return media_store(str(tmp_path / "a folder" / "media")) if request.param == "folder" else MediaStore(MemoryStore())


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(b"a picture of a wren")
    return path


@pytest.fixture
def later() -> Iterator[None]:
    """An hour and a minute pass."""
    yield
    clock.shift(timedelta())


async def read(store: MediaStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in await store.open(key)])


def test_what_is_put_is_there_until_it_is_deleted(store: MediaStore, upload: Path) -> None:
    async def scenario() -> None:
        key = key_of(ALICE)
        assert await store.head(key) is None
        await store.put(key, upload)
        assert await store.head(key) == len(b"a picture of a wren")
        assert await read(store, key) == b"a picture of a wren"
        await store.delete(key)
        await store.delete(key)
        assert await store.head(key) is None
        with pytest.raises(NotFound):
            await store.open(key)

    asyncio.run(scenario())
    assert upload.exists()


def test_putting_again_replaces(store: MediaStore, upload: Path) -> None:
    another = upload.with_name("another")
    another.write_bytes(b"another")

    async def scenario() -> None:
        key = key_of(ALICE)
        await store.put(key, upload)
        await store.put(key, another)
        assert await read(store, key) == b"another"

    asyncio.run(scenario())


def test_a_large_file_is_read_in_chunks(tmp_path: Path, upload: Path) -> None:
    store, content = media_store(str(tmp_path / "media")), os.urandom(12_000_000)
    upload.write_bytes(content)

    async def scenario() -> None:
        key = key_of(ALICE)
        await store.put(key, upload)
        chunks = [chunk async for chunk in await store.open(key)]
        assert b"".join(chunks) == content
        assert max(map(len, chunks)) < 1_000_000

    asyncio.run(scenario())


def test_a_reader_may_leave_early(store: MediaStore, upload: Path) -> None:
    upload.write_bytes(bytes(3_000_000))

    async def scenario() -> None:
        key = key_of(ALICE)
        await store.put(key, upload)
        async for chunk in await store.open(key):
            assert chunk
            break
        await store.delete(key)

    asyncio.run(scenario())


_ID = "0198c7a2-5f00-7000-8000-000000000001"


@pytest.mark.parametrize("key", ["", "a/b", "../../etc/passwd", _ID, f"{_ID}/../{_ID}", f"/{_ID}"])
def test_a_key_is_two_uuids(store: MediaStore, upload: Path, key: str) -> None:
    async def scenario() -> None:
        for attempt in (store.put(key, upload), store.open(key), store.head(key), store.delete(key)):
            with pytest.raises(ValueError, match="no key"):
                await attempt

    asyncio.run(scenario())


@pytest.mark.usefixtures("later")
def test_the_sweep_removes_what_is_old_and_not_kept(store: MediaStore, upload: Path) -> None:
    async def scenario() -> None:
        kept, orphan, others = key_of(ALICE), key_of(ALICE), key_of(BOB)
        for key in (kept, orphan, others):
            await store.put(key, upload)
        asked: list[str] = []

        async def keep(keys: Sequence[str]) -> set[str]:
            asked.extend(keys)
            return {kept, others, key_of(CHARLIE)}

        assert await store.sweep(older_than=timedelta(hours=1), keep=keep) == 0
        assert asked == []
        clock.shift(timedelta(hours=1, minutes=1))
        assert await store.sweep(older_than=timedelta(hours=1), keep=keep) == 1
        assert sorted(asked) == sorted([kept, orphan, others])
        assert await store.head(orphan) is None
        assert await store.head(kept) is not None
        assert await store.head(others) is not None

    asyncio.run(scenario())


@pytest.mark.usefixtures("later")
def test_the_sweep_asks_in_steps(upload: Path) -> None:
    store = MediaStore(MemoryStore())

    async def scenario() -> None:
        for _ in range(1_050):
            await store.put(key_of(ALICE), upload)
        steps: list[int] = []

        async def keep(keys: Sequence[str]) -> set[str]:
            steps.append(len(keys))
            return set()

        clock.shift(timedelta(hours=2))
        assert await store.sweep(older_than=timedelta(hours=1), keep=keep) == 1_050
        assert max(steps) <= 1_000

    asyncio.run(scenario())


async def keep_nothing(keys: Sequence[str]) -> set[str]:
    assert keys
    return set()


@pytest.mark.usefixtures("later")
def test_the_sweep_leaves_what_is_not_ours(tmp_path: Path, upload: Path) -> None:
    store = media_store(str(tmp_path / "media"))
    foreign = tmp_path / "media" / "backups" / "important"
    foreign.parent.mkdir()
    foreign.touch()

    async def scenario() -> None:
        await store.put(key_of(ALICE), upload)
        clock.shift(timedelta(days=1))
        assert await store.sweep(older_than=timedelta(hours=1), keep=keep_nothing) == 1

    asyncio.run(scenario())
    assert foreign.exists()


@pytest.mark.usefixtures("later")
def test_the_sweep_removes_what_a_crash_left_half_written(tmp_path: Path) -> None:
    store = media_store(str(tmp_path))
    unfinished = tmp_path / USERS[ALICE] / f"{uuid4()}#1"
    unfinished.parent.mkdir()
    unfinished.touch()

    async def sweep() -> None:
        await store.sweep(older_than=timedelta(hours=1), keep=keep_nothing)

    asyncio.run(sweep())
    assert unfinished.exists()
    clock.shift(timedelta(hours=2))
    asyncio.run(sweep())
    assert not unfinished.exists()


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    media_store(str(tmp_path / "data" / "media"))
    assert (tmp_path / "data" / "media").stat().st_mode & 0o777 == 0o700


def test_put_has_the_disk_keep_the_file_and_its_folders(
    tmp_path: Path, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, key = media_store(str(tmp_path / "media")), key_of(ALICE)
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    asyncio.run(store.put(key, upload))
    file = tmp_path / "media" / key
    assert synced == [file, file.parent, file.parent.parent]


def test_a_file_on_the_same_file_system_is_not_copied(tmp_path: Path, upload: Path) -> None:
    store, key = media_store(str(tmp_path / "media")), key_of(ALICE)
    asyncio.run(store.put(key, upload))
    assert upload.samefile(tmp_path / "media" / key)
    upload.unlink()
    assert asyncio.run(read(store, key)) == b"a picture of a wren"


def test_a_file_of_another_file_system_is_copied(tmp_path: Path, upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refused)
    store, key = media_store(str(tmp_path / "media")), key_of(ALICE)
    asyncio.run(store.put(key, upload))
    upload.unlink()
    assert asyncio.run(read(store, key)) == b"a picture of a wren"


def test_a_store_that_cannot_be_used_is_unavailable(tmp_path: Path, upload: Path) -> None:
    (tmp_path / USERS[ALICE]).write_text("a file where a folder should be")
    store = media_store(str(tmp_path))

    async def scenario() -> None:
        with pytest.raises(Unavailable) as unavailable:
            await store.put(key_of(ALICE), upload)
        assert unavailable.value.retry_after > 0

    asyncio.run(scenario())


def test_an_object_store_that_does_not_answer_is_unavailable(upload: Path) -> None:
    nowhere = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )

    async def scenario() -> None:
        store, key = MediaStore(nowhere), key_of(ALICE)
        for attempt in (store.put(key, upload), store.open(key), store.head(key), store.delete(key)):
            with pytest.raises(Unavailable):
                await attempt

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["s3://bucket/media", "gs://bucket", "az://container/media"])
def test_object_stores_by_their_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert media_store(url)._folder is None


@pytest.mark.parametrize("url", ["http://example.com/media", "ftp://example.com", "memory:///", "file:///tmp", "s3://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no place for media files"):
        media_store(url)


def test_a_process_that_ends_right_after_use_ends_well(tmp_path: Path, upload: Path) -> None:
    program = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from chatwren.media.objects import media_store

        async def main():
            store = media_store({str(tmp_path / "media")!r})
            await store.put({key_of(ALICE)!r}, Path({str(upload)!r}))

        asyncio.run(main())
    """)
    for _ in range(5):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
