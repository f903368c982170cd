"""One house for the tests that leave it as it was, and a way to build others for those that do not."""

from collections.abc import AsyncIterator

import pytest

from chatwren.machine.throwaway import fresh_database
from tests.conftest import Postgres
from tests.e2e.house import House, Person, house

LEASE = {"CHATWREN_LEASE_SECONDS": "3", "CHATWREN_HEARTBEAT_SECONDS": "0.7"}
"""A shorter lease than by default, so that a takeover is seen sooner."""


@pytest.fixture(scope="session")
async def home(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A system with one worker."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path_factory.mktemp("house")) as built,
    ):
        await built.worker()
        yield built


@pytest.fixture(scope="session")
async def _short_lease(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path_factory.mktemp("house"), **LEASE) as built,
    ):
        yield built


@pytest.fixture
async def own_house(_short_lease: House) -> AsyncIterator[House]:
    """A system with a short lease and no workers: each test starts its own, and has them to itself."""
    yield _short_lease
    await _short_lease.end_workers()


@pytest.fixture(scope="session")
async def india(home: House) -> AsyncIterator[Person]:
    """Somebody with an account in India, linked once for the tests that leave it as it was."""
    async with home.person("alice") as person:
        await person.link()
        yield person


@pytest.fixture(scope="session")
async def brazil(home: House) -> AsyncIterator[Person]:
    """Likewise in Brazil."""
    async with home.person("bob", phone="+5511961234567") as person:
        person.number = "5511961234567"
        await person.link()
        yield person


@pytest.fixture
async def alice(home: House) -> AsyncIterator[Person]:
    """Alice, who has just signed up."""
    async with home.person("alice") as person:
        yield person


@pytest.fixture
async def bob(home: House) -> AsyncIterator[Person]:
    async with home.person("bob") as person:
        yield person


@pytest.fixture
async def charlie(home: House) -> AsyncIterator[Person]:
    """Charlie, who never sees what is Alice's."""
    async with home.person("charlie") as person:
        yield person
