"""The embedded PostgreSQL: what is committed stays, and nothing outlives its parent."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from chatwren.machine import places, postgres
from chatwren.machine.data_lock import Claim
from chatwren.machine.leftovers import processes_on
from chatwren.machine.postgres import EmbeddedPostgres, reach_database
from chatwren.machine.throwaway import fresh_database, open_folder, throwaway_postgres
from chatwren.settings import CannotStart, Settings
from tests.waiting import until

PARENT = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from chatwren.settings import Settings
    from chatwren.machine.postgres import EmbeddedPostgres

    async def main():
        server = EmbeddedPostgres(Settings(data_dir=Path(sys.argv[1])))
        print("URL", await server.start(), server._guardian.pid, flush=True)
        await asyncio.sleep(600)

    asyncio.run(main())
""")


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand PostgreSQL to another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


def start_parent(folder: Path) -> tuple[subprocess.Popen[str], str, int]:
    """A process that runs the server and does nothing else; with the server's URL and its guardian's process id."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    for line in parent.stdout:
        if line.startswith("URL "):
            _, url, guardian = line.split()
            return parent, url, int(guardian)
    raise AssertionError("the server did not start")


def kill(parent: subprocess.Popen[str]) -> None:
    parent.kill()
    parent.wait()
    assert parent.stdout is not None
    parent.stdout.close()


async def store(url: str, word: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS word (word text)")
    await connection.execute("INSERT INTO word VALUES ($1)", word)
    await connection.close()


async def words(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["word"] for row in await connection.fetch("SELECT word FROM word ORDER BY word")]
    finally:
        await connection.close()


def made_by_an_older_version(folder: Path, word: str) -> Path:
    """Data as an older version made them: whoever reaches the socket is trusted, and for root they are of nobody."""
    owner = places.find_home(Settings(data_dir=folder))[1]
    programs = places.find_programs(owner)
    if owner.change:
        nobody = pwd.getpwnam("nobody")
        owner = places.Owner(nobody.pw_uid, nobody.pw_gid, change=True)
    home = folder / "postgres"
    owner.make_folder(home)
    how: dict[str, Any] = {"capture_output": True, "cwd": "/"} | owner.popen_arguments()
    subprocess.run([programs / "initdb", "-D", home, "-U", "chatwren", "--auth=trust", "--no-sync"], check=True, **how)
    for database, said in (
        ("postgres", "CREATE DATABASE chatwren\n"),
        ("chatwren", f"CREATE TABLE word (word text)\nINSERT INTO word VALUES ('{word}')\n"),
    ):
        subprocess.run(
            [programs / "postgres", "--single", "-D", home, database], check=True, input=said.encode(), **how
        )
    return home


def command_lines() -> str:
    """Those of all processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append((process / "cmdline").read_text(errors="replace"))
    return "\n".join(found)


async def test_rows_are_there_after_a_restart(folder: Path) -> None:
    server = EmbeddedPostgres(Settings(data_dir=folder / "data"))
    await store(await server.start(), "first")
    await server.stop()
    assert await words(await server.start()) == ["first"]
    await server.stop()
    await server.stop()  # twice is allowed


async def test_it_is_a_database_to_lean_on(folder: Path) -> None:
    server = EmbeddedPostgres(Settings(data_dir=folder))
    connection = await asyncpg.connect(await server.start())
    try:
        facts = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in (
                "data_checksums",
                "synchronous_commit",
                "fsync",
                "server_encoding",
                "listen_addresses",
                "timezone",
            )
        }
        assert facts == {
            "data_checksums": "on",
            "synchronous_commit": "on",
            "fsync": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "timezone": "UTC",
        }
    finally:
        await connection.close()
        await server.stop()


async def test_a_path_too_long_for_a_socket_and_with_spaces(folder: Path) -> None:
    deep = folder / ("a folder " * 20) / "data"
    assert len(str(deep)) > 107
    server = EmbeddedPostgres(Settings(data_dir=deep))
    await store(await server.start(), "deep")
    await server.stop()


async def test_gone_within_5_seconds_when_its_parent_is_killed_and_recovers(folder: Path) -> None:
    parent, url, _ = await asyncio.to_thread(start_parent, folder)
    await store(url, "kept")
    busy = await asyncpg.connect(url)
    sleeping = asyncio.ensure_future(busy.execute("SELECT pg_sleep(600)"))
    kill(parent)
    home = (folder / "postgres").resolve()
    await until(lambda: not processes_on(home), seconds=5)
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError)):
        await sleeping

    server = EmbeddedPostgres(Settings(data_dir=folder))
    assert await words(await server.start()) == ["kept"]
    await server.stop()


async def test_a_server_that_lost_parent_and_guardian_is_ended_by_the_next_start(folder: Path) -> None:
    parent, url, guardian = await asyncio.to_thread(start_parent, folder)
    await store(url, "kept")
    os.kill(guardian, signal.SIGKILL)
    kill(parent)
    home = (folder / "postgres").resolve()
    assert processes_on(home), "it is still there"

    server = EmbeddedPostgres(Settings(data_dir=folder))
    assert await words(await server.start()) == ["kept"]
    await server.stop()
    assert not processes_on(home)


async def test_its_log_is_bounded_while_it_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOG_BYTES", 20_000)
    server = EmbeddedPostgres(Settings(data_dir=folder))
    connection = await asyncpg.connect(await server.start())
    log, before = folder / "postgres.log", folder / "postgres.log.1"
    try:
        for number in range(300):
            with pytest.raises(asyncpg.UndefinedColumnError):
                await connection.execute(f"SELECT wrong_{number} -- {'x' * 100}")
        await until(before.exists)
        assert b"wrong_" in before.read_bytes()
        await until(lambda: log.stat().st_size < 20_000)
        with pytest.raises(asyncpg.UndefinedColumnError):
            await connection.execute("SELECT the_last")
        assert b"the_last" in log.read_bytes()
        assert {path.stat().st_mode & 0o777 for path in (log, before)} == {0o600}
    finally:
        await connection.close()
        await server.stop()


async def test_a_stale_pid_file_whose_number_was_given_to_another_process(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    server = EmbeddedPostgres(settings)
    await store(await server.start(), "kept")
    home, owner = places.find_home(settings)
    pid_file = (home / "postmaster.pid").read_text()
    await server.stop()
    bystander = await asyncio.create_subprocess_exec("sleep", "600", **owner.popen_arguments())
    try:
        lines = pid_file.splitlines(keepends=True)
        stale = "".join([f"{bystander.pid}\n", *lines[1:]])
        (home / "postmaster.pid").write_text(stale)
        (places.find_socket_folder(settings, owner) / f"{places.SOCKET_NAME}.lock").write_text(stale)
        assert await words(await server.start()) == ["kept"]
        assert bystander.returncode is None, "the bystander is left alone"
        await server.stop()
    finally:
        bystander.kill()
        await bystander.wait()


async def test_a_server_that_is_killed_is_reported_and_starts_again(folder: Path) -> None:
    server = EmbeddedPostgres(Settings(data_dir=folder))
    await store(await server.start(), "kept")
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    assert await server.wait() != 0
    await server.stop()
    assert await words(await server.start()) == ["kept"]
    await server.stop()


async def test_no_room_on_the_disk_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "ROOM_MB", 10**9)
    with pytest.raises(CannotStart, match=r"^No room on the disk: \d+ MB are free at [^\n]*$"):
        await EmbeddedPostgres(Settings(data_dir=folder)).start()


async def test_data_of_another_version_is_left_alone(folder: Path) -> None:
    home, owner = places.find_home(Settings(data_dir=folder))
    owner.make_folder(home)
    (home / "PG_VERSION").write_text("16\n")
    with pytest.raises(CannotStart, match="was made by PostgreSQL 16"):
        await EmbeddedPostgres(Settings(data_dir=folder)).start()


async def test_data_that_is_broken_is_one_clear_line(folder: Path) -> None:
    server = EmbeddedPostgres(Settings(data_dir=folder))
    await server.start()
    await server.stop()
    (folder / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(CannotStart, match=r"^PostgreSQL cannot start: [^\n]*$"):
        await server.start()


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(CannotStart, match="cannot be used as the data directory: Not a directory"):
        places.find_home(Settings(data_dir=folder / "file" / "data"))


@pytest.mark.parametrize("squat", ["link", "open", "shared", pytest.param("strangers", marks=only_root)])
def test_a_socket_folder_laid_by_somebody_else_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, squat: str
) -> None:
    settings = Settings(data_dir=folder)
    taken, own = folder / "taken", folder / "own"
    monkeypatch.setattr(places, "socket_folders", lambda _: iter([taken, own]))
    _, owner = places.find_home(settings)
    owner.make_folder(folder / "elsewhere" if squat == "link" else taken)
    if squat == "link":
        taken.symlink_to(folder / "elsewhere")
    elif squat == "strangers":
        os.chown(taken, owner.uid + 1, owner.gid + 1)
    else:
        taken.chmod({"open": 0o707, "shared": 0o770}[squat])
    assert places.find_socket_folder(settings, owner) == own
    assert own.stat().st_mode & 0o777 == 0o700


def test_the_path_of_a_socket_has_its_length_with_the_sockets_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=folder)
    _, owner = places.find_home(settings)
    longest = places.SOCKET_PATH_BYTES - len(f"//{places.SOCKET_NAME}") - len(str(folder))
    just, over = folder / ("s" * longest), folder / ("o" * (longest + 1))
    monkeypatch.setattr(places, "socket_folders", lambda _: iter([over, just]))
    assert places.find_socket_folder(settings, owner) == just


def test_no_place_for_a_socket_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "socket_folders", lambda _: iter([folder / ("long" * 30)]))
    settings = Settings(data_dir=folder)
    _, owner = places.find_home(settings)
    with pytest.raises(
        CannotStart, match=r"^No place for PostgreSQL's socket: .* is longer than a socket's path may be"
    ):
        places.find_socket_folder(settings, owner)


@only_root
async def test_root_in_a_closed_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SYSTEM_ROOT", folder / "var")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(Settings(data_dir=closed / "data"))
    await store(await server.start(), "kept")
    await server.stop()
    home = (closed / "data" / "postgres").resolve()
    assert home.parent == folder / "var"
    assert home.stat().st_uid != 0
    assert await words(await server.start()) == ["kept"]
    await server.stop()


@pytest.mark.parametrize("given", [None, "wrong"])
async def test_who_has_not_the_password_is_not_let_in(folder: Path, given: str | None) -> None:
    async with reach_database(Settings(data_dir=folder)) as url:
        password = urlsplit(url).password
        assert password is not None
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url.replace(f":{password}@", f":{given}@" if given else "@"))
        kept = folder / "postgres" / "password"
        assert kept.read_text() == password
        assert kept.stat().st_mode & 0o777 == 0o600
        assert password not in await asyncio.to_thread(command_lines), "which everybody sees"


async def test_data_of_an_older_version_ask_for_a_password_from_now_on_and_keep_their_rows(folder: Path) -> None:
    home = made_by_an_older_version(folder, "kept")
    trusting = (home / "pg_hba.conf").read_text()
    server = EmbeddedPostgres(Settings(data_dir=folder))
    for _ in range(2):
        url = await server.start()
        assert await words(url) == ["kept"]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url.replace(f":{urlsplit(url).password}@", "@"))
        await server.stop()
    assert (home / "pg_hba.conf").read_text() == trusting, "the older version still runs on them"


@only_root
async def test_root_gives_data_of_nobody_to_a_user_of_its_own(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    home = made_by_an_older_version(folder, "kept")
    nobody = home.stat().st_uid
    outside = folder / "outside"
    outside.write_text("")
    (home / "link").symlink_to(outside)
    left = next(places.socket_folders(settings))
    places.Owner(nobody, nobody, change=True).make_folder(left)
    os.chown(home, 0, 0)  # as a start left it that was killed in the middle
    os.chown(home / "base", pwd.getpwnam("chatwren").pw_uid, 0)

    async with reach_database(settings) as url:
        assert await words(url) == ["kept"]
        assert urlsplit(url).query.startswith(f"host={left}")
        own = home.stat().st_uid
        assert own == pwd.getpwnam("chatwren").pw_uid
        assert {path.lstat().st_uid for path in [home, *home.rglob("*"), left, *left.iterdir()]} == {own}
        assert outside.stat().st_uid == 0
        stranger = places.Owner(nobody, nobody, change=True)
        assert not stranger.can("test", "-e", left / places.SOCKET_NAME)
        assert not stranger.can("test", "-e", home / "PG_VERSION")


@only_root
def test_root_without_a_user_for_postgresql_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "USER", "no:name")
    monkeypatch.setattr(places, "USER_TRIES", 1)
    with pytest.raises(
        CannotStart, match=r"^PostgreSQL does not run as root, and its user `no:name` could not be made"
    ):
        places.find_home(Settings(data_dir=folder))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(CannotStart, match="there is no useradd"):
        places.find_home(Settings(data_dir=folder))


async def test_a_password_that_is_not_the_servers_is_one_clear_line_and_can_be_made_anew(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    async with reach_database(settings) as url:
        await store(url, "kept")
    (folder / "postgres" / "password").write_text("of another server")
    with pytest.raises(CannotStart, match=r"^PostgreSQL does not take the password in .*: remove that file"):
        await EmbeddedPostgres(settings).start()
    (folder / "postgres" / "password").unlink()
    async with reach_database(settings) as url:
        assert await words(url) == ["kept"]


async def test_commands_reach_the_server_that_runs_and_else_start_one(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    async with reach_database(settings) as url:
        await store(url, "alone")
        with pytest.raises(CannotStart, match=r"runs on .* already"), Claim(folder):
            pass
    with Claim(folder):
        server = EmbeddedPostgres(settings)
        await server.start()
        async with reach_database(settings) as url:
            assert await words(url) == ["alone"]
        await server.stop()
    async with reach_database(Settings(database_url="postgresql://elsewhere/x")) as url:
        assert url == "postgresql://elsewhere/x"


def test_a_claim_that_was_not_let_go_is_noticed(folder: Path) -> None:
    hold = (
        "import os, sys, pathlib; from chatwren.machine.data_lock import Claim; "
        "Claim(pathlib.Path(sys.argv[1])).__enter__()"
    )
    subprocess.run([sys.executable, "-c", f"{hold}; os._exit(9)", str(folder)], check=False)
    (folder / "lock").chmod(0o644)
    with Claim(folder) as claim:
        assert claim.unclean
        assert (folder / "lock").stat().st_mode & 0o777 == 0o600, "who may read it may lock it"
    with Claim(folder) as claim:
        assert not claim.unclean


async def test_databases_by_template_are_apart_and_gone_afterwards() -> None:
    async with throwaway_postgres() as server, fresh_database(server) as template:
        await store(template, "template")
        async with fresh_database(server, template=template) as one, fresh_database(server, template=template) as two:
            await store(one, "one")
            assert await words(one) == ["one", "template"]
            assert await words(two) == ["template"]
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await asyncpg.connect(one)
