"""whatsmeow's own tables, which the engine writes, as far as they hold what belongs to users.

Its rows are a linked device's and go with it, but for two tables without a foreign key: privacy tokens, and the map of
numbers to LIDs, which all devices share.
"""

from chatwren.store.database import Connection

SCHEMA = "whatsmeow"

_STEP = 5000

# Where a device knows somebody by number or LID. An address begins with it: 4915112345678:7@s.whatsapp.net, 123_1:0.
_KNOWN = " UNION ".join(
    f"SELECT substring({column} FROM '^[0-9]+') FROM {SCHEMA}.whatsmeow_{table}"
    for table, columns in {
        "device": ("jid", "lid"),
        "contacts": ("their_jid",),
        "sessions": ("their_id",),
        "identity_keys": ("their_id",),
        "sender_keys": ("sender_id",),
        "chat_settings": ("chat_jid",),
        "message_secrets": ("chat_jid", "sender_jid"),
        "privacy_tokens": ("their_jid",),
        "retry_buffer": ("chat_jid",),
    }.items()
    for column in columns
)
# Skipping what is locked: an engine that is just learning an address waits for nobody, and nobody for it.
_LEFT = (
    f"""
    DELETE FROM {SCHEMA}.whatsmeow_privacy_tokens WHERE ctid = ANY (ARRAY(
      SELECT t.ctid FROM {SCHEMA}.whatsmeow_privacy_tokens t
      WHERE NOT EXISTS (SELECT FROM {SCHEMA}.whatsmeow_device d WHERE d.jid = t.our_jid)
      LIMIT {_STEP} FOR UPDATE SKIP LOCKED
    ))
    """,
    f"""
    WITH known (name) AS MATERIALIZED ({_KNOWN})
    DELETE FROM {SCHEMA}.whatsmeow_lid_map WHERE ctid = ANY (ARRAY(
      SELECT m.ctid FROM {SCHEMA}.whatsmeow_lid_map m
      WHERE NOT EXISTS (SELECT FROM known WHERE name = m.lid) AND NOT EXISTS (SELECT FROM known WHERE name = m.pn)
      LIMIT {_STEP} FOR UPDATE SKIP LOCKED
    ))
    """,
)


async def remove_leftovers(connection: Connection) -> None:
    """Remove what devices that are gone have left: their privacy tokens, and numbers that no device knows.

    A number's LID is something that can be asked of WhatsApp again, so a device that still needed it loses nothing.
    """
    if not await exist(connection):
        return
    for statement in _LEFT:
        while await connection.execute(statement) == f"DELETE {_STEP}":
            pass


async def exist(connection: Connection) -> bool:
    """Whether the tables are there: the engine's own migration makes them."""
    return bool(await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.whatsmeow_device') IS NOT NULL"))
