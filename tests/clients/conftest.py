"""A web process and a client that sends to it. What is not on the machine is told to be not tried."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.asked import Asked, File, Form
from tests.clients.programs import CLIENTS, Client
from tests.conftest import Postgres
from tests.shop import Shop
from tests.shop import shop as open_shop

TO = "+919812345678"

Ask = Callable[..., Asked]


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client looks for a proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def shop(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A web process, and Alice, who has an account there."""
    with open_shop(postgres, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Client:
    """The client of a parameter. With CI=true each has to be there."""
    name: str = request.param
    return there(name)


@pytest.fixture
def curl() -> Client:
    """curl, likewise."""
    return there("curl")


def there(name: str) -> Client:
    """A client that is on this machine."""
    missing = CLIENTS[name].missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{name}: {missing}")
    if missing:
        pytest.skip(f"{name} is not tried: {missing}")
    return CLIENTS[name]


@pytest.fixture
def ask(shop: Shop) -> Ask:
    """Asks for a message to Bob."""

    def asked(form: Form, **given: Any) -> Asked:
        fields = {"phoneId": TO, **given.pop("fields", {})}
        return Asked(f"{shop.url}/api/messages/send", shop.cookie, form, fields, **given)

    return asked


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., File]:
    """Makes a file of a name, to be sent under that name."""

    def made(name: str, content: bytes, *, field: str = "mediaFile", type: str | None = None) -> File:  # noqa: A002
        path = tmp_path / name
        path.write_bytes(content)
        return File(field, path, name, type)

    return made
