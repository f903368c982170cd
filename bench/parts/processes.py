"""What processes cost, as the kernel counts it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment. `cpu`: seconds of all its threads so far; `memory`: resident bytes."""

    pid: int
    parent: int
    command: str
    cpu: float
    memory: int


def look(pid: int) -> Process:
    """A running process.

    Raises:
        OSError: there is none with this number.
    """
    folder = Path("/proc") / str(pid)
    numbers = (folder / "stat").read_text().rpartition(")")[2].split()  # from the third on: names may hold spaces
    command = (folder / "cmdline").read_text().replace("\0", " ").strip()
    return Process(
        pid, int(numbers[1]), command, (int(numbers[11]) + int(numbers[12])) / _TICK, int(numbers[21]) * _PAGE
    )


def family(pid: int) -> list[Process]:
    """A process and all that descend from it."""
    everyone: list[Process] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            everyone.append(look(int(folder.name)))
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    found = [one for one in everyone if one.pid == pid]
    for parent in found:  # grows while it is walked
        found += [one for one in everyone if one.parent == parent.pid]
    return found


def cpu_by_name(pid: int, names: dict[str, str]) -> dict[str, float]:
    """CPU seconds of a process and its descendants so far, by the first name whose pattern its command line has.

    What no pattern fits counts as `other`. A process that has ended counts no more: compare while all run.
    """
    seconds = dict.fromkeys([*names, "other"], 0.0)
    for one in family(pid):
        name = next((name for name, pattern in names.items() if re.search(pattern, one.command)), "other")
        seconds[name] += one.cpu
    return seconds
