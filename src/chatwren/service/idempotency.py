"""Idempotency-Key: a request that is repeated is answered as before, and nothing is done twice."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import msgspec

from chatwren.domain.clock import to_wire
from chatwren.domain.errors import Conflict, Invalid, Unavailable
from chatwren.domain.recipients import Recipient
from chatwren.domain.text import MAX_SHORT
from chatwren.domain.times import ParsedTime
from chatwren.media.prepare import PreparedFile
from chatwren.service.bulk_list import ListOptions
from chatwren.service.compose import NewMessage
from chatwren.store import idempotency
from chatwren.store.database import Connection, Database

_HEADER = "Idempotency-Key"
_FIRST_FIELDS = 10
"""A message's fields that the first release hashed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A user's Idempotency-Key.

    Attributes:
        value: as the client made it up.
        kind: what it was given with. An answer is read only by what wrote it.
        asked: hash of that.
        asked_before: the hash that the release before stored, which named no kind; None: the same.
    """

    user_id: UUID
    value: str
    kind: Literal["message", "bulk"]
    asked: bytes
    asked_before: bytes | None = None


class KeyTakenError(Exception):
    """Another request with the same key was quicker; this one's transaction is undone."""

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key


def parse_key(value: str | None) -> str | None:
    """The key of a request's header; None when absent.

    Raises:
        Invalid: it is not at most 200 printable ASCII characters.
    """
    key = (value or "").strip()
    if len(key) > MAX_SHORT or not (key.isascii() and key.isprintable()):
        raise Invalid(f"{_HEADER} must be at most {MAX_SHORT} ASCII characters.", field=_HEADER)
    return key or None


def hash_of_message(new: NewMessage) -> bytes:
    """What two messages share that ask for the same, however they are written and whenever.

    Each field counts. Keys live on while a release takes the place of another, so the bytes stay as they were: a field
    that is new goes last, and its default, None, leaves no trace.
    """
    parts = [_asked(getattr(new, one.name)) for one in fields(new)]
    while len(parts) > _FIRST_FIELDS and parts[-1] is None:
        parts.pop()
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def _asked(value: object) -> object:
    """A field's value without what is the same to the user."""
    match value:
        case Recipient():
            return value.display
        case ParsedTime():
            return to_wire(value.at)
        case PreparedFile():
            return value.received_sha256
        case _:
            return value


def key_of_bulk(user_id: UUID, value: str, form: str, options: ListOptions, path: Path) -> Key:
    """The key of a bulk, which is the same as another if its file is, read in the same form and by the same options.

    The file is hashed once more with that, as a file may be what a message is hashed as, byte for byte.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    parts: list[object] = ["bulk", form, digest.hexdigest()]
    if options != ListOptions():
        parts.append(options)
    asked = hashlib.sha256(msgspec.json.encode(parts)).digest()
    return Key(user_id, value, "bulk", asked, asked_before=digest.digest())


async def take_key(connection: Connection, key: Key, answer: dict[str, Any]) -> None:
    """Remember the answer of a request under its key, in its transaction.

    Raises:
        KeyTakenError: another request with that key was quicker.
    """
    stored = {"kind": key.kind, **answer}
    if not await idempotency.remember_answer(connection, key.user_id, key.value, key.asked, stored):
        raise KeyTakenError(key)


async def answer_earlier(connection: Connection, key: Key) -> dict[str, Any] | None:
    """What the same request was answered under this key; None if the key is new.

    Raises:
        Conflict: the key was used for another request (`idempotency_mismatch`).
    """
    found = await idempotency.answered(connection, key.user_id, key.value)
    if found is None:
        return None
    asked, answer = found
    if not _is_of(key, asked, answer):
        raise Conflict(
            "This Idempotency-Key was used for another request in the last 24 hours. Use a new key.",
            code="idempotency_mismatch",
        )
    return answer


def _is_of(key: Key, asked: bytes, answer: dict[str, Any]) -> bool:
    """Whether this was stored by the same request."""
    if "kind" in answer:
        return (answer["kind"], asked) == (key.kind, key.asked)
    kind = "bulk" if "rows" in answer else "message"  # of the release before
    return (kind, asked) == (key.kind, key.asked_before or key.asked)


async def winners_answer(db: Database, key: Key) -> dict[str, Any]:
    """What the request was answered that took the key before this one, after a KeyTakenError.

    Raises:
        Conflict: it was another request (`idempotency_mismatch`).
        Unavailable: its answer is not there.
    """
    async with db.connection() as connection:
        answer = await answer_earlier(connection, key)
    if answer is None:
        raise Unavailable("The same request is being answered elsewhere. Ask again.", retry_after=1)
    return answer
