"""What arrives: receipts and messages. It is true whoever stores it, and changes nothing when it is stored again."""

from collections.abc import Sequence
from uuid import UUID

from chatwren.domain.facts import Inbound, Receipt
from chatwren.domain.ids import uuid7
from chatwren.domain.messages import OUTCOME_UNKNOWN
from chatwren.domain.outcomes import Recorded
from chatwren.store import contacts, pacing
from chatwren.store.database import Connection, Topic
from chatwren.store.rows import Given, named

_RECEIPTS = Given[Receipt](
    "f",
    account_id=("uuid", lambda one: one.account),
    wa_id="text",
    chat="text",
    chat_alt="text",
    read="boolean",
    at="timestamptz",
)
_NAMED = f"{_RECEIPTS} JOIN message m ON m.account_id = f.account_id AND m.wa_id = f.wa_id"
_LOCK_FREED = f"""
    WITH named AS MATERIALIZED (SELECT m.account_id, m.status FROM {_NAMED})  -- by its id, and not by its status
    SELECT FROM account a WHERE a.id IN (SELECT account_id FROM named WHERE status = 'sending')
    ORDER BY a.id FOR NO KEY UPDATE
"""
_DELIVERED_TO = contacts.reach(
    "SELECT account_id, recipient, min(delivered_at) FROM settled WHERE recipient_kind <> 'group'"
    " GROUP BY account_id, recipient"
)
# It went to its recipient's address or, where WhatsApp has another one for that number, there.
_MEANT = """
  (CASE m.recipient_kind WHEN 'phone' THEN m.recipient || '@s.whatsapp.net' ELSE m.recipient END
     IN (f.chat, f.chat_alt)
   OR k.jid IN (f.chat, f.chat_alt)) IS TRUE
"""
_ITS_CONTACT = "LEFT JOIN contact k ON k.account_id = m.account_id AND k.address = m.recipient"
_TOLD = "f.read, least(f.at, now()) AS at"
_FACT = "id, min(at) AS delivered, min(at) FILTER (WHERE read) AS read"
# WhatsApp's times are whole seconds: what follows must not seem to have come before.
_TIMES = """
  delivered_at = coalesce(m.delivered_at, greatest(f.delivered, m.sent_at, m.claimed_at)),
  read_at = CASE WHEN m.read_at IS NULL AND f.read IS NOT NULL
            THEN greatest(f.read, m.delivered_at, m.sent_at, m.claimed_at) ELSE m.read_at END
"""
_NEWS = "m.status = 'sent' AND (m.delivered_at IS NULL OR (m.read_at IS NULL AND f.read IS NOT NULL))"
_NOTE = f"""
    WITH named AS MATERIALIZED (
      SELECT m.id, m.account_id, m.wa_id, {_TOLD},
             m.status = 'sent' AND (m.recipient_kind = 'group' OR k.reached_at IS NOT NULL) AND {_MEANT} AS usual
      FROM {_NAMED} {_ITS_CONTACT}
    ), noted AS (
      UPDATE message m SET {_TIMES}
      FROM (SELECT {_FACT} FROM named WHERE usual GROUP BY id) AS f
      WHERE m.id = f.id AND {_NEWS}
      RETURNING m.user_id
    )
    SELECT user_id, NULL AS account_id, NULL AS wa_id FROM noted
    UNION ALL
    SELECT NULL, account_id, wa_id FROM named WHERE NOT usual
"""
_SETTLE = f"""
    WITH named AS (
      SELECT m.id, m.account_id, {_TOLD}, {_MEANT} AS meant FROM {_NAMED} {_ITS_CONTACT}
    ), fact AS (
      SELECT {_FACT} FROM named WHERE meant GROUP BY id
    ), settled AS (
      UPDATE message m SET
        status = 'sent',
        sent_at = coalesce(m.sent_at, greatest(f.delivered, m.claimed_at)),
        ended_at = NULL, error_code = NULL, error_params = NULL, error_message = NULL,
        {_TIMES}
      FROM fact f
      WHERE m.id = f.id
        AND (m.status = 'sending' OR (m.status = 'failed' AND m.error_code = '{OUTCOME_UNKNOWN}')
             OR (m.status = 'waiting' AND m.unconfirmed > 0) OR ({_NEWS}))
      RETURNING m.id, m.account_id, m.user_id, m.recipient, m.recipient_kind, m.claimed_at, m.delivered_at
    ), reached AS (
      {_DELIVERED_TO}
    ), paused AS (
      UPDATE account a SET in_flight = NULL, next_at = {pacing.next_at("a", "s.claimed_at")}
      FROM settled s WHERE a.id = s.account_id AND a.in_flight = s.id
      RETURNING a.id, a.next_at - now() AS pause
    )
    SELECT s.user_id, s.account_id, r.address AS reached, p.pause
    FROM settled s LEFT JOIN paused p ON p.id = s.account_id
    LEFT JOIN reached r ON r.account_id = s.account_id AND r.address = s.recipient
    UNION ALL
    SELECT NULL, n.account_id, NULL, NULL FROM named n WHERE NOT n.meant GROUP BY n.account_id
"""


async def note_receipts(connection: Connection, receipts: Sequence[Receipt]) -> tuple[frozenset[UUID], list[Receipt]]:
    """Apply the usual ones of these receipts, of messages that are known to be sent, to contacts known to be reached.

    It is one statement, and locks no account. Returns the users whose messages it changed, and the receipts that are
    left for `apply_receipts`.
    """
    rows = await connection.fetch(*_RECEIPTS.asking(_NOTE, receipts))
    users = frozenset(row["user_id"] for row in rows if row["user_id"] is not None)
    connection.tell(Topic.MESSAGES, users)
    others = {(row["account_id"], row["wa_id"]) for row in rows if row["user_id"] is None}
    return users, [one for one in receipts if (one.account, one.wa_id) in others] if others else []


async def apply_receipts(connection: Connection, receipts: Sequence[Receipt]) -> Recorded:
    """Apply receipts to the messages that they name, only forward: a receipt also proves that a message was sent.

    Those that come from elsewhere than where the message went are passed over. To be called in a transaction.
    """
    facts = _RECEIPTS.values(receipts)
    await connection.execute(*named(_LOCK_FREED, **facts))
    rows = await connection.fetch(*named(_SETTLE, **facts))
    reached = [(row["account_id"], row["reached"]) for row in rows if row["reached"] is not None]
    await contacts.promote(connection, reached)
    settled = Recorded(
        users=frozenset(row["user_id"] for row in rows if row["user_id"] is not None),
        pauses={row["account_id"]: row["pause"] for row in rows if row["pause"] is not None},
        strays=tuple(row["account_id"] for row in rows if row["user_id"] is None),
    )
    connection.tell(Topic.MESSAGES, settled.users)
    connection.tell(Topic.WORK, settled.pauses)
    return settled


_MESSAGES = Given[Inbound](
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
_STORE_MESSAGES = f"""
    WITH given AS (
      SELECT g.* FROM {_MESSAGES} JOIN account a ON a.id = g.account_id
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


async def store_messages(connection: Connection, messages: Sequence[Inbound]) -> set[UUID]:
    """Store messages; those that are stored already, and those of accounts that are gone, are passed over.

    A contact that writes is known by that. Returns the users whose messages are new. To be called in a transaction.
    """
    rows = await connection.fetch(*_MESSAGES.asking(_STORE_MESSAGES, messages))
    wrote = {(row["account_id"], row["address"]) for row in rows if row["address"] is not None}
    await contacts.promote(connection, list(wrote))
    users = {row["user_id"] for row in rows}
    connection.tell(Topic.INBOX, users)
    return users
