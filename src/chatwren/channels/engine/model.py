"""What passes between the worker and its engine, in Python's types. Addresses are JIDs in their text form."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from uuid import UUID

from chatwren.domain.storable import Text

# --- what becomes of a send ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp's server has acknowledged it."""


class NotSentReason(Enum):
    """Why a message never left."""

    NOT_CONNECTED = "not_connected"
    NOT_OPEN = "not_open"
    FENCED = "fenced"
    LOCAL = "local"  # about this message: its recipient's devices, or its file, could not be had


@dataclass(frozen=True, slots=True)
class NotSent:
    """It certainly is not out."""

    reason: NotSentReason
    detail: Text = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may be out."""

    detail: Text = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """WhatsApp refused it, with this number."""

    code: int
    detail: Text = ""


@dataclass(frozen=True, slots=True)
class NotOnWhatsApp:
    """The recipient's number is not registered."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """It can never be sent as it is."""

    detail: Text = ""


SendResult = Sent | NotSent | Unknown | Rejected | NotOnWhatsApp | Invalid


# --- media --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Media:
    """A file that was uploaded.

    Attributes:
        handle: what `Engine.upload` returned.
        file_name: documents.
        width, height: pixels.
        seconds: how long it plays.
        thumbnail: JPEG.
    """

    handle: bytes
    mimetype: str
    file_name: str = ""
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    thumbnail: bytes | None = None


# --- pairing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Codes:
    """The QR codes of a pairing in the order of their use, each with how long it is the current one."""

    codes: tuple[tuple[Text, timedelta], ...]


@dataclass(frozen=True, slots=True)
class TypedCode:
    """A code to be typed on the phone."""

    text: str
    valid_for: timedelta


@dataclass(frozen=True, slots=True)
class PasskeyWanted:
    """WhatsApp asks for a passkey."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """May the engine save this device? It waits for `Pairing.confirm`."""

    jid: str


@dataclass(frozen=True, slots=True)
class Success:
    """The device is linked."""

    jid: str
    lid: str


@dataclass(frozen=True, slots=True)
class PairingFailed:
    """The pairing ended. `code` is stable: timeout, refused, outdated, protocol, disconnected."""

    code: str
    detail: Text


PairEvent = Codes | TypedCode | PasskeyWanted | Confirm | Success | PairingFailed


# --- groups and numbers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """A group that the account is in. `phones`: digits of those members whose number is shown; `size` counts all."""

    jid: str
    name: str
    phones: tuple[str, ...]
    size: int


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message in one of the account's chats. `media` and `raw` are protobufs, to be kept as they are."""

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
    raw: bytes


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """Messages of this account have arrived, or were read."""

    ids: tuple[str, ...]
    read: bool
    at: datetime


class Connection(StrEnum):
    """What became of an account's connection."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # the engine reconnects
    REPLACED = "replaced"
    OUTDATED = "outdated"
    BANNED = "banned"
    LOGGED_OUT = "logged_out"
    CONNECT_FAILURE = "connect_failure"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The state of an account's connection.

    Attributes:
        code: WhatsApp's, with banned, logged_out and connect_failure; else 0.
        until: when a ban ends; None where unknown.
        push_name: the account's own name, with connected.
    """

    kind: Connection
    code: int
    until: datetime | None
    detail: Text
    push_name: str | None


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


Happened = MessageReceived | ReceiptReceived | ConnectionChanged | GroupsChanged | NameChanged | Other | Unreadable


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an account.

    Attributes:
        kind: what it is, or would be if it could be read: the name of a field of the engine's Event.
        needs_ack: it is repeated until it is acknowledged as stored.
        raw: all of it as the engine sent it.
    """

    seq: int
    account: UUID
    kind: str
    needs_ack: bool
    what: Happened
    raw: bytes
