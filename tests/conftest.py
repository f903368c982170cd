"""One PostgreSQL for a test run, and databases of it that no other test sees."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass

import pytest

from chatwren.machine.throwaway import VARIABLE, fresh_database, throwaway_postgres
from chatwren.store.database import Database
from chatwren.store.migrate import migrate
from tests.e2e.house import House

_SHOWN_BYTES = 20_000
"""Of each log of a test that failed: what is seldom cannot be run again to see it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what the processes of its house have logged last."""
    report = yield
    if report.failed:
        houses = {one.folder: one for one in getattr(item, "funcargs", {}).values() if isinstance(one, House)}
        for house in houses.values():
            report.sections += [(name, log[-_SHOWN_BYTES:]) for name, log in house.logs()]
    return report


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
