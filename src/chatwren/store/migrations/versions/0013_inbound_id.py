"""What arrives has an id of its own, in the order of arrival.

The older release goes on beside it: to what it stores the database gives an id.
"""

from alembic import op

from chatwren.store.migrations import online

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A new UUIDv7 of a moment: as in ids that Python makes (domain/ids.py), the 12 bits after the version are the
    # fraction of the millisecond. One expression that names `moment` once, so that it is no call.
    """
    CREATE OR REPLACE FUNCTION uuid7_at(moment timestamptz) RETURNS uuid VOLATILE LANGUAGE sql AS $$
      SELECT (
        overlay(lpad(to_hex((date_part('epoch', moment) * 4096000)::bigint), 15, '0') placing '7' from 13 for 0)
        || right(gen_random_uuid()::text, 17)
      )::uuid
    $$
    """,
    "ALTER TABLE inbound ADD COLUMN IF NOT EXISTS id uuid",  # without a default of its own: that would write each row
    "ALTER TABLE inbound ALTER COLUMN id SET DEFAULT uuid7_at(clock_timestamp())",
)

# What was stored in one transaction has one `received_at`; of that, the order in which it was written.
FILL = """
  WITH step AS MATERIALIZED (
    SELECT account_id, received_at, at, chat, sender, wa_id, id FROM inbound
    WHERE (account_id, received_at) > (CAST(:account AS uuid), CAST(:received AS text)::timestamptz)
    ORDER BY account_id, received_at FETCH FIRST 1000 ROWS WITH TIES
  ), given AS (
    SELECT account_id, chat, sender, wa_id, uuid7_at(received_at + interval '1 microsecond' * row_number() OVER (
      PARTITION BY account_id, received_at ORDER BY at, wa_id
    )) AS id
    FROM step WHERE id IS NULL
  ), filled AS (
    UPDATE inbound i SET id = g.id FROM given g
    WHERE i.account_id = g.account_id AND i.chat = g.chat AND i.sender = g.sender AND i.wa_id = g.wa_id
      AND i.id IS NULL
  )
  SELECT account_id::text AS account, received_at::text AS received FROM step ORDER BY account_id, received_at
"""


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    with op.get_context().autocommit_block():
        online.in_steps("inbound.id", FILL, account=online.NOBODY, received="-infinity")
        online.create_index("inbound_id", "inbound (account_id, id)", unique=True)
        online.require("inbound", "id")


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
