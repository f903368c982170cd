"""One PostgreSQL for a test run, and databases of it that no other test sees."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from chatwren.machine.throwaway import VARIABLE, fresh_database, throwaway_postgres
from chatwren.store.database import Database
from chatwren.store.migrate import migrate


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server, and a migrated database of it to copy, to which nobody is connected."""

    url: str
    template: str


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that `make test` has started for all its tests; where there is none, one of this process."""
    with asyncio.Runner() as runner:
        own = throwaway_postgres() if VARIABLE not in os.environ else None
        url = runner.run(own.__aenter__()) if own else os.environ[VARIABLE]
        made = fresh_database(url)
        template = runner.run(made.__aenter__())
        runner.run(migrate(template))
        yield Postgres(url, template)
        runner.run(made.__aexit__(None, None, None))
        if own:
            runner.run(own.__aexit__(None, None, None))


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A migrated, empty database for one test."""
    async with fresh_database(postgres.url, template=postgres.template) as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """That database, connected."""
    async with Database.connect(database_url, application_name="chatwren test") as database:
        yield database
