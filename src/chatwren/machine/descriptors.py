"""How many files and connections this process may have open at once."""

import contextlib
import resource

_MOST = 1024 * 1024
"""Where the machine sets no limit: more than Linux allows a process by default."""


def raise_limit() -> None:
    """Let this process open as many as it may ever: shells and service managers begin with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else hard
    if limit() < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS takes less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit() -> int:
    """How many it may open as it is."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft
