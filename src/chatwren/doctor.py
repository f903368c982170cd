"""What this machine lacks to run or develop Chatwren, and how to mend it."""

import asyncio
import contextlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatwren import programs
from chatwren.serve import check_database, port_problem
from chatwren.settings import CannotStart, Settings, variable
from chatwren.store import embedded, quarters

MACHINES = ("x86_64", "aarch64", "arm64")
OLDEST_GLIBC = (2, 28)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        found: what there is, or what is lacking and how to mend it.
        good: whether it is as it should be.
        needed: whether Chatwren runs without it; else only tests or developing do not.
    """

    what: str
    found: str
    good: bool
    needed: bool = True


def examine(settings: Settings) -> list[Finding]:
    """Look at everything. What is wrong with one thing does not hide the next."""
    checks: list[tuple[str, Callable[[Settings], str], bool]] = [
        ("Python", _python, True),
        ("platform", _platform, True),
        ("engine and sandbox", _programs, True),
        ("database", _database, True),
        ("disk", _disk, True),
        ("sockets", _sockets, True),
        ("ports", _ports, True),
        ("Chromium (browser tests)", _chromium, False),
        ("Go (changing the engine)", _go, False),
        ("C compiler (race detector)", _compiler, False),
    ]
    findings = []
    for what, check, needed in checks:
        try:
            findings.append(Finding(what, check(settings), good=True, needed=needed))
        except CannotStart as lacking:
            findings.append(Finding(what, lacking.message, good=False, needed=needed))
    return findings


def _python(_: Settings) -> str:
    if sys.version_info < (3, 11):  # noqa: UP036 - it may have been started past its installer
        raise CannotStart(f"{platform.python_version()}: Chatwren needs 3.11 or newer.")
    return platform.python_version()


def _platform(_: Settings) -> str:
    library, version = platform.libc_ver()
    here = f"{platform.system()} {platform.machine()} {library or 'no glibc'} {version}".strip()
    if sys.platform == "darwin":
        return here
    if sys.platform != "linux":
        raise CannotStart(f"{here}: use Linux; on Windows that is WSL.")
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        raise CannotStart(f"{here}: Linux with glibc >= 2.28 is needed (Debian, Ubuntu, Fedora; not Alpine).")
    if platform.machine() not in MACHINES:
        raise CannotStart(f"{here}: x86-64 or arm64 is needed.")
    return here


def _programs(_: Settings) -> str:
    for program in (programs.engine(), programs.sandbox()):
        try:
            subprocess.run([program, "-h"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(f"{program} does not run ({error}): compile it here with `make setup`.") from None
    return str(programs.engine().parent)


def _database(settings: Settings) -> str:
    if settings.database_url is not None:
        return f"PostgreSQL {asyncio.run(check_database(settings.database_url))} at DATABASE_URL"
    _, owner = quarters.find_home(settings)
    return f"embedded, {quarters.find_programs(owner)}"


def _disk(settings: Settings) -> str:
    home, _ = quarters.find_home(settings)
    embedded.check_room(settings.data_dir, home)
    there = next(
        folder for folder in (settings.data_dir.resolve(), *settings.data_dir.resolve().parents) if folder.exists()
    )
    return f"{shutil.disk_usage(there).free / 1e9:.1f} GB free at {there}"


def _sockets(settings: Settings) -> str:
    _, owner = quarters.find_home(settings)
    folder = quarters.find_socket_folder(settings, owner)
    with contextlib.suppress(OSError):  # a running Chatwren's is not empty, and stays
        folder.rmdir()
    return str(folder)


def _ports(settings: Settings) -> str:
    hosts = [settings.host] if settings.host is not None else ["127.0.0.1", "::1"]
    for name in ("port", "sandbox_port"):
        if problem := port_problem(hosts, getattr(settings, name)):
            raise CannotStart(f"{problem} (a running Chatwren?): stop it or set {variable(name)}.")
    return f"{settings.port} and {settings.sandbox_port} are free"


def _chromium(_: Settings) -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise CannotStart("none: `apt-get install chromium`, or your system's way to install it.")
    return found


def _go(_: Settings) -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / "tools" / "go").exists():
        raise CannotStart("this is an installed package: clone the repository to change the engine.")
    done = subprocess.run(
        [sys.executable, root / "tools" / "go", "version"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotStart(done.stderr.strip())
    return done.stdout.strip()


def _compiler(_: Settings) -> str:
    found = shutil.which("cc")
    if found is None:
        raise CannotStart("none: `apt-get install gcc`, or your system's way to install it.")
    return found
