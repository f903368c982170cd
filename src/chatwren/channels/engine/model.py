"""What only the engine has, in Python's types: uploads, pairings, groups. Addresses are JIDs in their text form."""

from dataclasses import dataclass
from datetime import timedelta

from chatwren.domain.storable import Text

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
