"""Contacts: whom a user writes to, and who writes to them, whichever of the user's accounts it goes through."""

from dataclasses import dataclass
from uuid import UUID

from chatwren.domain.errors import NotFound
from chatwren.domain.ids import contact_public_id, parse_contact_id
from chatwren.store import identities
from chatwren.store.database import Database


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody.

    Attributes:
        id: `cnt_…`.
        phone: `+digits`; None where WhatsApp hides it.
        name: what they call themselves.
    """

    id: str
    phone: str | None
    name: str | None


async def get(db: Database, user_id: UUID, contact_id: str) -> Contact:
    """A contact of the user. One that was merged into another is that other.

    Raises:
        NotFound: the user has none of that id.
    """
    async with db.connection() as connection:
        found = await identities.get(connection, user_id, parse_contact_id(contact_id))
    if found is None:
        raise NotFound("There is no such contact.")
    return Contact(contact_public_id(found.id), f"+{found.phone}" if found.phone else None, found.name)
