"""What every channel has to do, whatever it is: each has a test class that inherits from these, and a `side` for it.

The worker is the real one, on a real PostgreSQL. What differs is how a test speaks for WhatsApp: that is a `Side`.
"""

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import pytest

from tests.waiting import until

RESENDS = 1
"""What the worker is set to (CHATWREN_MAX_RESENDS), with a short CHATWREN_SEND_TIMEOUT_SECONDS, and no pacing."""
_PATIENCE = 60.0

FILE = b"a text, in a file"


class Answer(Enum):
    """What WhatsApp makes of a message, once for each that is tried. Where it is told none, it takes them."""

    UNHEARD = "it is out, and no answer comes"
    NOT_NOW = "it cannot even be asked"
    RECIPIENT = "this recipient is refused"
    FILE = "this file is refused"
    FORM = "it can never be sent so"
    ACCOUNT = "this account is refused for a time"
    NEW_CONTACTS = "new contacts are refused to this account for a time"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as WhatsApp got it, under the id by which its receipts name it, with the SHA-256 of its file in hex."""

    id: str
    text: str
    file: str | None


class Side(Protocol):
    """Alice's and Bob's linked accounts, a worker that owns them, and what lies beyond the channel.

    Attributes:
        resend_is_safe: as the channel declares it.
    """

    resend_is_safe: bool

    async def accept(
        self, text: str, *, stranger: bool = True, file: bytes | None = None, whose: str = "alice"
    ) -> UUID:
        """Put a message into the queue, to a number that nobody has written to, or to one that Alice knows."""

    def answer(self, *answers: Answer) -> Awaitable[None]:
        """What WhatsApp makes of Alice's next messages."""

    async def arrived(self) -> list[Arrived]:
        """What WhatsApp got from Alice, in that order; again what came again."""

    async def receipt(self, message_id: str, *, read: bool, by_stranger: bool = False) -> None:
        """WhatsApp tells Alice's account that a message has arrived, or was read: as its recipient says, or another."""

    async def write(self, text: str, *, file: bytes | None = None) -> None:
        """Somebody writes to Alice."""

    async def cut(self) -> None:
        """Alice's connection is lost, and does not come back."""

    async def mend(self) -> None:
        """It comes back."""

    async def message(self, message: UUID) -> asyncpg.Record:
        """A message's row."""

    async def account(self) -> asyncpg.Record:
        """The row of Alice's account."""

    async def inbound(self) -> list[asyncpg.Record]:
        """What was written to Alice, as it is stored."""


async def ends(side: Side, message: UUID, status: str) -> asyncpg.Record:
    """The message's row, once it is so. It may have been anything else before."""

    async def so() -> asyncpg.Record | None:
        row = await side.message(message)
        return row if row["status"] == status else None

    row = await until(so, seconds=_PATIENCE)
    assert row is not None
    return row


async def texts(side: Side) -> list[str]:
    """What WhatsApp got from Alice."""
    return [one.text for one in await side.arrived()]


@pytest.mark.anyio
class Sends:
    """Messages go out, and what becomes of them is what WhatsApp says."""

    async def test_what_is_accepted_is_sent_under_its_id(self, side: Side) -> None:
        message = await side.accept("hello")
        row = await ends(side, message, "sent")
        (arrived,) = await side.arrived()
        assert (arrived.text, arrived.id) == ("hello", row["wa_id"])
        assert row["attempts"] == 1

    async def test_a_file_goes_with_its_text(self, side: Side) -> None:
        await ends(side, await side.accept("look", file=FILE), "sent")
        (arrived,) = await side.arrived()
        assert (arrived.text, arrived.file) == ("look", hashlib.sha256(FILE).hexdigest())

    async def test_receipts_tell_that_it_has_arrived_and_was_read(self, side: Side) -> None:
        message = await side.accept("hello")
        await ends(side, message, "sent")
        (arrived,) = await side.arrived()
        for read, column in ((False, "delivered_at"), (True, "read_at")):
            assert (await side.message(message))[column] is None
            await side.receipt(arrived.id, read=read)
            await until(partial(_has, side, message, column), seconds=_PATIENCE)

    async def test_only_its_recipient_can_say_that_it_has_arrived(self, side: Side) -> None:
        message = await side.accept("hello")
        await ends(side, message, "sent")
        (arrived,) = await side.arrived()
        await side.receipt(arrived.id, read=True, by_stranger=True)
        await side.receipt(arrived.id, read=False)
        await until(partial(_has, side, message, "delivered_at"), seconds=_PATIENCE)
        assert (await side.message(message))["read_at"] is None

    async def test_an_unknown_outcome_is_never_hidden_and_a_late_status_settles_it(self, side: Side) -> None:
        tries = 1 + RESENDS if side.resend_is_safe else 1
        await side.answer(*[Answer.UNHEARD] * tries)
        message, after = await side.accept("is it out?"), await side.accept("the next")
        failed = await ends(side, message, "failed")
        assert (failed["error_code"], failed["attempts"]) == ("outcome_unknown", tries)
        await ends(side, after, "sent")
        arrived = await side.arrived()
        assert [one.text for one in arrived] == ["is it out?"] * tries + ["the next"]
        assert len({one.id for one in arrived}) == 2, "a re-send has another id"
        await side.receipt(arrived[0].id, read=False)
        assert (await ends(side, message, "sent"))["error_code"] is None

    async def test_a_refused_recipient_is_the_last_word_on_that_message_alone(self, side: Side) -> None:
        await side.answer(Answer.RECIPIENT)
        message, after = await side.accept("to you?"), await side.accept("the next")
        row = await ends(side, message, "failed")
        assert row["error_code"] != "outcome_unknown"
        assert row["error_params"] is not None
        await ends(side, after, "sent")

    async def test_a_refused_account_keeps_its_messages_and_costs_nobody_else(self, side: Side) -> None:
        await side.answer(Answer.ACCOUNT)
        message, after = await side.accept("too fast"), await side.accept("the next")
        await until(lambda: _restricted(side), seconds=_PATIENCE)
        await ends(side, await side.accept("his", whose="bob"), "sent")
        assert [(await side.message(one))["status"] for one in (message, after)] == ["waiting", "waiting"]
        assert await texts(side) == []

    async def test_refused_new_contacts_wait_and_others_go_on(self, side: Side) -> None:
        await ends(side, await side.accept("to a friend", stranger=False), "sent")
        await side.answer(Answer.NEW_CONTACTS)
        message = await side.accept("to a stranger")
        await until(lambda: _refuses_strangers(side), seconds=_PATIENCE)
        other = await side.accept("to another")
        await ends(side, await side.accept("to the friend again", stranger=False), "sent")
        assert (await ends(side, message, "waiting"))["attempts"] == 1
        assert (await side.message(other))["attempts"] == 0
        assert await texts(side) == ["to a friend", "to the friend again"]


@pytest.mark.anyio
class Prepares:
    """What is to be done before the message itself: where the recipient is, where the file lies."""

    @pytest.mark.parametrize(("answer", "code"), [(Answer.FILE, "media_refused"), (Answer.FORM, "unsendable")])
    async def test_what_can_never_be_sent_says_why(self, side: Side, answer: Answer, code: str) -> None:
        await side.answer(answer)
        message = await side.accept("look", file=FILE if answer is Answer.FILE else None)
        assert (await ends(side, message, "failed"))["error_code"] == code
        await ends(side, await side.accept("the next"), "sent")
        assert await texts(side) == ["the next"]

    async def test_what_never_left_goes_later(self, side: Side) -> None:
        await side.answer(Answer.NOT_NOW)
        message, after = await side.accept("later"), await side.accept("the next")
        await ends(side, after, "sent")
        assert (await ends(side, message, "sent"))["attempts"] == 2
        assert await texts(side) == ["the next", "later"]


@pytest.mark.anyio
class Hears:
    """What is written to the account is stored."""

    @pytest.mark.parametrize("file", [None, FILE], ids=["a text", "a file"])
    async def test_what_is_written_to_the_account_is_stored(self, side: Side, file: bytes | None) -> None:
        await side.write("are you there?", file=file)
        (row,) = await until(side.inbound, seconds=_PATIENCE)
        assert (row["text"], row["from_me"], row["is_group"]) == ("are you there?", False, False)
        assert (row["media"] is not None) == (file is not None)


@pytest.mark.anyio
class Connects:
    """The channel owns connections."""

    async def test_what_is_accepted_while_it_is_offline_goes_when_it_is_back(self, side: Side) -> None:
        await side.cut()
        await until(lambda: _is_connected(side, so=False), seconds=_PATIENCE)
        message = await side.accept("wait for me")
        await ends(side, await side.accept("his", whose="bob"), "sent")
        assert (await side.message(message))["attempts"] == 0
        await side.mend()
        await ends(side, message, "sent")
        assert await texts(side) == ["wait for me"]


async def _has(side: Side, message: UUID, column: str) -> Any:
    return (await side.message(message))[column]


async def _restricted(side: Side) -> Any:
    return (await side.account())["restricted_until"]


async def _refuses_strangers(side: Side) -> Any:
    return (await side.account())["cold_until"]


async def _is_connected(side: Side, *, so: bool) -> bool:
    return (await side.account())["connected"] is so
