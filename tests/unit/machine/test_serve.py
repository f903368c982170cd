"""`serve`: children are started again, stopped in order, and gone when their parent is; ports are looked at first."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatwren.machine import supervisor
from chatwren.machine.data_lock import until_free
from chatwren.machine.database import check_database
from chatwren.machine.serve import _choose_ports, phones_address, port_problem
from chatwren.machine.supervisor import BackOff, Child, Gate, Lifeline
from chatwren.machine.throwaway import throwaway_postgres
from chatwren.settings import CannotStart, Settings
from tests.waiting import until

CHILD = textwrap.dedent("""
    import os, pathlib, signal, sys, threading
    from chatwren.machine import lifeline

    marks, how = pathlib.Path(sys.argv[1]), sys.argv[2]
    def mark(word):
        with marks.open("a") as file:
            file.write(f"{word} {os.getpid()}\\n")
    def end(word):
        mark(word)
        if how != "stubborn":
            os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: end("terminated"))
    lifeline.watch(lambda: end("orphaned"))
    mark("started")
    print("ready", flush=True)
    if how == "brief":
        sys.exit(3)
    threading.Event().wait()
""")


class Marks:
    """What a child wrote down about its life."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self) -> list[str]:
        return [line.split()[0] for line in self._lines()]

    def pids(self) -> list[int]:
        return [int(line.split()[1]) for line in self._lines() if line.startswith("started")]

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "marks")


@pytest.fixture
async def line() -> AsyncIterator[Lifeline]:
    held = Lifeline()
    yield held
    held.close()


def child(marks: Marks, line: Lifeline, how: str = "steady", patience: float = 10) -> Child:
    command = [sys.executable, "-c", CHILD, str(marks.path), how]
    return Child("child", command, dict(os.environ), line, patience=patience, first_line=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_dies_is_started_again(
    marks: Marks, line: Lifeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.01)
    one = child(marks, line)
    assert await one.start() == "ready"
    one.keep()
    os.kill(marks.pids()[0], signal.SIGKILL)
    await until(lambda: len(marks.pids()) == 2)
    await one.stop(asyncio.Event())
    assert marks.words() == ["started", "started", "terminated"]


async def test_a_child_that_does_not_get_ready_is_an_error(line: Lifeline) -> None:
    silent = Child("silent", [sys.executable, "-c", "raise SystemExit(7)"], {}, line, patience=1, first_line=True)
    with pytest.raises(CannotStart, match=r"^silent did not start: exit code 7\.$"):
        await silent.start()


async def test_a_child_behind_a_gate_waits_until_that_opens_and_not_when_it_is_started_again(
    marks: Marks, line: Lifeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.01)
    waits = "import sys; print('loaded', flush=True); sys.stdin.read(); open(sys.argv[1], 'a').write('started 0\\n')"
    one = Child("one", [sys.executable, "-c", waits, str(marks.path)], {}, line, patience=1, first_line=True)
    gate = Gate()
    assert await one.start(behind=gate) == "loaded"
    assert marks.words() == []
    gate.open()
    one.keep()
    await until(lambda: len(marks.words()) > 1)
    await one.stop(asyncio.Event())


async def test_a_child_that_will_not_end_is_killed_when_its_time_is_up(marks: Marks, line: Lifeline) -> None:
    one = child(marks, line, how="stubborn", patience=0.2)
    await one.start()
    await one.stop(asyncio.Event())
    assert marks.words() == ["started", "terminated"]
    assert not alive(marks.pids()[0])


async def test_a_second_signal_ends_the_patience(marks: Marks, line: Lifeline) -> None:
    one = child(marks, line, how="stubborn", patience=60)
    await one.start()
    hurry = asyncio.Event()
    stopping = asyncio.create_task(one.stop(hurry))
    await until(lambda: "terminated" in marks.words())
    hurry.set()
    async with asyncio.timeout(5):
        await stopping


@pytest.mark.parametrize("how", ["steady", "stubborn"])
async def test_children_are_gone_within_5_seconds_when_their_parent_is_killed(marks: Marks, how: str) -> None:
    parent = textwrap.dedent("""
        import asyncio, os, sys
        from chatwren.machine.supervisor import Child, Lifeline
        async def main():
            child = Child("child", sys.argv[1:], dict(os.environ), Lifeline(), patience=1, first_line=True)
            print(await child.start(), flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, sys.executable, "-c", CHILD, str(marks.path), how, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while b"ready" not in (line := await process.stdout.readline()):
            assert line, "the parent has ended"
    process.kill()
    await process.wait()
    started = time.monotonic()
    await until(lambda: not alive(marks.pids()[0]), seconds=5)
    assert time.monotonic() - started < 5
    assert "orphaned" in marks.words()


def test_the_pause_grows_while_it_fails_and_is_short_again_after_a_steady_time(monkeypatch: pytest.MonkeyPatch) -> None:
    back_off = BackOff()
    pauses = []
    for _ in range(9):
        back_off.started()
        pauses.append(back_off.pause())
    assert pauses[:3] == [0.5, 1, 2]
    assert pauses[-1] == supervisor.LONGEST_PAUSE_SECONDS
    monkeypatch.setattr(supervisor, "STEADY_SECONDS", 0)
    assert back_off.pause() == supervisor.FIRST_PAUSE_SECONDS


async def test_a_port_in_use_is_one_line_that_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart) as caught:
            await _choose_ports(Settings(port=port), patience=0)
        assert caught.value.message == (
            f"Port {port} is in use by another program: choose another with --port (CHATWREN_PORT)."
        )
        with pytest.raises(CannotStart, match="--sandbox-port"):
            await _choose_ports(Settings(port=0, sandbox=True, sandbox_port=port), patience=0)


async def test_ports_of_a_serve_that_was_killed_are_waited_for() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    choosing = asyncio.create_task(_choose_ports(Settings(port=port), patience=10))
    done, _ = await asyncio.wait([choosing], timeout=0.2)
    assert not done
    taken.close()
    assert (await choosing).port == port


async def test_a_lock_that_is_held_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    await until_free(lock, seconds=60)  # nobody has made it
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await until_free(lock, seconds=0.01)
        waiting = asyncio.create_task(until_free(lock, seconds=60))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
    await waiting


async def test_port_0_is_one_that_is_free() -> None:
    settings = await _choose_ports(Settings(port=0, sandbox=True, sandbox_port=0), patience=0)
    assert 0 not in (settings.port, settings.sandbox_port)
    assert settings.port != settings.sandbox_port


async def test_one_port_for_two_things_is_refused() -> None:
    with pytest.raises(CannotStart, match="cannot be both"):
        await _choose_ports(Settings(port=18001, sandbox=True, sandbox_port=18001), patience=0)


def test_the_simulated_phones_are_published_only_where_that_is_asked_for() -> None:
    assert phones_address(Settings(host="0.0.0.0")) == "127.0.0.1:8001"  # noqa: S104 - not listened on
    assert phones_address(Settings(sandbox_host="::1", sandbox_port=9)) == "[::1]:9"


def test_an_address_that_is_not_ours() -> None:
    assert port_problem(["192.0.2.1"], 0) == "Port 0 cannot be used on 192.0.2.1 (Cannot assign requested address)"


async def test_a_database_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(CannotStart, match=r"^The database of DATABASE_URL cannot be reached: [^\n]*$"):
        await check_database("postgresql://chatwren@/chatwren?host=/nowhere&port=5432")
    async with throwaway_postgres() as url:
        assert (await check_database(url)).startswith("18.")
