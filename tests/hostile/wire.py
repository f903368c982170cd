"""WhatsApp's messages as bytes, with values in them that no library would put there."""

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Value = bytes | int | float

TEXTS = (b"\xff", b"a\0b", b"h" * 100_000, b"\xed\xa0\x80", b"\n{}\x1b[2J\xe2\x80\xae")
"""No UTF-8, NUL, 100 kB, half of a surrogate pair, what drives a terminal."""
NUMBERS = (0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)
FLOATS = (float("nan"), float("inf"), -1e308)

WRAPPERS = {"viewOnce": 37, "ephemeral": 40, "documentWithCaption": 53, "viewOnceV2": 55, "edited": 58}
KINDS: dict[str, tuple[int, dict[int, Value]]] = {
    "image": (3, {1: b"https://x", 2: b"image/jpeg", 3: b"caption", 4: b"s" * 32, 5: 9, 6: 9, 7: 9, 8: b"k" * 32,
                  9: b"e" * 32, 11: b"/p", 12: 9, 16: b"jpeg"}),
    "contact": (4, {1: b"Bob", 16: b"BEGIN:VCARD"}),
    "location": (5, {1: 1.0, 2: 2.0, 3: b"name", 4: b"address", 5: b"https://x", 11: b"comment", 16: b"jpeg"}),
    "extendedText": (6, {1: b"text", 2: b"https://x", 5: b"description", 6: b"title", 16: b"jpeg", 22: b"k"}),
    "document": (7, {1: b"https://x", 2: b"text/plain", 3: b"title", 4: b"s", 5: 9, 6: 9, 7: b"k", 8: b"a.txt", 9: b"e",
                     10: b"/p", 11: 9, 16: b"jpeg", 20: b"caption"}),
    "audio": (8, {1: b"https://x", 2: b"audio/ogg", 3: b"s", 4: 9, 5: 9, 7: b"k", 8: b"e", 9: b"/p", 10: 9}),
    "video": (9, {1: b"https://x", 2: b"video/mp4", 4: 9, 5: 9, 6: b"k", 7: b"caption", 9: 9, 10: 9, 13: b"/p",
                  16: b"jpeg"}),
    "contacts": (13, {1: b"both"}),
    "liveLocation": (18, {1: 1.0, 2: 2.0, 6: b"caption", 7: 9}),
    "sticker": (26, {1: b"https://x", 5: b"image/webp", 6: 9, 7: 9, 8: b"/p", 9: 9}),
    "templateReply": (29, {1: b"id", 2: b"shown", 4: 9}),
    "list": (36, {1: b"title", 2: b"description", 3: b"button", 7: b"footer"}),
    "listResponse": (39, {1: b"title", 5: b"description"}),
    "buttonsResponse": (43, {1: b"id", 2: b"shown"}),
    "reaction": (46, {2: b"+", 3: b"key", 4: 9}),
    "poll": (49, {1: b"key", 2: b"name", 4: 9}),
}  # fmt: skip
"""The kinds of message that an engine reads: the number of each, and its texts, bytes and numbers in order."""


def varint(number: int) -> bytes:
    """A number, as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: Value) -> bytes:
    """One field: bytes are a text, bytes or a message."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(value)


def fields(values: dict[int, Value]) -> bytes:
    """Several fields."""
    return b"".join(field(number, value) for number, value in values.items())


def text(value: bytes) -> bytes:
    """A plain text."""
    return field(1, value)


def one_by_one() -> Iterator[tuple[str, list[bytes]]]:
    """Each field of each kind of message, with messages that are in order but for a hostile value there."""
    yield "text", [text(value) for value in TEXTS]
    for kind, (number, sane) in KINDS.items():
        for at, value in sane.items():
            hostile: Sequence[Value] = NUMBERS
            if isinstance(value, bytes):
                hostile = TEXTS
            elif isinstance(value, float):
                hostile = FLOATS
            yield f"{kind}.{at}", [field(number, fields(sane | {at: one})) for one in hostile]
    for wrapper, number in WRAPPERS.items():
        yield wrapper, [field(number, field(1, text(value))) for value in TEXTS]


def fuzzed(chance: random.Random) -> bytes:
    """A message with damaged fields, damaged bytes, both, or noise."""
    if chance.random() < 1 / 8:
        return chance.randbytes(chance.randrange(400))
    number, sane = chance.choice(list(KINDS.values()))
    values = {at: _damaged(chance, value) for at, value in sane.items() if chance.random() < 0.8}
    made = chance.choice([field(number, fields(values)), text(chance.choice(TEXTS)), field(number, fields(sane))])
    for _ in range(chance.randrange(3)):
        made = field(chance.choice(list(WRAPPERS.values())), field(1, made))
    return chance.choice(_DAMAGES)(chance, made)


def _damaged(chance: random.Random, value: Any) -> Value:
    if chance.random() < 2 / 3:
        return value  # type: ignore[no-any-return]
    if isinstance(value, bytes):
        return chance.choice(TEXTS)[:5000]
    return chance.choice(FLOATS if isinstance(value, float) else NUMBERS)


def _flipped(chance: random.Random, made: bytes) -> bytes:
    at = chance.randrange(len(made))
    return made[:at] + bytes([made[at] ^ 1 << chance.randrange(8)]) + made[at + 1 :]


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    lambda _, made: made,
    lambda chance, made: made[: chance.randrange(len(made))],
    lambda chance, made: made + made[chance.randrange(len(made)) :],
    _flipped,
)
