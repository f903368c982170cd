"""`chatwren web` as a process of its own: how it begins and ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Person
from tests.api.server import SECRET, WebServer


@pytest.fixture
def environment(server: WebServer, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": str(server.settings.database_url),
        "CHATWREN_DATA_DIR": str(tmp_path),
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_PORT": "0",
        "CHATWREN_LOG_FORMAT": "json",
    }


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "chatwren", "web"], env=environment, stderr=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stderr is not None
    for line in process.stderr:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "web.ready":
            return event
    pytest.fail("it ended before it was ready")


def test_it_says_where_it_listens_and_ends_after_the_answer(process: subprocess.Popen[str], alice: Person) -> None:
    addresses = _ready(process)["addresses"]
    assert addresses[0].startswith("http://127.0.0.1:")
    port = int(addresses[0].rpartition(":")[2])
    body = b'{"timeZone": "Asia/Kolkata"}'
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        connection.sendall(
            f"PATCH /api/users/me HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\nExpect: 100-continue\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        assert b"100 Continue" in connection.recv(1000)  # the handler waits for the body now
        process.send_signal(signal.SIGTERM)
        connection.sendall(body)
        assert b"Asia/Kolkata" in b"".join(iter(lambda: connection.recv(10_000), b""))
    assert process.wait(30) == 0


def test_a_port_in_use_is_one_clear_line(server: WebServer, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatwren", "web"],
        env=environment | {"CHATWREN_PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"Port {server.port} is in use. Choose another with --port or CHATWREN_PORT.")
