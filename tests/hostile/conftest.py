"""Systems in which some attack and one works: eight tenants beside a bystander, and a stranger."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from chatwren.machine.throwaway import fresh_database
from tests.conftest import Postgres
from tests.e2e.house import House, Person, a_number, house
from tests.hostile.scene import Scene

ATTACKERS = 8


@dataclass(frozen=True, slots=True)
class Street:
    """Who lives there.

    Attributes:
        home: web, a worker and WhatsApp.
        bob: whom the others must not disturb. He is linked.
        friend: the number of somebody who knows him.
        sessions: the Cookie header of each of the others, who are linked as well.
    """

    home: House
    bob: Person
    friend: str
    sessions: list[str]


@pytest.fixture(scope="session")
async def street(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """All of them at home."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path_factory.mktemp("house")) as home,
        home.person("bob") as bob,
    ):
        await home.worker()
        sessions = []
        for _ in range(ATTACKERS):
            async with home.person("alice") as alice:
                await alice.link()
                sessions.append("; ".join(f"{name}={value}" for name, value in alice.http.cookies.items()))
        await bob.link()
        yield Street(home, bob, a_number(), sessions)


@pytest.fixture(scope="session")
async def scene(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Alice and Bob, linked, and numbers of a stranger and of somebody who knows Bob."""
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, tmp_path_factory.mktemp("hostile")) as home,
        home.person("alice") as alice,
        home.person("bob") as bob,
    ):
        await home.worker()
        await alice.link()
        await bob.link()
        yield Scene(home, alice, bob, a_number(), a_number())
