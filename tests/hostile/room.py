"""So much memory for a process and all that it starts, as in a container: which takes more is killed, and noted."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOM = 512 * 1024**2
"""Bytes for web, and as many for a worker with its engine."""
EVERY_SECONDS = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Room:
    """Watches trees of processes.

    Args:
        roots: the process at the root of each tree, by name.

    Attributes:
        peaks: the most that each tree has held, in bytes, as far as looking every 50 ms shows it.
        burst: the trees that were killed for holding more than `ROOM`.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = roots
        self._parents: dict[int, int] = {}
        self._ended = threading.Event()
        self.peaks = dict.fromkeys(roots, 0)
        self.burst: list[str] = []

    def __str__(self) -> str:
        of = f"of {ROOM / 1024**2:.0f} MB"
        return ", ".join(f"{name} {held / 1024**2:.0f} {of}" for name, held in self.peaks.items())

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """The trees are watched as long as the context."""
        watching = threading.Thread(target=self._watch, name="memory")
        watching.start()
        try:
            yield
        finally:
            self._ended.set()
            watching.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            trees = self._trees()
            for name, tree in trees.items():
                held = sum(map(_resident, tree))
                if held > ROOM:
                    held = sum(map(_share, tree))  # what several of them map counts once
                self.peaks[name] = max(self.peaks[name], held)
                if held > ROOM and name not in self.burst:
                    self.burst.append(name)
                    for pid in tree:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

    def _trees(self) -> dict[str, list[int]]:
        """The living processes of each tree."""
        living = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        self._parents = {pid: self._parents[pid] if pid in self._parents else _parent(pid) for pid in living}
        trees: dict[str, list[int]] = {}
        for name, root in self._roots.items():
            tree = [root]
            for pid in tree:
                tree += [child for child, parent in self._parents.items() if parent == pid]
            trees[name] = tree
        return trees


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def _share(pid: int) -> int:
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return 0
