"""Messages that arrived. Each is stored before WhatsApp is told that it has arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatwren.store import contacts
from chatwren.store.database import Connection


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message in one of an account's chats. `media` (the engine's) and `raw` (WhatsApp's) are kept as they came."""

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
    raw: bytes


async def store(connection: Connection, messages: Sequence[Inbound]) -> set[UUID]:
    """Store messages; those that are stored already, and those of accounts that are gone, are passed over.

    A contact that writes is known by that. Returns the users whose messages are new. To be called in a transaction.
    """
    rows = await connection.fetch(
        """
        WITH given AS (
          SELECT g.*, a.user_id FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[],
            $9::boolean[], $10::timestamptz[], $11::text[], $12::bytea[], $13::bytea[]
          ) AS g (account_id, chat, sender, wa_id, chat_phone, sender_phone, push_name, from_me, is_group, at, text,
                  media, raw)
          JOIN account a ON a.id = g.account_id
        ), stored AS (
          INSERT INTO inbound (account_id, chat, sender, wa_id, chat_phone, sender_phone, push_name, from_me, is_group,
                               at, text, media, raw)
          SELECT account_id, chat, sender, wa_id, chat_phone, sender_phone, push_name, from_me, is_group, at, text,
                 media, raw
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
        """,
        [one.account for one in messages],
        [one.chat for one in messages],
        [one.sender for one in messages],
        [one.wa_id for one in messages],
        [one.chat_phone for one in messages],
        [one.sender_phone for one in messages],
        [one.push_name for one in messages],
        [one.from_me for one in messages],
        [one.is_group for one in messages],
        [one.at for one in messages],
        [one.text for one in messages],
        [one.media for one in messages],
        [one.raw for one in messages],
    )
    await contacts.promote(connection, list({(row[1], row[2]) for row in rows if row[2] is not None}))
    return {row[0] for row in rows}
