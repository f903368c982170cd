"""A search in texts passes over messages that cannot match (store/searching.py, docs/adr/0009-totals-and-lateness.md).

The older release goes on beside it: what it stores and changes is noted by triggers.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Some messages of a user that follow each other: those with ids after `after` and up to `upto`.
    """
    CREATE TABLE IF NOT EXISTS message_block (
      user_id uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      after   uuid NOT NULL,
      upto    uuid NOT NULL,
      seen_by xid8,                                  -- who began to write before this one may not have seen this block
      grams   bytea,                                 -- bits for what the texts hold; null: nobody knows
      PRIMARY KEY (user_id, upto)
    )
    """,
    "CREATE INDEX IF NOT EXISTS message_block_unknown ON message_block (user_id) WHERE grams IS NULL",
    # A message that comes to stand within a block (its id was made by a clock that is behind), or whose text changes.
    """
    CREATE OR REPLACE FUNCTION forget_grams() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (
        SELECT FROM written w WHERE w.id <= (
          SELECT b.upto FROM message_block b WHERE b.user_id = w.user_id ORDER BY b.upto DESC LIMIT 1
        )
      ) THEN
        PERFORM FROM message_block b JOIN written w ON b.user_id = w.user_id AND b.after < w.id AND b.upto >= w.id
        ORDER BY b.user_id, b.upto FOR NO KEY UPDATE OF b;
        UPDATE message_block b SET grams = NULL, seen_by = NULL FROM written w
        WHERE b.user_id = w.user_id AND b.after < w.id AND b.upto >= w.id;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER message_block_insert AFTER INSERT ON message REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION forget_grams()
    """,
    """
    CREATE OR REPLACE FUNCTION forget_grams_of_one() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE message_block SET grams = NULL, seen_by = NULL
      WHERE user_id = NEW.user_id AND after < NEW.id AND upto >= NEW.id;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER message_block_update AFTER UPDATE OF text ON message
    FOR EACH ROW WHEN (OLD.text IS DISTINCT FROM NEW.text) EXECUTE FUNCTION forget_grams_of_one()
    """,
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:  # each by itself: none holds a table while the next one waits for another
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
