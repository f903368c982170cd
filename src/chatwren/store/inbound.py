"""Messages that arrived. Each is stored before WhatsApp is told that it has arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.domain.ids import uuid7
from chatwren.store import contacts
from chatwren.store.database import Connection
from chatwren.store.rows import Given, named


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


_GIVEN = Given[Inbound](
    "g",
    id=("uuid", lambda _: uuid7()),  # in the order of arrival
    account_id=("uuid", lambda one: one.account),
    chat="text",
    sender="text",
    wa_id="text",
    chat_phone="text",
    sender_phone="text",
    push_name="text",
    from_me="boolean",
    is_group="boolean",
    at="timestamptz",
    text="text",
    media="bytea",
)
_STORE = f"""
    WITH given AS (
      SELECT g.* FROM {_GIVEN} JOIN account a ON a.id = g.account_id
    ), stored AS (
      INSERT INTO inbound (id, account_id, chat, sender, wa_id, chat_phone, sender_phone, push_name, from_me, is_group,
                           at, text, media)
      SELECT id, account_id, chat, sender, wa_id, chat_phone, sender_phone, push_name, from_me, is_group, at, text,
             media
      FROM given
      ON CONFLICT DO NOTHING
      RETURNING account_id, chat, chat_phone, push_name, from_me, is_group, at
    ), wrote AS (
      INSERT INTO contact (account_id, address, name, wrote_at)
      SELECT account_id, coalesce(chat_phone, chat) AS address, (array_agg(push_name ORDER BY at DESC))[1],
             least(max(at), now())  -- by its sender's clock
      FROM stored WHERE NOT from_me AND NOT is_group
      GROUP BY account_id, address ORDER BY account_id, address
      ON CONFLICT (account_id, address) DO UPDATE SET
        name = coalesce(excluded.name, contact.name),
        wrote_at = greatest(excluded.wrote_at, contact.wrote_at),
        -- Who writes may be answered, whatever WhatsApp said of new contacts.
        retry_at = CASE WHEN contact.retry_code = 'cold_refused' THEN NULL ELSE contact.retry_at END
      RETURNING account_id, address
    )
    SELECT a.user_id, s.account_id, w.address FROM stored s JOIN account a ON a.id = s.account_id
    LEFT JOIN wrote w ON w.account_id = s.account_id AND w.address = coalesce(s.chat_phone, s.chat)
"""


async def store(connection: Connection, messages: Sequence[Inbound]) -> set[UUID]:
    """Store messages; those that are stored already, and those of accounts that are gone, are passed over.

    A contact that writes is known by that. Returns the users whose messages are new. To be called in a transaction.
    """
    rows = await connection.fetch(*named(_STORE, **_GIVEN.values(messages)))
    wrote = {(row["account_id"], row["address"]) for row in rows if row["address"] is not None}
    await contacts.promote(connection, list(wrote))
    return {row["user_id"] for row in rows}
