"""A web process by itself, and Alice with an account there: for what is read of requests, and stored."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from chatwren.machine.throwaway import fresh_database
from chatwren.store.database import Database
from tests.conftest import Postgres
from tests.e2e.house import house
from tests.rows import put_account

T = TypeVar("T")

NUMBER = "919876543210"


@dataclass(frozen=True, slots=True)
class Shop:
    """Where Alice sends messages, which nobody takes: there is no worker.

    Attributes:
        url: of the HTTP API.
        cookie: her Cookie header.
        http: her client.
    """

    url: str
    cookie: str
    http: httpx.Client
    _db: Database
    _runner: asyncio.Runner

    def message(self, message_id: str) -> dict[str, Any]:
        """A message as the API shows it."""
        answer = self.http.get(f"/api/messages/{message_id}")
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def content(self, message: dict[str, Any]) -> bytes:
        """The bytes of a message's file."""
        answer = self.http.get(f"/api/media/{message['media']['id']}")
        assert answer.is_success, answer.text
        return answer.content

    def run(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Do something with the database."""

        async def do() -> T:
            return await work(self._db)

        return self._runner.run(do())


@contextlib.contextmanager
def shop(postgres: Postgres, folder: Path) -> Iterator[Shop]:
    """It is open as long as the context."""
    with asyncio.Runner() as runner, contextlib.ExitStack() as open_too:
        stack = contextlib.AsyncExitStack()
        open_too.callback(lambda: runner.run(stack.aclose()))
        url = runner.run(stack.enter_async_context(fresh_database(postgres.url, template=postgres.template)))
        home = runner.run(stack.enter_async_context(house(url, folder)))
        db = runner.run(stack.enter_async_context(Database.connect(url, application_name="chatwren test")))
        alice = runner.run(stack.enter_async_context(home.person("alice")))
        runner.run(_link(db))
        cookie = "; ".join(f"{name}={value}" for name, value in alice.http.cookies.items())
        client = open_too.enter_context(
            httpx.Client(base_url=home.url, headers={"cookie": cookie}, timeout=60, trust_env=False)
        )
        yield Shop(home.url, cookie, client, db, runner)


async def _link(db: Database) -> None:
    """Give the one user there an account, as if a worker had paired it."""
    async with db.connection() as connection:
        await put_account(connection, await connection.fetchval("SELECT id FROM app_user"), NUMBER)
