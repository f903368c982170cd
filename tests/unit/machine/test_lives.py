"""Which workers count as dead: those that are, with their engines, and nobody else."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chatwren.machine import lifeline
from chatwren.machine.lives import Lives
from tests.waiting import wait_until

WORKER = textwrap.dedent("""
    import subprocess, sys, threading
    from pathlib import Path
    from uuid import UUID
    from chatwren.machine.lives import Lives

    with Lives(Path(sys.argv[1])).marked(UUID(sys.argv[2])) as marks:
        for passed in ((), marks):
            child = subprocess.Popen(["sleep", "600"], pass_fds=passed, stdout=subprocess.DEVNULL)
            print(child.pid, flush=True)
        threading.Event().wait()
""")


class Worker:
    """A process that lives under a mark, with an engine and another child."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid4()
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(self.id)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.other, self.engine = (int(said.readline()) for _ in range(2))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        for pid in (self.engine, self.other):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def under_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lifeline.VARIABLE, "0")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path)
    yield made
    made.end()


def is_dead(folder: Path, worker: Worker) -> Callable[[], bool]:
    return lambda: Lives(folder).ended() == [worker.id]


def test_who_was_killed_is_dead_until_it_is_forgotten(tmp_path: Path, worker: Worker) -> None:
    os.kill(worker.engine, signal.SIGKILL)
    assert Lives(tmp_path).ended() == []
    worker.kill()
    wait_until(is_dead(tmp_path, worker))  # while a child of it that is no engine lives
    Lives(tmp_path).forget(worker.id)
    assert Lives(tmp_path).ended() == []


def test_who_is_frozen_is_not_dead(tmp_path: Path, worker: Worker) -> None:
    os.kill(worker.engine, signal.SIGKILL)
    worker.process.send_signal(signal.SIGSTOP)
    assert Lives(tmp_path).ended() == []


def test_who_has_an_engine_left_is_not_dead(tmp_path: Path, worker: Worker) -> None:
    os.kill(worker.engine, signal.SIGSTOP)
    worker.kill()
    assert Lives(tmp_path).ended() == []
    os.kill(worker.engine, signal.SIGKILL)
    wait_until(is_dead(tmp_path, worker))


def test_the_life_of_a_process_is_over_when_it_begins_another(tmp_path: Path) -> None:
    lives, first, second = Lives(tmp_path), uuid4(), uuid4()
    with lives.marked(first):
        assert lives.ended() == []
    with lives.marked(second):
        assert lives.ended() == [first]


@pytest.mark.usefixtures("worker")
def test_a_copy_of_the_folder_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    shutil.copytree(tmp_path / "workers", tmp_path / "copy" / "workers")
    assert Lives(tmp_path / "copy").ended() == []


def test_another_machine_or_another_run_of_it_proves_nothing(tmp_path: Path) -> None:
    left = uuid4()
    with Lives(tmp_path).marked(left):
        pass
    mark = tmp_path / "workers" / str(left)
    boot, _, file = mark.read_text().partition(" ")
    mark.write_text(f"{UUID(int=UUID(boot).int ^ 1)} {file}")
    assert Lives(tmp_path).ended() == []


def test_who_was_started_alone_leaves_no_mark_and_reads_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lives(tmp_path).marked(uuid4()):
        pass
    monkeypatch.delenv(lifeline.VARIABLE)
    alone = Lives(tmp_path)
    assert alone.ended() == []
    with alone.marked(uuid4()) as marks:
        assert marks == ()
    assert len(list((tmp_path / "workers").iterdir())) == 1


def test_where_there_is_no_room_a_worker_lives_without(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("no folder")
    with Lives(tmp_path).marked(uuid4()) as marks:
        assert marks == ()
