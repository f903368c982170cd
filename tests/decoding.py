"""The processes that decode files for a web process, seen from outside."""

import contextlib
from pathlib import Path


def decoders_of(web: int) -> set[int]:
    """All of them: those that wait for files, and those that they have forked, each for one file."""
    found, looked_at = set(), [web]
    while looked_at:
        pid = looked_at.pop()
        looked_at += _children(pid)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"decoder_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def decoding_for(web: int) -> set[int]:
    """Those that decode a file."""
    return {child for pid in decoders_of(web) for child in _children(pid)}


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found
