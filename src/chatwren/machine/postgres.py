"""The PostgreSQL that `chatwren serve` runs when no DATABASE_URL is set: one folder, one unix socket, no TCP.

Who connects passes two doors: the socket's folder, which is closed to all but its user and root, and a password that
lies in the data and is made with them.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import structlog

from chatwren.machine import guardian
from chatwren.machine.data_lock import Claim
from chatwren.machine.environment import POSTGRES, inherited
from chatwren.machine.leftovers import end_leftover
from chatwren.machine.places import MAJOR, SOCKET_NAME, Owner, adopt, find_home, find_programs, find_socket_folder
from chatwren.settings import CannotStart, Settings, option

log = structlog.get_logger()

DATABASE = "chatwren"
SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",  # 200 means on disk
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "random_page_cost": "1.1",  # an SSD, as everywhere by now
    "jit": "off",  # each statement here is shorter than its compilation
    "autovacuum_vacuum_scale_factor": "0.05",  # rows of a queue are rewritten often
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
}
THROWAWAY_OPTIONS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_connections": "300"}
ROOM_MB = 100  # to begin with; half of it is PostgreSQL's own
LEAST_ROOM_MB = 32  # two segments of its log
WHO_MAY_CONNECT = f"""\
# Chatwren writes this file at each start. The password is in the file `password`.
local all         {DATABASE} scram-sha-256
local replication {DATABASE} scram-sha-256
"""
PASSWORD_OPTIONS = ["-c", "scram_iterations=1"]
"""More would make guessing a person's password slow. This one has 256 random bits, and each connection would pay."""
LOG_BYTES = 10_000_000
READY_SECONDS = 300.0


class EmbeddedPostgres:
    """One PostgreSQL in the data directory, of which the caller holds the `Claim`.

    It outlives neither `stop` nor this process: a guardian (guardian.py) ends it when this process is gone. A server
    that was left all the same (its guardian was killed too) is ended by the next `start`; one that is just being ended
    is waited for. It is not taken over, since it may be on its way out, or of an older version.

    Args:
        settings: names the data directory.
        throwaway: for tests: nothing has to survive a crash of the machine, so nothing waits for the disk.
    """

    def __init__(self, settings: Settings, *, throwaway: bool = False) -> None:
        self._settings = settings
        self._options = SERVER_OPTIONS | (THROWAWAY_OPTIONS if throwaway else {})
        self._initdb_options = ["--no-sync"] if throwaway else []
        self._guardian: Process | None = None
        self._lifeline: int | None = None
        self._sockets: Path | None = None
        self._home: Path | None = None
        self._said_before = 0

    async def start(self) -> str:
        """Start the server, making data and database when they are missing; the URL that reaches it.

        Raises:
            CannotStart: as `launch` and `reach`.
        """
        url = await self.launch()
        await self.reach()
        return url

    async def launch(self) -> str:
        """Begin to start the server, making data when they are missing; the URL by which it is going to be reached.

        Raises:
            CannotStart: no room on the disk, no permission, no place for the socket, a platform without PostgreSQL.
        """
        home, owner = await asyncio.to_thread(find_home, self._settings)
        programs = await asyncio.to_thread(find_programs, owner)
        check_room(self._settings.data_dir, home)
        if not (home / "PG_VERSION").exists():
            await asyncio.to_thread(_initialise, home, programs, owner, self._initdb_options)
        _check_version(home)
        nobody_is_left = await asyncio.to_thread(end_leftover, home)
        await asyncio.to_thread(adopt, self._settings, home, owner)
        await asyncio.to_thread(_close, home, programs, owner)
        self._sockets = sockets = find_socket_folder(self._settings, owner)
        if nobody_is_left:
            (sockets / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        self._home = home

        log_path = self._settings.data_dir / "postgres.log"
        if log_path.exists() and log_path.stat().st_size > LOG_BYTES:
            log_path.rename(log_path.with_suffix(".log.1"))  # while the server runs, the guardian sees to that
        options = self._options | {"unix_socket_directories": f'"{sockets}"', "hba_file": str(home / "who_may_connect")}
        lifeline, self._lifeline = os.pipe()
        # for its owner alone: the details of an error hold rows
        with os.fdopen(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as server_log:
            self._said_before = server_log.tell()
            self._guardian = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guardian.__file__),
                *(str(lifeline), *((str(owner.uid), str(owner.gid)) if owner.change else ("-1", "-1"))),
                *(str(log_path), str(LOG_BYTES)),
                *(str(programs / "postgres"), "-D", str(home), "-p", "5432"),
                *(argument for name, value in options.items() for argument in ("-c", f"{name}={value}")),
                stdin=subprocess.DEVNULL,
                stdout=server_log,
                stderr=server_log,
                pass_fds=[lifeline],
                start_new_session=True,  # an interrupt from the terminal is for serve, which ends us last
                env=inherited(POSTGRES),
            )
        os.close(lifeline)
        return _url(home, sockets, DATABASE)

    async def reach(self) -> None:
        """Wait until the server that was launched is ready, and has the database.

        Raises:
            CannotStart: it ended instead, takes too long, or does not let us in. It is stopped then.
        """
        assert self._home is not None  # noqa: S101 - launched
        assert self._sockets is not None  # noqa: S101
        try:
            await self._ensure_database(self._home, self._sockets)
        except _EndedEarly:
            await self.stop()
            raise CannotStart(_explain(self._settings.data_dir / "postgres.log", self._said_before)) from None
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Wait until the server has ended, by itself or by `stop`; its exit code."""
        assert self._guardian is not None  # noqa: S101 - started
        return await self._guardian.wait()

    async def stop(self) -> None:
        """End the server in order: sessions end, a checkpoint is written. Does nothing when it has not been started."""
        if self._guardian is None or self._lifeline is None:
            return
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, b".")
        await self._guardian.wait()
        os.close(self._lifeline)
        self._guardian = self._lifeline = None
        if self._sockets is not None:
            with contextlib.suppress(OSError):  # a server that was killed leaves its socket
                self._sockets.rmdir()

    async def _ensure_database(self, home: Path, sockets: Path) -> None:
        try:
            connection = await self._connect(_url(home, sockets, "postgres"))
        except asyncpg.InvalidPasswordError:
            raise CannotStart(
                f"PostgreSQL does not take the password in {home / 'password'}: remove that file, and the next start "
                "makes another."
            ) from None
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _connect(self, url: str) -> Any:
        """Connect as soon as the server is ready, which after a crash takes as long as its recovery."""
        assert self._guardian is not None  # noqa: S101 - started
        started = time.monotonic()
        while self._guardian.returncode is None:
            with contextlib.suppress(OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                return await asyncpg.connect(url)
            if time.monotonic() - started > READY_SECONDS:
                raise CannotStart(f"PostgreSQL was not ready after {READY_SECONDS:.0f} s: see postgres.log.")
            await asyncio.sleep(0.02)
        raise _EndedEarly


@contextlib.asynccontextmanager
async def reach_database(settings: Settings, *, make: bool = True) -> AsyncIterator[str]:
    """The URL of the database, for a command that runs beside or without `chatwren serve`.

    DATABASE_URL; else the embedded server of a running `serve`; else an embedded server for as long as the context.

    Args:
        settings: name the database.
        make: whether an embedded database is made where there is none.

    Raises:
        CannotStart: as `EmbeddedPostgres.start`; or there is none, and none is made.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if (url := await _url_of_running(settings)) is not None:
        yield url
        return
    if not make and not _holds_data(settings.data_dir):
        raise CannotStart(
            f"There is no database in {settings.data_dir.resolve()}: name the folder of yours with "
            f"{option('data_dir')}, or set DATABASE_URL."
        )
    with Claim(settings.data_dir):
        server = EmbeddedPostgres(settings)
        url = await server.start()
        try:
            yield url
        finally:
            await server.stop()


def _holds_data(folder: Path) -> bool:
    return os.path.lexists(folder / "postgres")


async def _url_of_running(settings: Settings) -> str | None:
    try:
        home = settings.data_dir / "postgres"
        url = _url(home, Path((home / "postmaster.pid").read_text().splitlines()[4]), DATABASE)
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, IndexError, TimeoutError, asyncpg.exceptions.PostgresError):
        return None
    await connection.close()
    return url


class _EndedEarly(Exception):
    """The server ended before it was ready."""


def _url(home: Path, sockets: Path, database: str) -> str:
    """A form that asyncpg, libpq and pgx all read. The port is named so that PGPORT does not change it."""
    password = (home / "password").read_text()
    return f"postgresql://{DATABASE}:{password}@/{database}?host={quote(str(sockets), safe='/')}&port=5432"


def check_room(*folders: Path) -> None:
    """See that PostgreSQL has room where each folder is or is going to be: more to begin with than to go on.

    Raises:
        CannotStart: it has not.
    """
    for folder in folders:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free // 1_000_000
        needed = LEAST_ROOM_MB if there == folder else ROOM_MB
        if free < needed:
            raise CannotStart(f"No room on the disk: {free} MB are free at {there}, PostgreSQL needs {needed} MB.")


def _check_version(home: Path) -> None:
    found = (home / "PG_VERSION").read_text().strip()
    if found != str(MAJOR):
        raise CannotStart(f"{home} was made by PostgreSQL {found}, and this Chatwren carries {MAJOR}: pg_upgrade it.")


def _initialise(home: Path, programs: Path, owner: Owner, options: list[str]) -> None:
    """Make the data folder beside its place and move it there, so that a half-made one is never taken for whole."""
    log.info("postgres.initialising", folder=str(home))
    beside = home.with_name(f"{home.name}.new")
    half, password = beside / "data", beside / "password"
    try:
        shutil.rmtree(beside, ignore_errors=True)
        owner.make_folder(beside)
        _write(password, secrets.token_hex(32), owner)
        done = _run_as(
            owner,
            [
                *(str(programs / "initdb"), "-D", str(half), "-U", DATABASE, "--encoding=UTF8", "--locale=C"),
                # of PostgreSQL's own making: an index never depends on the machine's C library
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--data-checksums", "--auth-local=scram-sha-256", "--auth-host=reject", f"--pwfile={password}"),
                *("--no-instructions", *PASSWORD_OPTIONS, *options),
            ],
        )
        if done.returncode:
            raise CannotStart(f"PostgreSQL could not make its data in {home.parent}: {_last_line(done.stderr)}")
        password.rename(half / "password")
        half.rename(home)
    except OSError as error:
        raise CannotStart(f"PostgreSQL's data cannot be made in {home.parent}: {error.strerror}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _close(home: Path, programs: Path, owner: Owner) -> None:
    """See that data ask for a password: those of an older version have none, and trusted who reached the socket.

    Their pg_hba.conf stays as it is, so that the older version runs on them again.

    Raises:
        CannotStart: the password cannot be set.
    """
    _write(home / "who_may_connect", WHO_MAY_CONNECT, owner)
    if (home / "password").exists():
        return
    log.info("postgres.password_made", folder=str(home))
    password = secrets.token_hex(32)
    done = _run_as(
        owner,
        [str(programs / "postgres"), "--single", "-D", str(home), *PASSWORD_OPTIONS, "postgres"],
        said=f"ALTER ROLE {DATABASE} PASSWORD '{password}'\n",
    )
    if done.returncode or "ERROR:" in done.stderr:
        raise CannotStart(f"PostgreSQL's password could not be set: {_last_line(done.stderr)}")
    _write(home / "password", password, owner)


def _write(path: Path, text: str, owner: Owner) -> None:
    """Write a file that belongs to PostgreSQL's user alone, whole or not at all."""
    half = path.with_name(f"{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner.change:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.flush()
        os.fsync(descriptor)
    half.rename(path)


def _run_as(owner: Owner, command: list[str], said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd="/",
        env=inherited(POSTGRES),
        input=said,
        capture_output=True,
        text=True,
        check=False,
        **owner.popen_arguments(),
    )


def _explain(log_path: Path, since: int) -> str:
    """Why the server did not start: the last thing it said, in words for a person where we know them."""
    with log_path.open("rb") as server_log:
        server_log.seek(since)
        said = server_log.read().decode(errors="replace")
    if "No space left on device" in said:
        return f"PostgreSQL cannot start: no room on the disk of {log_path.parent}."
    fatal = next((line for line in said.splitlines() if "FATAL:" in line or "PANIC:" in line), None) or _last_line(said)
    return f"PostgreSQL cannot start: {fatal.split(':  ', 1)[-1]} ({log_path})"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
