"""How many of a bulk's rows became messages: what is left of its rows counts for what a user may have.

The database counts, of what the older release accepts as well: both note in `read_to` which rows are worked off.
"""

from alembic import op

from chatwren.store.migrations import online

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE bulk ADD COLUMN IF NOT EXISTS accepted integer",
    "ALTER TABLE bulk ALTER COLUMN accepted SET DEFAULT 0",
    """
    CREATE OR REPLACE FUNCTION count_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.accepted := coalesce(OLD.accepted, 0) + (
        SELECT count(message_id) FROM bulk_row
        WHERE bulk_id = NEW.id AND line > CASE WHEN OLD.accepted IS NULL THEN 0 ELSE OLD.read_to END
          AND line <= NEW.read_to
      );
      RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER bulk_accepted BEFORE UPDATE OF read_to ON bulk
    FOR EACH ROW EXECUTE FUNCTION count_accepted()
    """,
)

# Of each the rows are counted once it is locked, so that none is missed that somebody accepts meanwhile.
FILL = """
  WITH step AS MATERIALIZED (
    SELECT id FROM bulk WHERE id > CAST(:id AS uuid) ORDER BY id LIMIT 20
  ), filled AS (
    UPDATE bulk b SET read_to = b.read_to FROM step s WHERE b.id = s.id AND b.accepted IS NULL
  )
  SELECT id::text AS id FROM step ORDER BY id
"""


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    with op.get_context().autocommit_block():
        online.in_steps("bulk.accepted", FILL, id=online.NOBODY)
        online.require("bulk", "accepted")
        online.create_index("bulk_unaccepted", "bulk (user_id) INCLUDE (total, accepted) WHERE accepted < total")


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
