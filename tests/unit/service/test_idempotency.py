"""What makes two requests the same, so that the second is answered as the first."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chatwren.domain.recipients import Recipient
from chatwren.domain.times import ParsedTime
from chatwren.media.prepare import PreparedFile
from chatwren.media.recognise import MediaKind
from chatwren.service.compose import NewMessage
from chatwren.service.idempotency import hash_of_message
from chatwren.variation import Modifications, Rewrite

NOON = datetime(2027, 5, 16, 12, tzinfo=UTC)
FILE = PreparedFile(Path("a"), MediaKind.DOCUMENT, "text/csv", "a.csv", 4, sha256="cd34", received_sha256="ab12")
HELLO = NewMessage("msg", Recipient("phone", "4915200001"), "hello")
OTHERWISE: dict[str, Any] = {
    "prefix": "sched",
    "recipient": Recipient("phone", "4915200002"),
    "text": "Hello",
    "due": ParsedTime(NOON, None),
    "modifications": Modifications(),
    "seed": "7",
    "fields": {},
    "media": FILE,
    "lane": "bulk",
    "expires": ParsedTime(NOON, None),
    "rewrites": (Rewrite("Hey", "llama3.2"),),
    "approve": "auto",
}
"""Each field of a message, with another value than HELLO has."""


def test_each_field_makes_another_message() -> None:
    assert OTHERWISE.keys() == {one.name for one in fields(NewMessage)}
    others = [replace(HELLO, **{name: value}) for name, value in OTHERWISE.items()]
    assert len({hash_of_message(one) for one in (HELLO, *others)}) == len(others) + 1


@pytest.mark.parametrize(
    "more",
    [
        {"due": ParsedTime(NOON + timedelta(milliseconds=1), None)},
        {"modifications": Modifications(add_emojis=True)},
        {"fields": {"name": "Bob"}},
        {"media": replace(FILE, received_sha256="ef56")},
    ],
)
def test_so_does_each_value(more: dict[str, Any]) -> None:
    one = replace(HELLO, **OTHERWISE)
    assert hash_of_message(one) != hash_of_message(replace(one, **more))


def test_how_it_is_written_does_not() -> None:
    one = replace(HELLO, **OTHERWISE)
    read_otherwise: dict[str, Any] = {
        "due": ParsedTime(NOON, "Asia/Kolkata", "scheduledTime has no time zone and was read in Asia/Kolkata."),
        "media": replace(FILE, path=Path("b"), sha256="made otherwise"),
    }
    assert hash_of_message(one) == hash_of_message(replace(one, **read_otherwise))


def test_a_key_that_an_earlier_release_stored_is_still_known() -> None:
    assert hash_of_message(HELLO).hex() == "e83e55c5db7af6ed28484c0614406a6fb395ac1d82a4d1ec27a54531b069931f"
    everything = NewMessage(
        "sched",
        Recipient("phone", "4915200001"),
        "Hello {{name}}",
        ParsedTime(NOON - timedelta(hours=2), None),
        Modifications(use_synonyms=True),
        "a seed",
        {"name": "Bob"},
        FILE,
        "urgent",
        ParsedTime(NOON + timedelta(hours=22), None),
    )
    assert hash_of_message(everything).hex() == "59bff890e5d29bcb88832f58fc97e0bc8ff7acb5339159bea90666a0318857f4"


@dataclass(frozen=True, slots=True)
class Later(NewMessage):
    """A message as a later release may have it."""

    quoted: str | None = None
    view_once: bool | None = None


def test_nor_does_a_field_that_a_later_release_adds_and_nobody_gives() -> None:
    plain = Later("msg", HELLO.recipient, "hello")
    assert hash_of_message(plain) == hash_of_message(HELLO)
    others = [replace(plain, quoted="msg_1"), replace(plain, view_once=True), replace(plain, view_once=False)]
    assert len({hash_of_message(one) for one in (plain, *others)}) == 4
