"""A bench as a command."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from parts import system


def run(
    measure: Callable[[Path], Coroutine[Any, Any, list[str]]],
    about: str | None,
    *,
    loop: Callable[[Coroutine[Any, Any, list[str]]], list[str]] = asyncio.run,
) -> None:
    """Measure, in a folder of its own; with --check, exit 1 when a figure is out of bounds.

    Args:
        measure: prints how it went, and returns what is out of bounds.
        about: the bench's docstring, for --help.
        loop: what runs it.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure is out of bounds")
    check = parser.parse_args().check
    with system.folder() as folder:
        problems = loop(measure(folder))
    if check and problems:
        sys.exit("; ".join(problems))
