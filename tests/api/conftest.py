"""A web process, and three people who use it: Alice and Bob, and Charlie, who never sees what is Alice's."""

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from chatwren.domain.pairings import Pairing
from chatwren.machine import descriptors
from chatwren.machine.throwaway import fresh_database
from chatwren.service import linking, sessions, users
from chatwren.store.database import Database
from chatwren.web.http.cookie import SessionCookie
from tests.api.server import SECRET, WebServer
from tests.conftest import Postgres
from tests.rows import put_account, put_user

PASSWORD = "correct horse battery"
_EMPTY = "DELETE FROM app_user; DELETE FROM throttle; DELETE FROM secret; DELETE FROM worker"  # the rest follows


@dataclass
class Person:
    """Somebody with a session. `http` carries their cookie."""

    username: str
    id: UUID
    cookie: str
    http: httpx.Client
    server: WebServer

    def link(self, phone: str, **columns: Any) -> UUID:
        """A linked and connected account, as if the worker had paired it."""

        async def put(db: Database) -> UUID:
            async with db.connection() as connection:
                return await put_account(connection, self.id, phone, name=f"{self.username}'s WhatsApp")

        account = self.server.run(put)
        for name, value in columns.items():
            self.server.sql(f"UPDATE account SET {name} = $2 WHERE id = $1", account, value)
        return account

    def sent(self, message_id: str) -> None:
        """As if the worker had sent it and the recipient had read it."""
        self.server.sql(
            "UPDATE message SET status = 'sent', claimed_at = now(), sent_at = now(), attempts = 1,"
            " delivered_at = now(), read_at = now() WHERE id = $1",
            UUID(message_id.partition("_")[2]),
        )


@pytest.fixture(scope="session")
def password_hash() -> str:
    return asyncio.run(users.hash_password(PASSWORD))


@pytest.fixture(scope="session")
def api_database(postgres: Postgres) -> Iterator[str]:
    with asyncio.Runner() as runner:
        made = fresh_database(postgres.url, template=postgres.template)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def _one_server(api_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer(api_database, tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture
def server(_one_server: WebServer) -> WebServer:
    """A web process in sandbox mode, on an empty database."""
    _one_server.run(_empty)
    return _one_server


@pytest.fixture
def http(server: WebServer) -> Iterator[httpx.Client]:
    """A client of that process, without a session."""
    with server.client() as client:
        yield client


@pytest.fixture
def serve(server: WebServer, tmp_path: Path) -> Iterator[Callable[..., WebServer]]:
    """Starts a further web process on the same database, with other settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(WebServer(str(server.settings.database_url), tmp_path, **settings))


@pytest.fixture
def person(server: WebServer, password_hash: str) -> Iterator[Callable[[str], Person]]:
    """Signs somebody up, without the time that hashing takes."""
    with ExitStack() as stack:

        def sign_up(username: str) -> Person:
            async def insert(db: Database) -> tuple[UUID, str]:
                async with db.transaction() as connection:
                    user_id = await put_user(connection, username, password_hash=password_hash)
                    return user_id, await sessions.start(connection, user_id, instead_of=None, at_most=50)

            user_id, sid = server.run(insert)
            cookie = SessionCookie((SECRET,)).line(sid, secure=False).partition(";")[0]
            client = stack.enter_context(server.client(headers={"cookie": cookie}))
            return Person(username, user_id, cookie, client, server)

        yield sign_up


@pytest.fixture
def alice(person: Callable[[str], Person]) -> Person:
    return person("alice")


@pytest.fixture
def bob(person: Callable[[str], Person]) -> Person:
    return person("bob")


@pytest.fixture
def charlie(person: Callable[[str], Person]) -> Person:
    return person("charlie")


@pytest.fixture
def files() -> Iterator[None]:
    """This process holds many sockets itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors.raise_limit()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def no_wait_for_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is here to bring them."""

    async def at_once(_db: Database, pairing: Pairing, *_: Any) -> Pairing:
        return pairing

    monkeypatch.setattr(linking, "_settled", at_once)


async def _empty(db: Database) -> None:
    async with db.connection() as connection:
        await connection.execute(_EMPTY)


def ahead(**delta: float) -> str:
    """A time that lies ahead, as clients write it."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
