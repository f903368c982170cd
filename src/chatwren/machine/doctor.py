"""What this machine lacks to run or develop Chatwren, what is unsafe about it, and how to mend it."""

import asyncio
import contextlib
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from chatwren.machine import places, postgres, programs
from chatwren.machine.database import check_tables
from chatwren.machine.serve import port_problem, web_hosts
from chatwren.settings import CannotStart, Settings, doubts, variable

MACHINES = ("x86_64", "aarch64", "arm64")
OLDEST_GLIBC = (2, 28)
_MYSELF = places.Owner(os.geteuid(), os.getegid(), change=False)
_OTHERS_READ_OR_WRITE = stat.S_IROTH | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        found: what there is, or what is lacking and how to mend it.
        good: whether it is as it should be.
        lacks: the word for it when it is not good: LACKING, when Chatwren does not run; without, when only tests or
            developing do not; UNSAFE; CHECK, when it is probably not meant so.
    """

    what: str
    found: str
    good: bool
    lacks: Literal["LACKING", "without", "UNSAFE", "CHECK"]


def examine(settings: Settings) -> list[Finding]:
    """Look at everything. What is wrong with one thing does not hide the next."""
    checks: list[tuple[str, Callable[[Settings], str], Literal["LACKING", "without", "UNSAFE", "CHECK"]]] = [
        ("Python", _python, "LACKING"),
        ("platform", _platform, "LACKING"),
        ("engine and sandbox", _programs, "LACKING"),
        ("settings", _settings, "CHECK"),
        ("database", _database, "LACKING"),
        ("disk", _disk, "LACKING"),
        ("sockets", _sockets, "LACKING"),
        ("ports", _ports, "LACKING"),
        ("user", _user, "UNSAFE"),
        ("files of its own", _private, "UNSAFE"),
        ("Chromium (browser tests)", _chromium, "without"),
        ("Go (changing the engine)", _go, "without"),
        ("C compiler (race detector)", _compiler, "without"),
    ]
    findings = []
    for what, check, lacks in checks:
        try:
            findings.append(Finding(what, check(settings), good=True, lacks=lacks))
        except CannotStart as lacking:
            findings.append(Finding(what, lacking.message, good=False, lacks=lacks))
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


def _settings(settings: Settings) -> str:
    if found := [*doubts(settings)]:
        raise CannotStart(" ".join(found))
    return "as they can be meant"


def _programs(_: Settings) -> str:
    for program in (programs.engine(), programs.sandbox()):
        try:
            subprocess.run([program, "-h"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(f"{program} does not run ({error}): compile it here with `make setup`.") from None
    return str(programs.engine().parent)


def _database(settings: Settings) -> str:
    if settings.database_url is not None:
        return f"PostgreSQL {asyncio.run(check_tables(settings.database_url))} at DATABASE_URL"
    places.look(settings)
    return f"embedded, {places.find_programs(_MYSELF)}"


def _disk(settings: Settings) -> str:
    postgres.check_room(settings.data_dir, (settings.data_dir / "postgres").resolve())
    there = next(
        folder for folder in (settings.data_dir.resolve(), *settings.data_dir.resolve().parents) if folder.exists()
    )
    return f"{shutil.disk_usage(there).free / 1e9:.1f} GB free at {there}"


def _sockets(settings: Settings) -> str:
    folder = places.find_socket_folder(settings, places.look(settings))
    with contextlib.suppress(OSError):  # a running Chatwren's is not empty, and stays
        folder.rmdir()
    return str(folder)


def _ports(settings: Settings) -> str:
    found = []
    for name, hosts, path in (
        ("port", web_hosts(settings), "/health/live"),
        ("sandbox_port", [settings.sandbox_host], "/stats"),
    ):
        port = getattr(settings, name)
        if (problem := port_problem(hosts, port)) is None:
            found.append(f"{port} is free")
        elif _answers(hosts[0], port, path):
            found.append(f"{port} is Chatwren's own, which runs")
        else:
            raise CannotStart(f"{problem}: set {variable(name)}.")
    return ", ".join(found)


def _answers(host: str, port: int, path: str) -> bool:
    """Whether a Chatwren listens there: by what it alone answers at that path."""
    name = f"[{host}]" if ":" in host else host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - not listened on
    try:
        answer = httpx.get(f"http://{name}:{port}{path}", timeout=5, trust_env=False)
        said = answer.json()
    except (httpx.HTTPError, ValueError):
        return False
    return answer.is_success and isinstance(said, dict) and (said == {"status": "ok"} or "undecryptable" in said)


def _user(_: Settings) -> str:
    if os.geteuid() == 0:
        raise CannotStart("root: start Chatwren as a user of its own, who owns nothing but the data directory.")
    return str(os.geteuid())


def _private(settings: Settings) -> str:
    looked_at = [settings.data_dir, Path(".env"), *settings.data_dir.glob("*")]
    open_to_others = [str(path) for path in looked_at if path.exists() and path.stat().st_mode & _OTHERS_READ_OR_WRITE]
    if open_to_others:
        raise CannotStart(f"others on this machine can read or write {', '.join(open_to_others)}: chmod o-rw.")
    return f"{settings.data_dir} is closed to others"


def _chromium(_: Settings) -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise CannotStart("none: `apt-get install chromium`, or your system's way to install it.")
    return found


def _go(_: Settings) -> str:
    root = Path(__file__).resolve().parents[3]
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
