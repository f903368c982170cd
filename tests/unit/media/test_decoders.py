"""Decoders of strangers' files: what they may take, and what becomes of a file whose decoder dies."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from chatwren.domain.errors import ChatwrenError, Invalid, Transient, Unavailable
from chatwren.domain.ids import uuid7
from chatwren.media import confinement, decoders
from chatwren.media.decoder_wire import MAX_REPLY, Clip, Other, Picture, pack, unpack
from chatwren.media.decoders import LARGE_MEMORY, SMALL_MEMORY, Decoders
from chatwren.media.prepare import PreparedFile, prepare
from chatwren.media.recognise import MediaKind
from tests.decoding import decoders_of, decoding_for
from tests.unit.media.bombs import BOMBS, gif_of_43_bytes
from tests.waiting import until

pytestmark = pytest.mark.anyio

OWN_BYTES = 20_000_000
"""What a process has before it decodes."""
BUSY = "a PNG of 7200 x 7200 in one bit"


@pytest.fixture
async def decoding() -> AsyncIterator[Decoders]:
    made = Decoders()
    yield made
    await made.close()


async def _prepare(decoding: Decoders, path: Path, content: bytes, user: UUID | None = None) -> PreparedFile:
    await asyncio.to_thread(path.write_bytes, content)
    return await prepare(path, file_name="file", content_type=None, user=user or uuid7(), decoders=decoding)


def _forkers() -> set[int]:
    """The processes that fork those that decode."""
    return decoders_of(os.getpid()) - decoding_for(os.getpid())


@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_costs_its_own_request_alone(decoding: Decoders, tmp_path: Path, name: str) -> None:
    [outcome] = await asyncio.gather(_prepare(decoding, tmp_path / "bomb", BOMBS[name]()), return_exceptions=True)
    if isinstance(outcome, PreparedFile):
        assert (tmp_path / "bomb").stat().st_size == outcome.size
    else:
        assert isinstance(outcome, Invalid)
        assert outcome.message.startswith("mediaFile ")


async def test_all_bombs_at_once_stay_within_the_memory(decoding: Decoders, tmp_path: Path) -> None:
    """And the event loop stays free."""
    bombs = [(tmp_path / str(number), make()) for number, make in enumerate(BOMBS.values())]
    most, longest, ended = 0, 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.01):
            most = max(most, sum(map(_memory, decoders_of(os.getpid()))))

    watching = threading.Thread(target=watch)
    watching.start()
    work = asyncio.gather(*(_prepare(decoding, *bomb) for bomb in bombs), return_exceptions=True)
    while not work.done():
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        longest = max(longest, time.perf_counter() - began)
    ended.set()
    watching.join()
    outcomes = await work
    assert not [one for one in outcomes if not isinstance(one, ChatwrenError | PreparedFile)]
    assert not [one for one in outcomes if isinstance(one, Transient)]
    assert LARGE_MEMORY / 2 < most < LARGE_MEMORY + SMALL_MEMORY + 3 * OWN_BYTES
    assert longest < 1


def _memory(pid: int) -> int:
    """Bytes that belong to a process alone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def _busy() -> set[int]:
    """Processes that decode what takes long: those that have computed for a tenth of a second."""
    found = set()
    for pid in decoding_for(os.getpid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
            if int(ticks) >= os.sysconf("SC_CLK_TCK") / 10:
                found.add(pid)
    return found


async def _another(than: set[int]) -> int:
    """The id of a busy process, other than those."""
    found: set[int] = set()

    def there() -> bool:
        found.update(_busy() - than)
        return bool(found)

    await until(there)
    return found.pop()


async def test_a_file_whose_decoder_is_killed_is_decoded_anew(decoding: Decoders, tmp_path: Path) -> None:
    beside = asyncio.create_task(_prepare(decoding, tmp_path / "beside", BOMBS[BUSY]()))
    other = await _another(set())
    work = asyncio.create_task(_prepare(decoding, tmp_path / "work", BOMBS[BUSY]()))
    os.kill(await _another({other}), signal.SIGKILL)
    assert [file.kind for file in await asyncio.gather(beside, work)] == [MediaKind.IMAGE] * 2


async def test_two_files_of_a_user_are_decoded_at_once_until_others_come(decoding: Decoders, tmp_path: Path) -> None:
    alice = uuid7()
    files = [tmp_path / str(number) for number in range(2)]
    works = [asyncio.create_task(_prepare(decoding, file, BOMBS[BUSY](), alice)) for file in files]
    first = await _another(set())
    second = await _another({first})
    bobs = await _prepare(decoding, tmp_path / "bob", BOMBS[BUSY]())
    assert not {first, second} <= decoding_for(os.getpid())
    assert [file.kind for file in (bobs, *await asyncio.gather(*works))] == [MediaKind.IMAGE] * 3


async def test_a_file_whose_decoders_are_killed_is_to_come_again(decoding: Decoders, tmp_path: Path) -> None:
    work = asyncio.create_task(_prepare(decoding, tmp_path / "work", BOMBS[BUSY]()))
    first = await _another(set())
    os.kill(first, signal.SIGKILL)
    await _another({first})
    for forker in _forkers():  # what they have forked goes with them
        os.kill(forker, signal.SIGKILL)
    with pytest.raises(Unavailable) as refused:
        await work
    assert refused.value.retry_after > 0
    await until(lambda: not decoding_for(os.getpid()))
    assert (await _prepare(decoding, tmp_path / "work", BOMBS[BUSY]())).kind is MediaKind.IMAGE


async def test_who_leaves_ends_the_work(decoding: Decoders, tmp_path: Path) -> None:
    work = asyncio.create_task(_prepare(decoding, tmp_path / "work", BOMBS[BUSY]()))
    decoder = await _another(set())
    forkers = _forkers()
    work.cancel()
    await until(lambda: decoder not in decoding_for(os.getpid()))
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await _prepare(decoding, tmp_path / "next", BOMBS[BUSY]())).kind is MediaKind.IMAGE
    assert _forkers() == forkers


async def test_one_that_takes_too_long_is_killed(
    decoding: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "_WALL_SECONDS", 0.3)
    slow = await _prepare(decoding, tmp_path / "slow", BOMBS[BUSY]())
    assert slow.kind is MediaKind.DOCUMENT
    assert "too long to decode" in slow.warnings[0]
    await until(lambda: not decoding_for(os.getpid()))
    monkeypatch.undo()
    assert (await _prepare(decoding, tmp_path / "next", BOMBS[BUSY]())).kind is MediaKind.IMAGE


async def test_a_decoder_that_does_not_start(
    decoding: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable):
        await _prepare(decoding, tmp_path / "work", gif_of_43_bytes())


def _environment(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {line.partition(b"=")[0].decode() for line in lines if line}


async def test_decoders_know_no_secrets_and_end_with_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    decoding = Decoders()
    with pytest.raises(Invalid):
        await _prepare(decoding, tmp_path / "work", gif_of_43_bytes())
    forker = next(iter(_forkers()))
    assert _environment(forker) <= {"HOME", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE"}
    assert os.getpriority(os.PRIO_PROCESS, forker) > os.getpriority(os.PRIO_PROCESS, 0)
    await decoding.close()
    assert not _forkers()


def _confined(work: Callable[[], object]) -> int:
    """How a confined process ends that does some work: 0 if that is possible."""
    child = os.fork()
    if child == 0:
        try:
            confinement.confine(memory=50_000_000, seconds=1)
            work()
        except MemoryError:
            os._exit(errno.ENOMEM)
        except OSError as error:
            os._exit(error.errno or 1)
        except BaseException:  # noqa: BLE001 - it must not return into the test
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _compute() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "end"),
    [
        (lambda: bytes(10_000_000), 0),
        (lambda: bytes(200_000_000), errno.ENOMEM),
        (lambda: open("/etc/hostname"), errno.EPERM),  # noqa: SIM115, PTH123
        (lambda: os.open("/tmp/x", os.O_CREAT | os.O_WRONLY), errno.EPERM),  # noqa: S108
        (socket.socket, errno.EPERM),
        (os.fork, errno.EPERM),
        (lambda: os.execv("/bin/true", ["true"]), errno.EPERM),  # noqa: S606
        (lambda: os.kill(os.getppid(), signal.SIGTERM), errno.EPERM),
        (lambda: resource.setrlimit(resource.RLIMIT_CPU, (99, 99)), errno.EPERM),
        (lambda: os.setresuid(0, 0, 0), errno.EPERM),
        (_compute, -signal.SIGXCPU),
    ],
)
def test_what_is_confined_can_compute_a_while_and_nothing_else(work: Callable[[], object], end: int) -> None:
    assert _confined(work) == end


def test_a_machine_whose_system_calls_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not confinement.restrict_system_calls()


JPEG = b"\xff\xd8\xff" + bytes(20)


@pytest.mark.parametrize(
    "outcome", [Picture(10, 10, 0, len(JPEG)), Clip(playable=True, has_picture=False, seconds=3), Other("animation")]
)
def test_a_reply_travels(outcome: Picture | Clip | Other) -> None:
    assert unpack(pack(outcome, b"", JPEG if isinstance(outcome, Picture) else b"")).outcome == outcome


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\0\0\0\2{}",
        bytes(100),
        b"\xff" * 100,
        b"\0\0\0\4null",
        pack(Other("nonsense")),  # type: ignore[arg-type]
        pack(Picture(0, 10, 0, len(JPEG)), b"", JPEG),
        pack(Picture(5_000, 10, 0, len(JPEG)), b"", JPEG),
        pack(Picture(10, 10, -1, len(JPEG)), b"", JPEG),
        pack(Picture(10, 10, MAX_REPLY, len(JPEG)), b"", JPEG),
        pack(Picture(10, 10, 0, len(JPEG)), b"", JPEG + b"more"),
        pack(Picture(10, 10, 0, len(JPEG)), b"", b"<script>" + JPEG[8:]),
        pack(Picture(10, 10, 9, len(JPEG)), b"<script>x", JPEG),
        pack(Picture(10, 10, len(JPEG), len(JPEG)), JPEG, b""),
        pack(Picture(True, 10, 0, len(JPEG)), b"", JPEG),
        pack(Clip(playable=True, seconds=-1)),
        pack(Clip(playable=True, width=1 << 40)),
        pack(Clip(playable="yes")),  # type: ignore[arg-type]
    ],
)
def test_a_reply_that_cannot_be_one_is_refused(reply: bytes) -> None:
    with pytest.raises((ValueError, msgspec.DecodeError)):
        unpack(reply)
