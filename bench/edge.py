"""What thousands of requests that never end do to a web process: its memory, and somebody else's answer.

    python bench/edge.py [--check]

`chatwren web` behind a proxy that it trusts: 4,000 connections of 8 networks each begin a request of one kind and leave
it open, or send more than they may. Printed for each kind: the most memory that web has held, the longest that
`/health/live` took for another client, and what the connections were answered; `open` after 40 s without an answer.
--check: exit 1 when a figure is out of bounds.
"""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

from chatwren.machine import descriptors
from chatwren.store.database import Database
from parts import callers, command, system

CONNECTIONS, NETWORKS = 4_000, 8
PATIENCE = 40.0
"""Seconds."""
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOST_MEMORY, ANSWERED = 512, 10.0
"""Megabytes and seconds."""


def _head(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def requests(cookie: str) -> dict[str, bytes]:
    """What a connection sends, by kind. `{}` stands for the header with its network."""
    json_of = ("Content-Type: application/json", "{}")
    large = (*json_of, f"Cookie: {cookie}", f"Content-Length: {1 << 20}")
    few = json.dumps({"username": "nobody", "password": "nothing"}).encode()
    log_in = _head("POST /api/auth/login", *json_of, f"Content-Length: {len(few)}") + few
    many = [f"A{number}: {'b' * 300}" for number in range(95)]
    return {
        "bodies of 1 MiB that never end": _head("POST /api/messages/preview", *large)
        + b'{"message": "hi", "more": "'.ljust((1 << 20) - 100, b"x"),
        "heads of 30 KB": _head(
            "POST /api/messages/preview", *json_of, *many, f"Cookie: {cookie}", "Content-Length: 99"
        ),
        "endless trailers": _head(
            "POST /api/messages/preview", *json_of, f"Cookie: {cookie}", "Transfer-Encoding: chunked"
        )
        + b"0\r\nX: "
        + b"y" * 1_000_000,
        "log-ins": log_in,
        "log-ins and more sent ahead": log_in + b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"y" * 30_000,
    }


async def _begin(port: int, request: bytes, answered: Counter[str]) -> None:
    """Send it, and wait for an answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        answered["refused"] += 1
        return
    try:
        with contextlib.suppress(ConnectionError):  # refused before all was sent: the answer is there all the same
            writer.write(request)
            await writer.drain()
        async with asyncio.timeout(PATIENCE):
            answered[(await reader.read(4096))[9:12].decode() or "closed"] += 1
            await asyncio.sleep(3)
    except TimeoutError:
        answered["open"] += 1
    except ConnectionError:
        answered["closed"] += 1
    finally:
        writer.close()


async def _longest_answer(port: int, over: asyncio.Event) -> float:
    """Seconds. Asked by processes of their own: this one is busy with the others."""
    longest = 0.0
    while not over.is_set():
        asked = await callers.call(port, [[LIVE]], callers=1, seconds=1)
        longest = max(longest, asked.seconds[-1])
    return longest


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is out of bounds."""
    problems = []
    descriptors.raise_limit()
    async with system.postgres(folder) as url, Database.connect(url) as db:
        (alice,) = await system.sign_up(db, 1, linked=False)
        for kind, request in requests(alice.cookie).items():
            # A process of its own for each: the most memory that one has held never falls.
            async with system.web(url, folder, CHATWREN_TRUSTED_PROXIES="127.0.0.1") as web:
                idle, over, answered = web.most_memory, asyncio.Event(), Counter[str]()
                other = asyncio.create_task(_longest_answer(web.port, over))
                async with asyncio.TaskGroup() as group:
                    for number in range(CONNECTIONS):
                        network = f"X-Forwarded-For: 203.0.113.{number % NETWORKS}".encode()
                        group.create_task(_begin(web.port, request.replace(b"{}", network, 1), answered))
                over.set()
                longest = await other
                megabytes = web.most_memory // 1_000_000
                print(
                    f"{kind:32} {idle // 1_000_000:4} -> {megabytes:4} MB   {longest:6.2f} s   {dict(answered)}",
                    flush=True,
                )
                if megabytes > MOST_MEMORY or longest > ANSWERED:
                    problems.append(f"{kind}: out of bounds")
    return problems


if __name__ == "__main__":
    command.run(measure, __doc__)
