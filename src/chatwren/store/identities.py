"""Who somebody is to a user, whatever address they write from. What an account knows of an address: contacts.py.

Whoever is written to or writes has a contact, and addresses of which WhatsApp says that they are one person's have one
together. Triggers on the tables that name addresses see to it, so nothing here has to be called for it.
"""

from dataclasses import dataclass
from uuid import UUID

from chatwren.store.database import Connection


@dataclass(frozen=True, slots=True)
class Identity:
    """A contact of a user.

    Attributes:
        phone: digits; None where WhatsApp hides it. Where there are several, one that WhatsApp itself names.
        name: what they call themselves.
    """

    id: UUID
    phone: str | None
    name: str | None


async def get(connection: Connection, user_id: UUID, contact_id: UUID) -> Identity | None:
    """A contact of the user; of one that was merged, the one that it turned out to be."""
    row = await connection.fetchrow(
        """
        WITH RECURSIVE answering AS (
          SELECT $2::uuid AS id
          UNION ALL SELECT m.merged_into FROM answering a JOIN merged_contact m ON m.user_id = $1 AND m.id = a.id
        ), known AS (
          SELECT a.contact_id, a.kind, a.value, f.jid, f.name, f.wrote_at
          FROM answering c JOIN contact_alias a ON a.user_id = $1 AND a.contact_id = c.id
          LEFT JOIN (contact f JOIN account o ON o.id = f.account_id AND o.user_id = $1) ON f.address = a.value
        )
        SELECT contact_id, (
          SELECT value FROM known WHERE kind = 'phone'
          ORDER BY EXISTS (SELECT FROM known k WHERE k.jid = known.value || '@s.whatsapp.net') DESC, value LIMIT 1
        ), (
          SELECT name FROM known WHERE name IS NOT NULL ORDER BY wrote_at DESC NULLS LAST LIMIT 1
        )
        FROM known LIMIT 1
        """,
        user_id,
        contact_id,
    )
    return Identity(*row) if row else None
