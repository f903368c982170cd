"""`chatwren web` as a process of its own: how it begins and ends."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.api.conftest import Person
from tests.api.server import SECRET, WebServer
from tests.decoding import decoders_of
from tests.waiting import wait_until


@pytest.fixture
def environment(server: WebServer, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": str(server.settings.database_url),
        "CHATWREN_DATA_DIR": str(tmp_path),
        "CHATWREN_COOKIE_SECRETS": SECRET,
        "CHATWREN_PORT": "0",
        "CHATWREN_DRAIN_SECONDS": "0",
        "CHATWREN_LOG_FORMAT": "json",
    }


@pytest.fixture
def draining(environment: dict[str, str]) -> None:
    """It drains for as long as it takes to end this test."""
    environment["CHATWREN_DRAIN_SECONDS"] = "600"


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "chatwren", "web"], env=environment, stderr=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stderr is not None
    for line in process.stderr:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "web.ready":
            return event
    pytest.fail("it ended before it was ready")


def test_it_says_where_it_listens_and_ends_after_the_answer(process: subprocess.Popen[str], alice: Person) -> None:
    addresses = ready(process)["addresses"]
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


def test_the_signals_of_log_rotation_do_not_end_it(process: subprocess.Popen[str]) -> None:
    address = ready(process)["addresses"][0]
    for one in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        process.send_signal(one)
    assert httpx.get(f"{address}/health/live").is_success
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.usefixtures("draining")
def test_at_sigterm_it_is_not_ready_first_and_serves_on(process: subprocess.Popen[str], alice: Person) -> None:
    address = ready(process)["addresses"][0]
    with httpx.Client(base_url=address, headers={"cookie": alice.cookie}, timeout=30, trust_env=False) as client:
        assert client.get("/health/ready").status_code == 200
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503)
        told = client.get("/health/ready")
        assert (told.json()["code"], "retry-after" in told.headers) == ("leaving", True)
        for _ in range(2):
            answer = client.patch("/api/users/me", json={"timeZone": "Asia/Kolkata"})
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert client.get("/health/live").status_code == 200
        process.send_signal(signal.SIGTERM)  # once more: at once
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            client.get("/health/live")


@pytest.mark.usefixtures("draining")
def test_ctrl_c_does_not_wait(process: subprocess.Popen[str]) -> None:
    ready(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_who_connects_at_the_last_moment_is_answered(serve: Callable[..., WebServer]) -> None:
    web = serve(drain_seconds=600)

    async def end_with_somebody_at_the_door() -> socket.socket:
        web.server.leave()
        # The loop is busy here: the kernel takes the connection, and nobody lets it in before the port is closed.
        one = socket.create_connection(("127.0.0.1", web.port), timeout=30)
        one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        await web.server.shutdown(web.sockets)
        return one

    with closing(asyncio.run_coroutine_threadsafe(end_with_somebody_at_the_door(), web.loop).result(30)) as one:
        answer = b"".join(iter(lambda: one.recv(10_000), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", web.port), timeout=30)


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
    assert line.endswith(f"Port {server.port} is in use. Choose another with CHATWREN_PORT.")


def test_decoders_do_not_outlive_web(process: subprocess.Popen[str], alice: Person) -> None:
    alice.link("919811112222")
    address = ready(process)["addresses"][0]
    photo = io.BytesIO()
    Image.new("RGB", (64, 48)).save(photo, "JPEG")
    answer = httpx.post(
        f"{address}/api/messages/send",
        data={"phoneId": "+919876543210", "message": "Hello"},
        files={"mediaFile": ("photo.jpg", photo.getvalue(), "image/jpeg")},
        headers={"cookie": alice.cookie},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    decoders = decoders_of(process.pid)
    assert decoders
    process.kill()
    process.wait(30)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in decoders))
