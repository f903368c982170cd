"""Each field of the engine's messages with what a stranger could put there: from the schema, so that none is missed."""

import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_RANDOM = random.Random(7)  # noqa: S311 - so that nothing is compressed
LONG_ID = "".join(chr(_RANDOM.randrange(0x10000, 0x2FFFE)) for _ in range(3000))

STRINGS = ("\0", "a\0c", "a" * 100_000, LONG_ID, "\x1b[2J\u202e\ufffe\U0010ffff", "'); DROP TABLE inbound; --", " ")
BYTES = (b"", b"\0\xff" * 50_000)
FLOATS = (float("nan"), float("inf"), -1e308)
INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1, -1, 0),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1, -1, 0, 99_999_999_999_999_000),
    FieldDescriptor.TYPE_UINT32: (2**32 - 1, 0),
    FieldDescriptor.TYPE_UINT64: (2**64 - 1, 0),
}
NO_UTF8 = b"\xed\xa0\x80"
"""Half of a surrogate pair."""


def values(field: FieldDescriptor) -> tuple[Any, ...]:
    """What a stranger could put into a field."""
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return STRINGS
        case FieldDescriptor.TYPE_BYTES:
            return BYTES
        case FieldDescriptor.TYPE_BOOL:
            return (True, False)
        case FieldDescriptor.TYPE_ENUM:
            return (0, 9999, -1)
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return FLOATS
    return INTEGERS[field.type]


def messages(of: Descriptor) -> Iterator[tuple[str, Message]]:
    """Messages of this kind, each with one hostile value, and all else filled plainly. With the path of that field."""
    for field in of.fields:
        if field.message_type is None:
            for value in values(field):
                yield field.name, _with(of, field, [value] * 3 if field.is_repeated else value)
        else:
            for path, inner in messages(field.message_type):
                yield f"{field.name}.{path}", _with(of, field, [inner, inner] if field.is_repeated else inner)


def not_utf8(of: Descriptor) -> Iterator[tuple[str, bytes]]:
    """Messages of this kind as bytes, each with one text that is no UTF-8."""
    for path, message in messages(of):
        plain = message.SerializeToString()
        if b"a\0c" in plain:  # as long as what stands in its place
            yield path, plain.replace(b"a\0c", NO_UTF8)


def _with(of: Descriptor, field: FieldDescriptor, value: Any) -> Message:
    message = _plain(of, but=field)
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
    return message


def _plain(of: Descriptor, but: FieldDescriptor | None = None) -> Message:
    message = GetMessageClass(of)()
    for field in of.fields:
        if field is but or field.is_repeated or (field.containing_oneof is not None):
            continue
        if field.message_type is not None:
            getattr(message, field.name).CopyFrom(_plain(field.message_type))
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, field.name)
        else:
            setattr(message, field.name, 1 if field.type != FieldDescriptor.TYPE_BYTES else b"x")
    return message
