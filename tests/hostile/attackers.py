"""Attackers, in a process of their own and with what the machine has left, as if they were elsewhere.

python -m tests.hostile.attackers reads what to do as a line of JSON, says `ready`, begins at the next line, and prints
how many answers of each status there were.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.hostile import attacks

UNANSWERED = "0"
_NICE = 10


class Attackers:
    """Those who sit ready.

    Args:
        process: of this module.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def ready(cls, name: str, url: str, sessions: Sequence[str]) -> "Attackers":
        """Have them prepare.

        Args:
            name: of the attack.
            url: of the HTTP API.
            sessions: the Cookie header of each.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"name": name, "url": url, "sessions": sessions}).encode() + b"\n")
        assert await process.stdout.readline() == b"ready\n"
        return cls(process)

    async def attack(self, seconds: float) -> Counter[str]:
        """Each asks over and over for so long; the answers by their status."""
        said, _ = await self._process.communicate(f"{seconds}\n".encode())
        return Counter(json.loads(said))


def main() -> None:
    """Prepare, wait, attack."""
    os.nice(_NICE)
    given = json.loads(sys.stdin.readline())
    ask = attacks.all_of_them()[given["name"]]()
    clients = [
        httpx.Client(base_url=given["url"], headers={"cookie": session}, timeout=90, trust_env=False)
        for session in given["sessions"]
    ]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    deadline = time.monotonic() + float(sys.stdin.readline())

    def insist(client: httpx.Client) -> Counter[str]:
        answers: Counter[str] = Counter()
        while not answers or time.monotonic() < deadline:
            try:
                answers[str(ask(client).status_code)] += 1
            except httpx.HTTPError:
                answers[UNANSWERED] += 1
        return answers

    with ThreadPoolExecutor(len(clients)) as threads:
        sys.stdout.write(json.dumps(sum(threads.map(insist, clients), Counter())))


if __name__ == "__main__":
    main()
