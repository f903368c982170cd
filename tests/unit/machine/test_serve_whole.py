"""`chatwren serve --sandbox` as a whole: gets ready, ends in order, and takes everything with it when it is killed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings, variable
from tests.waiting import wait_until

SECRETS = {
    "CHATWREN_COOKIE_SECRETS": "secret of the cookie",
    "AWS_SECRET_ACCESS_KEY": "secret of a store",
    "HTTPS_PROXY": "http://user:secret@proxy.invalid",
    "no_proxy": "secret.invalid",
    "STRIPE_KEY": "secret of another program",
}


class Running(NamedTuple):
    """A `serve` that said that it is ready."""

    process: subprocess.Popen[str]
    web: str
    phones: str


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


def environment(folder: Path) -> dict[str, str]:
    ours = {variable(name) for name in Settings.fields}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    (folder / "temporary").mkdir(exist_ok=True)
    return clean | {
        "TMPDIR": str(folder / "temporary"),  # which every process below inherits: that is how descendants finds them
        "CHATWREN_DATA_DIR": str(folder / "data"),
        "CHATWREN_PORT": "0",
        "CHATWREN_SANDBOX_PORT": "0",
        **SECRETS,
    }


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    with (folder / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "chatwren", *arguments],
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


def descendants(folder: Path) -> dict[int, str]:
    """The living processes of this data directory with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if f"TMPDIR={folder}/temporary" in (process / "environ").read_text(errors="replace").split("\0"):
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
    return found


def known(pid: int) -> set[str]:
    """The names of the secrets that a process has in its environment, and the parts of it that are ours."""
    pairs = [pair.partition("=") for pair in Path(f"/proc/{pid}/environ").read_text().split("\0")]
    assert not [name for name, _, value in pairs if "secret" in value and value != SECRETS.get(name)]
    return {name for name, _, _ in pairs if name in SECRETS or name.startswith(("CHATWREN_", "DATABASE_"))}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Running]:
    with command(folder, "serve", "--sandbox") as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline() + process.stdout.readline()
            found = re.match(r"Chatwren is ready: (\S+) .*\nSimulated phones: +(\S+)\n", said)
            assert found, said + (folder / "log").read_text()
            yield Running(process, *found.groups())
        finally:
            process.kill()


def test_it_is_ready_and_whole_and_ends_in_order(folder: Path) -> None:
    with serving(folder) as running:
        assert httpx.get(f"{running.web}/health/ready").is_success
        assert httpx.get(f"{running.phones}/stats").is_success
        running_now = " ".join(descendants(folder).values())
        for part in ("chatwren web", "chatwren worker", "chatwren-engine", "chatwren-sandbox", "postgres"):
            assert part in running_now

        for harmless in (signal.SIGUSR1, signal.SIGUSR2):
            running.process.send_signal(harmless)
        with command(folder, "serve") as second:
            assert second.wait(30) == 1
        refused = r"^chatwren: Chatwren runs on .*/data already \(process \d+\): "
        assert re.search(refused, (folder / "log").read_text(), re.MULTILINE)

        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert not descendants(folder)


def test_each_process_has_in_its_environment_what_it_needs(folder: Path) -> None:
    every_setting = {variable(name) for name in Settings.fields}
    with serving(folder) as running:
        seen: dict[str, set[str]] = {}
        for pid, line in descendants(folder).items():
            for part in ("-m chatwren web", "-m chatwren worker", "chatwren-engine", "chatwren-sandbox", "postgres"):
                if part in line:
                    seen.setdefault(part, set()).update(known(pid))
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    proxies, lifeline = {"HTTPS_PROXY", "no_proxy"}, {"CHATWREN_LIFELINE_FD"}
    assert seen.pop("postgres") == set()
    assert seen.pop("chatwren-sandbox") == lifeline | {"CHATWREN_LOG_LEVEL"}
    told = {"DATABASE_URL", "CHATWREN_LOG_LEVEL", "CHATWREN_WHATSAPP_ADDRESS", "CHATWREN_WHATSAPP_ROOT_KEY"}
    assert seen.pop("chatwren-engine") == lifeline | proxies | told
    worker, web = seen.pop("-m chatwren worker"), seen.pop("-m chatwren web")
    assert web - worker == {"CHATWREN_COOKIE_SECRETS"}
    assert worker - every_setting == lifeline | proxies | {"AWS_SECRET_ACCESS_KEY"}
    assert not seen


def test_a_child_that_is_killed_comes_back(folder: Path) -> None:
    with serving(folder) as running:
        web = next(pid for pid, line in descendants(folder).items() if "-m chatwren web" in line)
        os.kill(web, signal.SIGKILL)
        wait_until(lambda: _answers(running.web), seconds=60)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0


def test_killed_it_takes_all_with_it_and_the_next_one_recovers_at_once(folder: Path) -> None:
    with serving(folder) as running:
        running.process.kill()
        running.process.wait()
    with serving(folder) as again:  # at once: it waits for what the first one left
        assert httpx.get(f"{again.web}/health/ready").is_success
        again.process.kill()
        again.process.wait()
        wait_until(lambda: not descendants(folder), seconds=5)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False
