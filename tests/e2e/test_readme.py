"""The README as a newcomer follows it: each block as printed, in its order, after what `make run` itself says to do."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from chatwren.demo import CUSTOMER_PHONE, OWN_PHONE, SHOP_PHONE
from chatwren.machine.throwaway import open_folder
from chatwren.settings import Settings, variable
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS, RECORDED, WITH_CURL, REAL = (
    next(block for block in BLOCKS if block.startswith(beginning))
    for beginning in ("make run", "Starting", "B=http", "make setup")
)
README_PHONE = "919811112222"


class Newcomer:
    """Somebody in a folder of their own, beside a `make run` on given ports, which curl takes for the usual ones."""

    def __init__(self, folder: Path, web: int, phones: int) -> None:
        self.folder = folder
        self.phones = f"http://localhost:{phones}"
        self.said: list[str] = []
        self.log = folder / "log"
        (folder / "home").mkdir()
        ports = ((8000, web), (8001, phones))
        (folder / "home" / ".curlrc").write_text(
            "".join(f'connect-to = "localhost:{usual}:localhost:{given}"\n' for usual, given in ports)
        )
        ours = {variable(name) for name in Settings.fields} | {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
        self.environment = {name: value for name, value in os.environ.items() if name not in ours}

    def listen(self, running: "subprocess.Popen[str]") -> None:
        """Keep what it says."""
        assert running.stdout is not None
        for line in running.stdout:
            self.said.append(line.rstrip("\n"))

    def is_told_all(self) -> bool:
        """Whether the last line is there."""
        return any("/scan" in line for line in self.said)

    def types(self, text: str, *, seconds: float = 120) -> str:
        """What a shell prints that is given this text; that it ends is part of what is asked."""
        done = subprocess.run(
            ["bash"],
            input=text,
            cwd=self.folder,
            env=self.environment | {"HOME": str(self.folder / "home")},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert "curl: (" not in done.stderr, done.stderr
        return done.stdout

    def signs_up(self, username: str, phone: str, *, jar: str) -> None:
        """Make a user, and leave their session in a cookie jar."""
        person = {"name": username, "phone": phone, "email": f"{username}@example.com", "username": username}
        body = shlex.quote(json.dumps({**person, "password": "correct horse battery"}))
        said = self.types(
            f"curl -s -c {jar} -H 'Content-Type: application/json' -d {body} http://localhost:8000/api/auth/register"
        )
        assert "successfully" in said, said

    def messages(self, number: str) -> list[dict[str, object]]:
        """What a simulated phone shows."""
        shown: list[dict[str, object]] = httpx.get(f"{self.phones}/phones/{number}/messages", trust_env=False).json()
        return shown


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def newcomer() -> Iterator[Newcomer]:
    """Beside the first line of the README's first block."""
    assert COMMANDS.split()[:2] == ["make", "run"]
    with open_folder() as folder:
        one = Newcomer(folder, web := free_port(), phones := free_port())
        with one.log.open("w") as log:
            running = subprocess.Popen(
                # nothing is compiled here: the programs are those that the other tests run
                [
                    *("make", "--old-file=.venv/.chatwren", f"PY={shlex.quote(sys.executable)}"),
                    *("run", f"PORT={web}", f"SANDBOX_PORT={phones}", f"DATA_DIR={folder / 'data'}"),
                ],
                cwd=ROOT,
                env=one.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        with running:
            reading = threading.Thread(target=one.listen, args=(running,))
            reading.start()
            try:
                wait_until(lambda: one.is_told_all() or running.poll() is not None, seconds=120, what="its last line")
                assert running.poll() is None, "".join(one.said) + one.log.read_text()
                yield one
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGINT)
                running.wait(60)
                reading.join()


def test_make_run_says_what_the_readme_has_recorded(newcomer: Newcomer) -> None:
    def shape(lines: Iterable[str]) -> list[str]:
        """Without what differs from run to run: states as they were seen, times, ids, addresses, chosen words."""
        step = re.compile(r"^Starting|registered|fetched|scanned|linked as|accepted|will read")
        chance = re.compile(r"(demo-|msg_|sched_|http://|for |read: )\S.*|\d+\.\d+ s")
        return [chance.sub(r"\1", line).strip() for line in lines if step.search(line)]

    recorded = shape(RECORDED.splitlines())
    assert len(recorded) == 9
    assert shape(newcomer.said) == recorded


def test_no_number_is_linked_twice_by_what_is_printed() -> None:
    assert README_PHONE in WITH_CURL
    assert len({README_PHONE, OWN_PHONE, SHOP_PHONE, CUSTOMER_PHONE}) == 4


def test_the_lines_that_make_run_prints_work(newcomer: Newcomer) -> None:
    queue = next(line for line in newcomer.said if "/api/messages/queue" in line)
    assert '"total":3' in newcomer.types(queue.split(maxsplit=1)[1])
    newcomer.signs_up("alice", "+919876543211", jar="my.jar")
    assert '"device":1' in newcomer.types(next(line for line in newcomer.said if "/scan" in line))
    wait_until(
        lambda: (
            '"status":"authenticated"' in newcomer.types("curl -sb my.jar http://localhost:8000/api/whatsapp/status")
        )
    )


def test_the_block_with_curl_does_as_printed(newcomer: Newcomer) -> None:
    said = newcomer.types(WITH_CURL)
    assert '"success":false' not in said, said
    assert "Not linked" not in said, said
    at = 0
    for step in (
        "User registered successfully",
        "Login successful",
        '"phone":"+1234567890"',
        '"qrCodeUrl"',
        f'"number":"{README_PHONE}"',
        f'Linked: {{"status":"authenticated","phoneNumber":"+{README_PHONE}"',
        "[]",
        '"messageId":"msg_',
        '"messageId":"sched_',
        '"total":2',
        "Logged out successfully",
    ):
        assert step in said[at:], f"{step} not in {said[at:]}"
        at = said.index(step, at)
    wait_until(
        lambda: any(one["from"] == README_PHONE and one.get("media") for one in newcomer.messages(CUSTOMER_PHONE))
    )


def test_a_run_that_works_logs_no_error(newcomer: Newcomer) -> None:
    """Before somebody scans in vain, which is one."""
    assert not re.search(r"error", newcomer.log.read_text(), re.IGNORECASE), newcomer.log.read_text()


def test_a_link_that_fails_ends_with_a_sentence(newcomer: Newcomer) -> None:
    """Bob follows the README with the number that Alice's lines have linked; somebody else has no session at all."""
    newcomer.signs_up("bob", "+919876543212", jar="jar")
    lines = WITH_CURL.splitlines()
    first = next(number for number, line in enumerate(lines) if "/scan" in line)
    last = next(number for number, line in enumerate(lines) if line.startswith("case"))
    linking = "\n".join((lines[0], *lines[first : last + 1], ""))
    said = newcomer.types(linking.replace(README_PHONE, SHOP_PHONE))
    assert "linked already" in said.partition("Not linked")[0], said
    assert "already linked by another user" in said.partition("Not linked: ")[2], said
    assert "not_authenticated" in newcomer.types(f"rm jar; {linking}").partition("Not linked: ")[2]


def test_serve_of_the_readme_gets_ready_without_a_sandbox(newcomer: Newcomer) -> None:
    setup, serving, _ = REAL.splitlines()
    assert setup == "make setup"
    given = {"CHATWREN_DATA_DIR": str(newcomer.folder / "real"), "CHATWREN_PORT": "0"}
    with subprocess.Popen(
        ["bash", "-c", serving], cwd=ROOT, env=newcomer.environment | given, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            assert "Chatwren is ready" in running.stdout.readline()
        finally:
            running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
