"""Chromium, front ends on other ports, and a Chatwren that both are pointed at."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from chatwren.machine.throwaway import fresh_database
from tests.browser.front_end import FrontEnd
from tests.browser.system import System, serve
from tests.browser.witness import Witness
from tests.conftest import Postgres
from tests.e2e.house import Person

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_NO_CHROMIUM = "no Chromium on PATH (Debian: apt-get install chromium)"
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine can be reached; names below .test are sites of others on it.
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)

_PATIENCE_MS = 20_000  # of every wait for something on a page, on a machine that is busy
expect.set_options(timeout=_PATIENCE_MS)

OpenFrontEnd = Callable[[str], Awaitable[FrontEnd]]


def _find_chromium() -> str | None:
    return next((path for path in map(shutil.which, _NAMES) if path), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the test that watches for 90 s: the others run beside it. Without Chromium, say so in one line."""
    items.sort(key=lambda item: "90_seconds" not in item.name)
    ours = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if ours and _find_chromium() is None and os.environ.get("CI") != "true":
        ours[0].add_marker(pytest.mark.skip(f"{len(ours)} browser tests not run: {_NO_CHROMIUM}"))
        config.hook.pytest_deselected(items=ours[1:])
        items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session", autouse=True)
def chromium() -> str:
    """The system's Chromium. Where there is none, tests that were begun (CI=true) fail."""
    found = _find_chromium()
    assert found is not None, _NO_CHROMIUM
    return found


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium with a profile of its own, of which each context sees nothing."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
async def system(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """All of Chatwren in sandbox mode, as the command starts it."""
    async with fresh_database(postgres.url) as url, serve(url, tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.fixture(scope="session")
async def strict_web(system: System, front_end: str) -> str:
    """URL of a further web process of the system, which allows one origin and hands codes to a QR service."""
    return await system.further_web(
        CHATWREN_ALLOWED_ORIGINS=front_end,
        CHATWREN_QR_CODE_URL="https://api.qrserver.com/v1/create-qr-code/?data={data}",
    )


@pytest.fixture
async def alice(system: System) -> AsyncIterator[Person]:
    """Alice, who has just signed up and uses the HTTP API without a browser."""
    async with system.person("alice") as person:
        yield person


@pytest.fixture
def witness() -> Witness:
    """What the pages of the test ask for and complain of."""
    return Witness()


@pytest.fixture
async def context(browser: Browser, witness: Witness) -> AsyncIterator[BrowserContext]:
    """A visitor: cookies and storage of their own. Errors in the console fail the test."""
    context = await browser.new_context()
    context.set_default_timeout(_PATIENCE_MS)
    witness.watch(context)
    yield context
    await context.close()
    witness.check()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """A tab of the visitor."""
    return await context.new_page()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        pass


@contextlib.contextmanager
def _served_folder() -> Iterator[int]:
    """The port on which front_end.html is served."""
    handler = functools.partial(_QuietHandler, directory=str(Path(__file__).parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="session")
def front_end() -> Iterator[str]:
    """Origin of the user's own front end."""
    with _served_folder() as port:
        yield f"http://localhost:{port}"


@pytest.fixture(scope="session")
def neighbour() -> Iterator[str]:
    """Origin of somebody else's page on the same host."""
    with _served_folder() as port:
        yield f"http://localhost:{port}"


@pytest.fixture
def open_front_end(context: BrowserContext, front_end: str) -> OpenFrontEnd:
    """Opens the front end in a new tab, written for the API at `api`."""

    async def open_front_end(api: str) -> FrontEnd:
        page = await context.new_page()
        await page.goto(f"{front_end}/front_end.html?api={quote(api)}")
        return FrontEnd(page)

    return open_front_end
