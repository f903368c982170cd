"""All of Chatwren in sandbox mode, as `chatwren serve` runs it, with simulated phones that are linked."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from chatwren.store.database import Database
from parts.system import SECRET, Person, sign_up

LINKED_AT_ONCE = 8
PATIENCE = 300.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running `chatwren serve`, and where it is reached."""

    pid: int
    web: str
    phones: str


@contextlib.asynccontextmanager
async def serve(data_dir: Path) -> AsyncIterator[Served]:
    """`chatwren serve --sandbox` without pacing, for as long as the context."""
    settings = {
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_PACING_GAP_SECONDS": "0",
        "CHATWREN_PACING_JITTER_SECONDS": "0",
        "CHATWREN_LOG_LEVEL": "warning",
    }
    with (data_dir / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chatwren", "serve", "--sandbox", "--port", "0", "--sandbox-port", "0"),
            *("--data-dir", str(data_dir)),
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        web, phones = (re.search(r"http://\S+", line) for line in lines)
        assert web is not None, (data_dir / "serve.log").read_text()
        assert phones is not None
        yield Served(process.pid, web[0], phones[0])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _link(client: httpx.AsyncClient, served: Served, person: Person, number: str) -> None:
    """Link a simulated phone with that number to the person's account."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = await client.get(f"{served.web}/api/whatsapp/createqr", headers={"cookie": person.cookie})
        if answer.is_success:
            break
        assert time.monotonic() < deadline, answer.text
    scan = await client.post(f"{served.phones}/phones/{number}/scan", json={"qr": answer.json()["qrCode"]})
    assert scan.is_success, scan.text


async def link_accounts(db: Database, served: Served, count: int) -> list[Person]:
    """So many new people, with simulated phones that are linked and connected. Their `account` names none."""
    people = await sign_up(db, count, linked=False)
    at_once = asyncio.Semaphore(LINKED_AT_ONCE)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

        async def one(person: Person, number: str) -> None:
            async with at_once:
                await _link(client, served, person, number)

        await asyncio.gather(*(one(person, f"9198{number:08d}") for number, person in enumerate(people)))
    await until(db, f"SELECT count(*) = {count} FROM account WHERE connected")
    return people


async def until(db: Database, query: str, *, every: float = 0.1) -> None:
    """Wait until the query's one value is true. `every`: seconds between two looks."""
    deadline = time.monotonic() + PATIENCE
    async with db.connection() as connection:
        while not await connection.fetchval(query):
            assert time.monotonic() < deadline, f"not in time: {query}"
            await asyncio.sleep(every)
