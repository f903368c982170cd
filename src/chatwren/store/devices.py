"""whatsmeow's own tables, which the engine writes, as far as they hold what belongs to users.

Their rows are a linked device's and go with it, but for privacy tokens, which have no foreign key, and the map of
numbers to LIDs that an older release kept for all devices together.
"""

from chatwren.store.database import Connection

SCHEMA = "whatsmeow"

_STEP = 5000

# Skipping what is locked: an engine of that release that is just learning an address waits for nobody, and nobody for
# it. It needs the numbers of linked devices to write to their phones, and asks WhatsApp again for others.
_LEFT = (
    f"""
    DELETE FROM {SCHEMA}.whatsmeow_privacy_tokens WHERE ctid = ANY (ARRAY(
      SELECT t.ctid FROM {SCHEMA}.whatsmeow_privacy_tokens t
      WHERE NOT EXISTS (SELECT FROM {SCHEMA}.whatsmeow_device d WHERE d.jid = t.our_jid)
      LIMIT {_STEP} FOR UPDATE SKIP LOCKED
    ))
    """,
    f"""
    DELETE FROM {SCHEMA}.whatsmeow_lid_map WHERE ctid = ANY (ARRAY(
      SELECT m.ctid FROM {SCHEMA}.whatsmeow_lid_map m
      WHERE NOT EXISTS (SELECT FROM {SCHEMA}.whatsmeow_device d WHERE substring(d.jid FROM '^[0-9]+') = m.pn)
      LIMIT {_STEP} FOR UPDATE SKIP LOCKED
    ))
    """,
)


async def remove_leftovers(connection: Connection) -> None:
    """Remove what devices that are gone have left: their privacy tokens, and what an older release knew of numbers."""
    if not await exist(connection):
        return
    for statement in _LEFT:
        while await connection.execute(statement) == f"DELETE {_STEP}":
            pass


async def exist(connection: Connection) -> bool:
    """Whether the tables are there: the engine's own migration makes them."""
    return bool(await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.whatsmeow_device') IS NOT NULL"))
