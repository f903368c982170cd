"""What is true of an account whoever hears it: what people write, and that a message has arrived or was read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message in one of an account's chats. `media` (the engine's) is kept as it came."""

    account: UUID
    chat: str
    sender: str
    wa_id: str
    chat_phone: str | None
    sender_phone: str | None
    push_name: str | None
    from_me: bool
    is_group: bool
    at: datetime
    text: str
    media: bytes | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """WhatsApp's word that a message has arrived, or was read.

    Attributes:
        chat, chat_alt: where it was said, and that chat's other address. Elsewhere than where the message went, it is a
            stranger's who knows its id.
    """

    account: UUID
    wa_id: str
    chat: str
    chat_alt: str | None
    read: bool
    at: datetime
