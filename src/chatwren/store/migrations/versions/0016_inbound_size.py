"""What an account has received is counted in bytes too; WhatsApp's own form of it, which nothing reads, is not kept.

The older release goes on beside it: to what it stores the database gives its size.
"""

from alembic import op

from chatwren.store.migrations import online

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# 500: what a row takes beside these, with its entries in indexes.
STATEMENTS = (
    "ALTER TABLE inbound ADD COLUMN IF NOT EXISTS size integer",
    "ALTER TABLE inbound ALTER COLUMN raw SET DEFAULT ''",
    """
    CREATE OR REPLACE FUNCTION size_inbound() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.size := 500 + octet_length(NEW.text) + coalesce(octet_length(NEW.media), 0) + octet_length(NEW.raw);
      RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER inbound_size BEFORE INSERT OR UPDATE OF text, media, raw ON inbound
    FOR EACH ROW EXECUTE FUNCTION size_inbound()
    """,
)

FILL = """
  WITH step AS MATERIALIZED (
    SELECT account_id, id FROM inbound WHERE (account_id, id) > (CAST(:account AS uuid), CAST(:id AS uuid))
    ORDER BY account_id, id LIMIT 1000
  ), filled AS (
    UPDATE inbound i SET raw = '' FROM step s WHERE i.account_id = s.account_id AND i.id = s.id AND i.size IS NULL
  )
  SELECT account_id::text AS account, id::text AS id FROM step ORDER BY account_id, id
"""


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    with op.get_context().autocommit_block():
        online.in_steps("inbound.size", FILL, account=online.NOBODY, id=online.NOBODY)
        online.require("inbound", "size")
        online.create_index("inbound_sizes", "inbound (account_id, received_at) INCLUDE (size)")
        online.drop_index("inbound_received")  # whatever it did, that one does


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
