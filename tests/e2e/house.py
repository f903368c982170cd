"""The whole system in the sandbox, as processes: the sandbox, web, and as many workers as a test starts."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from chatwren.machine import programs
from chatwren.machine.postgres import EmbeddedPostgres
from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings
from chatwren.store.migrate import migrate
from tests.e2e.phones import Phones
from tests.waiting import until


class Program:
    """A process of the system. Its log is in a file."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.log = log

    def said(self) -> list[dict[str, Any]]:
        """The events in its log so far."""
        whole = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [event for line in whole if line.startswith("{") and "event" in (event := json.loads(line))]

    def lives(self) -> list[str]:
        """The ids under which a worker has registered, the current one last."""
        return [one["worker"] for one in self.said() if one["event"] == "worker.registered"]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGKILL or SIGSTOP."""
        self.process.send_signal(number)

    async def engine(self) -> int:
        """The process id of the engine of a worker, or of all that a `serve` runs."""

        async def started() -> int | None:
            starts = [
                one["pid"] for one in self.said() if one["event"] == "process.started" and one["name"] == "engine"
            ]
            return int(starts[-1]) if starts else None

        pid = await until(started, seconds=60, what="the engine's start")
        assert pid is not None
        return pid

    async def end(self, *, seconds: float = 30) -> int:
        """Ask it to end, and wait. Its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        async with asyncio.timeout(seconds):
            return await self.process.wait()


@dataclass
class House:
    """A running system.

    Attributes:
        url: of the HTTP API.
        phones: the simulated phones.
        sandbox: the process that simulates them.
        web: the process that answers HTTP.
        workers: those that were started and not ended by `end_workers`.
        environment: the settings of its processes.
    """

    folder: Path
    environment: dict[str, str]
    phones: Phones = field(init=False)
    url: str = field(init=False)
    sandbox: Program = field(init=False)
    web: Program = field(init=False)
    _programs: list[Program] = field(default_factory=list)
    workers: list[Program] = field(default_factory=list)

    async def start(self, name: str, *command: str, **settings: str) -> Program:
        """Start a process of the system."""
        log = self.folder / f"{len(self._programs)}-{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=os.environ | {"CHATWREN_DRAIN_SECONDS": "0"} | self.environment | settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "sandbox" else output,
                stderr=output,
            )
        program = Program(process, log)
        self._programs.append(program)
        return program

    def logs(self) -> list[tuple[str, str]]:
        """What its processes have logged, each with the log's name; of those that have ended only the last three."""
        ended = [one for one in self._programs if one.process.returncode is not None]
        shown = [one for one in self._programs if one not in ended[:-3]]
        return [(one.log.name, one.log.read_text()) for one in shown]

    async def worker(self, *, clock: float = 0, **settings: str) -> Program:
        """Start a worker, which starts its engine. `clock`: by how many seconds its clock is wrong."""
        command = [str(Path(__file__).with_name("wrong_clock.py")), str(clock)] if clock else ["-m", "chatwren"]
        worker = await self.start("worker", sys.executable, *command, "worker", **settings)
        self.workers.append(worker)
        return worker

    async def end_workers(self) -> None:
        """End every worker that was started."""
        while self.workers:
            await self.workers.pop().end()

    def said(self) -> list[dict[str, Any]]:
        """The events in all logs so far."""
        return [event for program in self._programs for event in program.said()]

    async def owners(self, people: "Sequence[Person]") -> list[str | None]:
        """The id of the worker that owns each one's account; None: nobody does."""
        rows = await self.sql(
            "SELECT l.worker_id::text FROM lease l JOIN account a ON a.id = l.account_id"
            " WHERE a.phone = ANY($1::text[]) ORDER BY array_position($1, a.phone)",
            [person.number for person in people],
        )
        return [row[0] for row in rows]

    async def sql(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """The rows of a query."""
        connection = await asyncpg.connect(self.environment["DATABASE_URL"])
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *values)
            return rows
        finally:
            await connection.close()

    async def close(self) -> None:
        """End every process."""
        for program in reversed(self._programs):
            await program.end()

    def person(self, name: str, *, phone: str = "+919812345678") -> "contextlib.AbstractAsyncContextManager[Person]":
        """Somebody who signs up, with a session of their own."""
        return _person(self, name, phone)


@contextlib.asynccontextmanager
async def house(database_url: str, folder: Path, **settings: str) -> AsyncIterator[House]:
    """Sandbox and web; a test starts the workers."""
    home = House(
        folder,
        {
            "DATABASE_URL": database_url,
            "CHATWREN_DATA_DIR": str(folder),
            "CHATWREN_SANDBOX": "true",
            "CHATWREN_HOST": "127.0.0.1",
            "CHATWREN_PORT": "0",
            "CHATWREN_PACING_GAP_SECONDS": "0",
            "CHATWREN_PACING_JITTER_SECONDS": "0",
            "CHATWREN_COLD_MOST": "0",
            **settings,
        },
    )
    try:
        migration = await home.start("migration", str(programs.engine()), "migrate")
        assert await migration.process.wait() == 0, migration.log.read_text()
        sandbox = home.sandbox = await home.start(
            "sandbox",
            str(programs.sandbox()),
            *("--listen", "127.0.0.1:0", "--phones-listen", "127.0.0.1:0", "--state-dir", str(folder / "sandbox")),
        )
        assert sandbox.process.stdout is not None
        ready = json.loads(await sandbox.process.stdout.readline())
        home.environment |= {
            "CHATWREN_WHATSAPP_ADDRESS": ready["whatsapp"],
            "CHATWREN_WHATSAPP_ROOT_KEY": ready["rootKey"],
        }
        web = home.web = await home.start("web", sys.executable, "-m", "chatwren", "web")

        async def ready_at() -> str | None:
            assert web.process.returncode is None, web.log.read_text()
            return next((said["addresses"][0] for said in web.said() if said["event"] == "web.ready"), None)

        home.url = str(await until(ready_at, seconds=60, what="web's start"))
        async with httpx.AsyncClient(base_url=ready["phones"], timeout=30, trust_env=False) as client:
            home.phones = Phones(client)
            yield home
    finally:
        await home.close()


@contextlib.asynccontextmanager
async def postgres_on_disk() -> AsyncIterator[tuple[str, Path]]:
    """The URL of the PostgreSQL of `serve`, which waits for the disk, and a folder for a house: for measuring.

    Its data are in `postgres` of that folder.
    """
    with open_folder() as folder:
        server = EmbeddedPostgres(Settings(data_dir=folder))
        try:
            url = await server.start()
            await migrate(url)
            yield url, folder
        finally:
            await server.stop()


class Person:
    """Somebody who uses the HTTP API, with a phone of their own."""

    def __init__(self, home: House, client: httpx.AsyncClient, username: str, number: str) -> None:
        self.username = username
        self.number = number
        self.http = client
        self._phones = home.phones

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path."""
        answer = await self.http.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    async def link(self, *, number: str | None = None) -> None:
        """Link a phone by its QR code, and wait for the connection."""
        await self._phones.scan(number or self.number, await self.code())
        await until(self.connected, seconds=60, what="the connection")

    async def code(self) -> str:
        """The current QR code."""

        async def shown() -> str | None:
            answer = await self.http.get("/api/whatsapp/createqr")
            return answer.json()["qrCode"] if answer.is_success else None

        return str(await until(shown, what="a QR code"))

    async def connected(self) -> bool:
        """Whether the account is connected."""
        return bool((await self.status())["connected"])

    async def status(self) -> Any:
        """The account."""
        return await self.get("/api/whatsapp/status")

    async def send(self, to: str, text: str = "", *, file: tuple[str, bytes] | None = None, **fields: str) -> str:
        """Send a message to a number (digits) or group; its id."""
        answer = await self.http.post(
            "/api/messages/send",
            data={"phoneId": f"+{to}" if to.isdigit() else to, "message": text, **fields},
            files={"mediaFile": file} if file else None,
        )
        assert answer.is_success, answer.text
        return str(answer.json()["messageId"])

    async def message(self, message_id: str) -> Any:
        """One message."""
        return await self.get(f"/api/messages/{message_id}")

    async def until_message(self, message_id: str, *, seconds: float = 20, **wanted: Any) -> Any:
        """The message, once it is as wanted."""
        seen: list[Any] = []

        async def found() -> Any:
            seen[:] = [await self.message(message_id)]
            return seen[0] if all(seen[0][name] == value for name, value in wanted.items()) else None

        try:
            return await until(found, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"not {wanted}: {seen[0]}") from None


def a_number() -> str:
    """A phone number that no other test uses."""
    return f"9198{secrets.randbelow(10**8):08}"


@contextlib.asynccontextmanager
async def _person(home: House, name: str, phone: str) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=home.url, timeout=30, trust_env=False) as client:
        username = f"{name}-{secrets.token_hex(4)}"
        person = {
            "name": name.title(),
            "phone": phone,
            "email": f"{username}@example.com",
            "username": username,
            "password": "correct horse battery",
        }

        async def signed_up() -> bool:
            answer = await client.post("/api/auth/register", json=person)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # many sign up at once: come again, as it says
                await asyncio.sleep(float(answer.headers["retry-after"]))
                return False
            assert answer.is_success, answer.text
            return True

        await until(signed_up, seconds=60, what="a place to sign up")
        yield Person(home, client, username, a_number())
