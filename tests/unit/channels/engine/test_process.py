"""Where the engine's socket lies."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatwren.channels.engine.process import socket_folder

HOLDER = """
import sys, tempfile
from chatwren.channels.engine.process import socket_folder
tempfile.tempdir = sys.argv[1]
with socket_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=tempfile.gettempdir()) as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_the_folder_is_private_and_leaves_nothing(temporary: Path) -> None:
    with socket_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(folder / "999999.sock")) <= 107
    assert list(temporary.iterdir()) == []


def test_a_long_path_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with socket_folder() as folder:
        assert len(os.fsencode(folder / "999999.sock")) <= 107


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(temporary: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(temporary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        with socket_folder():
            assert held.exists()
        holder.kill()
    assert held.exists()
    with socket_folder():
        assert not held.exists()


def test_a_folder_that_another_process_takes_for_one_that_was_left_is_made_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    mkdtemp = tempfile.mkdtemp

    def swept(**how: Any) -> str:
        made.append(mkdtemp(**how))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with socket_folder() as folder:
        assert [str(folder)] == made[1:]
        assert folder.parent == temporary
        assert folder.exists()
