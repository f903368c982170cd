"""All of Chatwren on one machine: starts the very commands that a cluster runs on many, and keeps them running."""

import asyncio
import contextlib
import errno
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog

from chatwren.machine import descriptors, programs
from chatwren.machine.data_lock import Claim, until_free
from chatwren.machine.database import revision
from chatwren.machine.environment import ENGINE, SANDBOX, WEB, WORKER, inherited
from chatwren.machine.postgres import EmbeddedPostgres
from chatwren.machine.supervisor import BackOff, Child, Gate, Lifeline
from chatwren.settings import CannotStart, Settings, option, variable
from chatwren.store.migrate import lacks, migrate

log = structlog.get_logger()

LEFTOVER_SECONDS = 6.0
"""How long the children of a serve that was killed may hold ports and the sandbox's state: they are gone within 5 s."""
READY_SECONDS = 60.0
SANDBOX_PACING = {"pacing_gap_seconds": "0.2", "pacing_jitter_seconds": "0", "cold_most": "0"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running `serve` is reached. `phones` is the sandbox's page, None without a sandbox."""

    web: str
    phones: str | None


async def serve(settings: Settings, then: Callable[[Addresses], Awaitable[int | None]]) -> int:
    """Run everything until SIGTERM, SIGINT or SIGHUP, then drain. A second signal ends at once what still drains.

    Args:
        settings: with `sandbox`, WhatsApp is simulated on this machine.
        then: runs once everything is ready; when it returns a number, serve drains and returns that.

    Returns:
        The exit code.

    Raises:
        CannotStart: a port or the data directory is in use, PostgreSQL or a child does not start.
    """
    descriptors.raise_limit()
    hurry = asyncio.Event()
    with Claim(settings.data_dir) as claim:
        settings = await _choose_ports(settings, patience=LEFTOVER_SECONDS if claim.unclean else 0)
        if claim.unclean:
            await until_free(settings.data_dir / "sandbox" / "lock", seconds=LEFTOVER_SECONDS)
        running = asyncio.create_task(_run(settings, then, hurry))
        loop = asyncio.get_running_loop()
        hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # by nohup
        for name in (signal.SIGTERM, signal.SIGINT, *hang_up):
            loop.add_signal_handler(name, lambda: hurry.set() if running.cancelling() else running.cancel())
        try:
            return await running
        except asyncio.CancelledError:
            return 0


async def migrate_all(database_url: str) -> tuple[str | None, str | None]:
    """Bring Chatwren's tables and the engine's to this version.

    Returns:
        The revision of Chatwren's tables before, None where there were none, and after.

    Raises:
        CannotStart: the database cannot be reached, is too old, is another program's, or refuses.
    """
    before = await _own_revision(database_url)
    try:
        await migrate(database_url)
    except asyncpg.exceptions.PostgresError as error:
        raise CannotStart(f"The database refused the migration: {error}") from None
    after = await revision(database_url)
    await _migrate_engine(database_url)
    return before, after


async def _migrated(given: dict[str, str]) -> None:
    """The same, in a process that ends where there is anything to do: what migrates Chatwren's tables is heavy."""
    if lacks(await _own_revision(given["DATABASE_URL"])) is None:
        await _migrate_engine(given["DATABASE_URL"])
        return
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatwren", "migrate"),
        env=inherited(WORKER) | given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    if await process.wait():
        raise CannotStart("The database could not be brought to this version: the reason stands above.")


async def _own_revision(database_url: str) -> str | None:
    """The revision of Chatwren's tables.

    Raises:
        CannotStart: as `revision`; or there are tables of another program.
    """
    found = await revision(database_url)
    if found is not None and not found.isdecimal():
        raise CannotStart(f"The database holds another program's tables (at {found!r}): give Chatwren one of its own.")
    return found


async def _migrate_engine(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(programs.engine()), "migrate"),
        env=inherited(ENGINE) | {"DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
    )
    if await process.wait():
        raise CannotStart("The engine's tables could not be migrated: its message stands above.")


async def _run(settings: Settings, then: Callable[[Addresses], Awaitable[int | None]], hurry: asyncio.Event) -> int:
    async with contextlib.AsyncExitStack() as stack:  # which stops things in the reverse order of their start
        line = Lifeline()
        stack.callback(line.close)
        given = _given(settings)

        async def start(child: Child, behind: Gate | None = None) -> str:
            stack.push_async_callback(child.stop, hurry)
            return await child.start(behind=behind)

        # What takes long is loading web and worker: they begin as soon as it is known what they are to be told, and
        # wait for the database when they have loaded.
        phones = None
        if settings.sandbox:
            sandbox = _sandbox(settings, line)
            given |= _given_by_sandbox(settings, json.loads(await start(sandbox)))
            sandbox.keep()
            phones = f"http://localhost:{settings.sandbox_port}"
        database_ready: asyncio.Task[None] | None = None
        if settings.database_url is None:
            given["DATABASE_URL"], database_ready = await stack.enter_async_context(_postgres(settings))
        else:
            given["DATABASE_URL"] = settings.database_url

        # A send in progress has its time-out to end in; an answer of web is short, a browser's event stream is cut.
        patience = {"worker": settings.send_timeout_seconds + 10, "web": 15.0}
        children = [
            Child(
                name, [sys.executable, "-m", "chatwren", name], inherited(needed) | given, line, patience=patience[name]
            )
            for name, needed in (("web", WEB), ("worker", WORKER))
        ]
        gate = Gate()
        stack.callback(gate.open)  # when nothing came of it, behind those that wait there
        for child in children:
            await start(child, gate)
        if database_ready is not None:
            await database_ready
        await _migrated(given)
        gate.open()
        await _until_ready(settings, children)
        for child in children:
            child.keep()

        code = await then(Addresses(f"http://localhost:{settings.port}", phones))
        if code is None:
            await asyncio.Event().wait()  # until cancelled by a signal
        return code or 0


@contextlib.asynccontextmanager
async def _postgres(settings: Settings) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """The URL of the embedded PostgreSQL, which is being started, and what ends when it is ready."""
    server = EmbeddedPostgres(settings)
    began = time.monotonic()
    url = await server.launch()
    ready = asyncio.create_task(server.reach(), name="reach PostgreSQL")

    async def keep() -> None:
        await asyncio.wait([ready])
        if ready.cancelled() or ready.exception() is not None:
            return
        log.info("process.started", name="postgres", seconds=round(time.monotonic() - began, 2))
        back_off = BackOff()
        while True:
            code = await server.wait()
            log.error("process.ended", name="postgres", how=f"exit code {code}", see="postgres.log in the data folder")
            started = False
            while not started:
                await server.stop()
                await asyncio.sleep(back_off.pause())
                try:
                    await server.start()
                except CannotStart as error:
                    log.error("process.not_started", name="postgres", why=error.message)  # noqa: TRY400 - the trace says nothing
                else:
                    started = True
                    back_off.started()
                    log.info("process.started", name="postgres")

    keeping = asyncio.create_task(keep(), name="keep PostgreSQL")
    try:
        yield url, ready
    finally:
        for task in (keeping, ready):
            task.cancel()
        await asyncio.wait([keeping, ready])
        await server.stop()
        log.info("process.stopped", name="postgres")


def _sandbox(settings: Settings, line: Lifeline) -> Child:
    # Chosen once, so that a sandbox that is started again is found by the engines that know its address.
    protocol_port = _free_port()
    return Child(
        "sandbox",
        [
            *(str(programs.sandbox()), "--listen", f"127.0.0.1:{protocol_port}"),
            *("--phones-listen", phones_address(settings)),
            *("--state-dir", str(settings.data_dir.resolve() / "sandbox")),
        ],
        inherited(SANDBOX) | {variable("log_level"): settings.log_level},
        line,
        patience=5,
        first_line=True,
    )


def phones_address(settings: Settings) -> str:
    """Where the page of the simulated phones listens, as host:port. Not where web does, which may be everywhere."""
    host = f"[{settings.sandbox_host}]" if ":" in settings.sandbox_host else settings.sandbox_host
    return f"{host}:{settings.sandbox_port}"


def _given(settings: Settings) -> dict[str, str]:
    """What the children have to know of this command's options, and of what it chose."""
    given = {"data_dir": str(settings.data_dir.resolve()), "port": str(settings.port), "log_level": settings.log_level}
    given["drain_seconds"] = "0"  # no other web takes over
    if settings.host is not None:
        given["host"] = settings.host
    return {variable(name): value for name, value in given.items()}


def _given_by_sandbox(settings: Settings, ready: dict[str, str]) -> dict[str, str]:
    """All that sandbox mode sets: another server, brisk pacing and no cap unless the user set a pace."""
    given = {"sandbox": "true", "whatsapp_address": ready["whatsapp"], "whatsapp_root_key": ready["rootKey"]}
    given["sandbox_port"] = str(settings.sandbox_port)
    given |= {name: value for name, value in SANDBOX_PACING.items() if name not in settings.chosen}
    return {variable(name): value for name, value in given.items()}


async def _until_ready(settings: Settings, children: list[Child]) -> None:
    """Wait until web says that it is ready.

    Raises:
        CannotStart: it takes too long, or a child ends instead.
    """
    host = settings.host if settings.host not in (None, "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared only
    ends = {asyncio.create_task(child.ended()): child for child in children}
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not await _is_ready(str(host), settings.port):
            done, _ = await asyncio.wait(ends, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                raise CannotStart(f"{ends[end].name} did not start: {end.result()}.")
            if time.monotonic() > deadline:
                raise CannotStart(f"Chatwren was not ready after {READY_SECONDS:.0f} s.")
    finally:
        for end in ends:
            end.cancel()


async def _is_ready(host: str, port: int) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                shown = f"[{host}]" if ":" in host else host
                question = f"GET /health/ready HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(question.encode())
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
    return False


async def _choose_ports(settings: Settings, patience: float) -> Settings:
    """Settings whose ports are free; port 0 becomes one that is.

    Raises:
        CannotStart: a port is in use or not allowed.
    """
    wanted = {"port": web_hosts(settings)}
    if settings.sandbox:
        wanted["sandbox_port"] = [settings.sandbox_host]
    deadline = time.monotonic() + patience
    chosen: dict[str, int] = {}
    for name, hosts in wanted.items():
        port = getattr(settings, name)
        while (problem := port_problem(hosts, port)) is not None:
            if time.monotonic() >= deadline:
                raise CannotStart(f"{problem}: choose another with {option(name)}.")
            await asyncio.sleep(0.1)
        chosen[name] = port
    if settings.sandbox and settings.port == settings.sandbox_port != 0:
        raise CannotStart(
            f"Port {settings.port} cannot be both web's and the simulated phones': choose others with "
            f"{option('port')} and {option('sandbox_port')}."
        )
    return settings.changed(**{name: port or _free_port() for name, port in chosen.items()})


def web_hosts(settings: Settings) -> list[str]:
    """The addresses that web listens on."""
    return [settings.host] if settings.host is not None else ["127.0.0.1", "::1"]


def port_problem(hosts: list[str], port: int) -> str | None:
    """Why nothing can listen there, without a full stop; None where it can."""
    for host in hosts:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except socket.gaierror:
            return f"{host} is no address of this machine"
        except OSError as error:
            if host == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # a machine without IPv6
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} is in use by another program"
            return f"Port {port} cannot be used on {host} ({error.strerror})"
    return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
