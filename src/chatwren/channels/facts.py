"""What a channel hears of accounts, in words that are no channel's own. All of it can be stored.

A message and a receipt are true whoever hears them; a state of an account was true at its moment.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from chatwren.domain.storable import Text

UNTOLD = timedelta(hours=1)
"""How long a restriction is taken to last of which is not said how long."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message in one of the account's chats. `media` is the channel's, to be kept as it is."""

    id: str
    chat: str
    chat_phone: str | None
    sender: str
    sender_phone: str | None
    push_name: str | None
    from_me: bool
    group: bool
    at: datetime
    text: Text
    media: bytes | None


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """Messages of this account have arrived, or were read: so it is said in a chat, by whoever is in it.

    Attributes:
        chat_alt: the chat's other address, where it has one that is known.
        holds_up: the account hears of nothing else until this is acknowledged.
    """

    ids: tuple[str, ...]
    chat: str
    chat_alt: str | None
    read: bool
    at: datetime
    holds_up: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The account may send. `name`: its own, where it was told."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Offline:
    """The account's connection is down.

    Attributes:
        reason: a stable code.
        again_after: how long to wait before it is opened again; None: it comes back by itself.
        code, detail: what WhatsApp said, for the log.
    """

    reason: str
    again_after: timedelta | None
    code: int
    detail: Text


@dataclass(frozen=True, slots=True)
class Restricted:
    """WhatsApp has banned the account for a time. `until`: None where it is not told."""

    code: int
    until: datetime | None
    detail: Text


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The account is no longer linked.

    Attributes:
        status: what it is now: logged_out or banned.
        reason: a stable code of why.
        code, detail: what WhatsApp said, for the log.
    """

    status: str
    reason: str
    code: int
    detail: Text


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """The list of groups, or the members of one, changed."""


@dataclass(frozen=True, slots=True)
class NameChanged:
    """The account's own name, as its contacts see it."""

    name: str


@dataclass(frozen=True, slots=True)
class Other:
    """Something that is only logged."""

    what: Text


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that could not be read as what it is. `reason`: why not, for the operator."""

    reason: Text


State = Connected | Offline | Restricted | Unlinked
Happened = MessageReceived | ReceiptReceived | State | GroupsChanged | NameChanged | Other | Unreadable


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an account.

    Attributes:
        seq: the number by which it is acknowledged.
        kind: what it is, or would be if it could be read, as the channel names it.
        needs_ack: it is repeated until it is acknowledged as stored.
        raw: all of it as it came.
    """

    seq: int
    account: UUID
    kind: str
    needs_ack: bool
    what: Happened
    raw: bytes


class Events(Protocol):
    """What happens to all accounts, and the acks."""

    def __aiter__(self) -> AsyncIterator[Event]:
        """Events as they come; raises ChannelError when the stream ends."""

    async def ack(self, events: Iterable[Event]) -> None:
        """Say that these are on disk. Not to be called twice at a time."""


class Source(Protocol):
    """Where events come from."""

    def events(self) -> AbstractAsyncContextManager[Events]:
        """The one stream of events; it begins with all that awaits an ack."""
