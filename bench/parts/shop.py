"""A shop that sends its pictures all at once, each with a message of its own, and what somebody else notices."""

import os
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from parts.system import Person, Web

AT_ONCE = 8
"""Connections of the shop: so many files may a user send at once."""

FIELDS = {"phoneId": "+4915200000000", "message": "Hello"}
_BOUNDARY = "a-line-between-the-parts"
_LIGHT_SECONDS = 0.01
_PHOTO_SECONDS = 1.0
_ALONE_SECONDS = 5.0
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Line:
    """A connection to a web process, for one request after the other."""

    def __init__(self, web: Web, person: Person) -> None:
        self._socket = socket.create_connection(("127.0.0.1", web.port), timeout=120)
        self._cookie = person.cookie

    def light(self) -> float:
        """Ask for little; seconds until the answer."""
        return self._ask(f"GET /api/users/me HTTP/1.1\r\nhost: x\r\ncookie: {self._cookie}\r\n\r\n".encode())

    def send(self, form: Path) -> float:
        """Send a message whose whole form is a file; seconds until it is accepted."""
        head = (
            f"POST /api/messages/send HTTP/1.1\r\nhost: x\r\ncookie: {self._cookie}\r\n"
            f"content-type: multipart/form-data; boundary={_BOUNDARY}\r\ncontent-length: {form.stat().st_size}\r\n\r\n"
        )
        return self._ask(head.encode(), form)

    def _ask(self, head: bytes, form: Path | None = None) -> float:
        began = time.perf_counter()
        self._socket.sendall(head)
        if form is not None:
            with form.open("rb") as file:
                self._socket.sendfile(file)
        answer = b""
        while not (whole := answer.partition(b"\r\n\r\n"))[1] or len(whole[2]) < int(_LENGTH.findall(whole[0])[0]):
            received = self._socket.recv(65536)
            assert received, answer
            answer += received
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return time.perf_counter() - began


def write_form(path: Path, picture: bytes, name: str) -> Path:
    """A file with the whole form of a message with this picture."""
    fields = "".join(
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in FIELDS.items()
    )
    file = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="mediaFile"; filename="{name}"\r\n\r\n'
    path.write_bytes((fields + file).encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode())
    return path


@dataclass(slots=True)
class Noticed:
    """What somebody else notices: seconds of light requests, and of messages with a picture."""

    light: list[float] = field(default_factory=list)
    photos: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sent:
    """How it went. Seconds.

    Attributes:
        took: until all pictures were accepted.
        processor: that web, its decoders and what they have forked took.
        stall: the most by which web's event loop was late.
        starved: how long of that it waited for a processor, which others had.
        alone: what another noticed before.
        meanwhile: and while the pictures came.
    """

    took: float
    processor: float
    stall: float
    starved: float
    alone: Noticed
    meanwhile: Noticed


def send_all(web: Web, clock: Path, shop: Person, form: Path, *, count: int, other: Person, sends_too: bool) -> Sent:
    """Have a shop send so many pictures.

    Args:
        web: where to.
        clock: the file of its clock (clocked.py).
        shop: who sends them.
        form: of the message with the picture.
        count: pictures.
        other: who asks for little meanwhile.
        sends_too: whether the other also sends such a picture each second.
    """
    Line(web, shop).send(form)  # the first starts what decodes
    others = form if sends_too else None
    alone = _notice(web, other, others, lambda: time.sleep(_ALONE_SECONDS))
    lines = [Line(web, shop) for _ in range(AT_ONCE)]
    began, processor, took = time.monotonic(), processor_seconds(web.pid), 0.0

    left = iter(range(count))

    def some(line: Line) -> None:
        nonlocal took
        for _ in left:
            line.send(form)
        took = time.monotonic() - began

    def all_of_them() -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(some, lines))

    meanwhile = _notice(web, other, others, all_of_them)
    late = (map(float, line.split()) for line in clock.read_text().splitlines())
    stall, starved = max(((by, starved) for at, by, starved in late if at >= began), default=(0.0, 0.0))
    return Sent(took, processor_seconds(web.pid) - processor, stall, starved, alone, meanwhile)


def _notice(web: Web, other: Person, form: Path | None, work: Callable[[], None]) -> Noticed:
    """What the other notices during some work."""
    noticed, ended = Noticed(), threading.Event()

    def ask_for_little() -> None:
        line = Line(web, other)
        while not ended.wait(_LIGHT_SECONDS):
            noticed.light.append(line.light())

    def send_photos() -> None:
        line = Line(web, other)
        while form is not None and not ended.wait(_PHOTO_SECONDS):
            noticed.photos.append(line.send(form))

    threads = [threading.Thread(target=one) for one in (ask_for_little, send_photos)]
    for one in threads:
        one.start()
    try:
        work()
    finally:
        ended.set()
        for one in threads:
            one.join()
    return noticed


def processor_seconds(pid: int) -> float:
    """Of a process, of those that descend from it, and of those of theirs that have ended."""
    ticks = 0.0
    with suppress(FileNotFoundError, ProcessLookupError):
        ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                ticks += processor_seconds(int(child)) * os.sysconf("SC_CLK_TCK")
    return ticks / os.sysconf("SC_CLK_TCK")


HEAD = "seconds  CPU s  stall ms, starved  light: p50    max    p50    max  pictures: p50    max    p50    max"
"""What the figures of `shown` are."""


def shown(sent: Sent) -> str:
    """A line of figures."""
    pairs = [
        f"{statistics.median(seconds) * 1000:{wide}.{digits}f} {max(seconds) * 1000:6.0f}" if seconds else ""
        for seconds, wide, digits in (
            (sent.alone.light, 11, 1),
            (sent.meanwhile.light, 6, 1),
            (sent.alone.photos, 14, 0),
            (sent.meanwhile.photos, 6, 0),
        )
    ]
    stall = f"{sent.stall * 1000:9.0f} {sent.starved * 1000:8.0f}"
    return f"{sent.took:7.1f} {sent.processor:6.1f} {stall} {' '.join(pairs)}".rstrip()
