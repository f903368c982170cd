"""What it takes to read a form of four fields: the library that splits it, that with ours, and JSON beside it.

    python bench/forms.py

Processor time of one process. A browser's form is one of plain names; .NET's has a type for each field.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import msgspec
from multipart import PushMultipartParser  # type: ignore[import-untyped]

from chatwren.web.multiparts import Parts, _Parser

ROUNDS = 9
TIMES = 4_000
FIELDS = {
    "phoneId": "+919812345678",
    "message": "Thank you for your order! It leaves today.",
    "lane": "normal",
    "scheduledTime": "2030-01-01T10:00:00Z",
}
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


def form(head: str) -> bytes:
    """A form of these fields, whose parts have that head."""
    parts = (f"--{BOUNDARY}\r\n{head.format(name)}\r\n\r\n{text}\r\n" for name, text in FIELDS.items())
    return ("".join(parts) + f"--{BOUNDARY}--\r\n").encode()


def by_library(body: bytes) -> dict[str, str]:
    """The fields as multipart has them."""
    found: dict[str, bytearray] = {}
    held = bytearray()
    with PushMultipartParser(BOUNDARY) as parser:
        for event in parser.parse(body):
            if isinstance(event, bytes | bytearray):
                held += event
            elif event is not None:
                held = found[event.name] = bytearray()
    return {name: held.decode() for name, held in found.items()}


def by_us(body: bytes) -> dict[str, list[object]]:
    """The fields as Chatwren has them."""
    parts = Parts(cast("Any", None), None, AsyncExitStack(), at_most=65_536, charset=None)
    with _Parser(BOUNDARY, header_charset="latin-1", max_header_size=8192, max_header_count=20) as parser:
        for event in parser.parse(body):
            parts.take(event)
    return parts.values


def microseconds(read: Callable[[], object]) -> float:
    """Of one reading: the median of some rounds."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            read()
        took.append(time.process_time() - began)
    return statistics.median(took) / TIMES * 1_000_000


def main() -> None:
    """Measure, and print."""
    plain = form('Content-Disposition: form-data; name="{}"')
    dotnet = form("Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name={}")
    encoded = msgspec.json.encode(FIELDS)
    assert list(by_us(plain)) == list(by_us(dotnet)) == list(by_library(plain)) == list(FIELDS)
    library, ours, theirs, json = (
        microseconds(read)
        for read in (
            lambda: by_library(plain),
            lambda: by_us(plain),
            lambda: by_us(dotnet),
            lambda: msgspec.json.decode(encoded),
        )
    )
    print(f"us a form of {len(FIELDS)} fields: {library:.1f} by multipart alone, {ours:.1f} by us, ", end="")
    print(f"{theirs:.1f} as .NET writes it; JSON {json:.1f}")


if __name__ == "__main__":
    main()
