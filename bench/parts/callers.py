"""Callers of an HTTP server, as cheap as Python can make them: a process of its own, whose work is the server's alone.

Each caller has one connection, sends its next request when the one before is answered, and reads of an answer no more
than its status and its length.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import cast

import uvloop

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass(frozen=True, slots=True)
class Load:
    """How a server answered. `rate`: a second; `seconds`: of each answer, sorted."""

    rate: float
    seconds: list[float]

    def percentile(self, percent: float) -> float:
        """Milliseconds under which so many of a hundred answers stay."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * percent / 100))] * 1000


async def call(port: int, requests: Sequence[Sequence[bytes]], *, callers: int, seconds: float) -> Load:
    """Call for so many seconds. Caller i takes `requests[i % len(requests)]` in turn.

    Raises:
        RuntimeError: an answer was not 200.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    job = {
        "port": port,
        "callers": callers,
        "seconds": seconds,
        "requests": [[one.decode("latin-1") for one in some] for some in requests],
    }
    output, _ = await process.communicate(json.dumps(job).encode())
    answer = json.loads(output)
    if answer["refused"]:
        raise RuntimeError(f"{answer['refused'][0]} ({len(answer['refused'])} such answers)")
    return Load(len(answer["seconds"]) / answer["took"], sorted(answer["seconds"]))


class _Caller(asyncio.Protocol):
    def __init__(self, requests: Sequence[bytes], until: float) -> None:
        self._requests = cycle(requests)
        self._until = until
        self._answer = b""
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.seconds: list[float] = []
        self.refused: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, whole, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not whole or length is None or len(body) < int(length[1]):
            return
        now = time.perf_counter()
        self.seconds.append(now - self._sent)
        if not head.startswith(b"HTTP/1.1 200"):
            self.refused.append(f"{head.splitlines()[0].decode()}: {body.decode()}")
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.refused.append(repr(exc))
        self.done.set_result(None)

    def _send(self) -> None:
        self._answer = b""
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))


async def _main() -> None:
    job = json.load(sys.stdin)
    requests = [[one.encode("latin-1") for one in some] for some in job["requests"]]
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    callers = []
    for number in range(job["callers"]):
        mine = requests[number % len(requests)]
        _, caller = await loop.create_connection(
            partial(_Caller, mine, began + job["seconds"]), "127.0.0.1", job["port"]
        )
        callers.append(caller)
    for caller in callers:
        await caller.done
    took = time.perf_counter() - began
    answer = {
        "took": took,
        "seconds": [one for caller in callers for one in caller.seconds],
        "refused": [one for caller in callers for one in caller.refused],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    uvloop.run(_main())
