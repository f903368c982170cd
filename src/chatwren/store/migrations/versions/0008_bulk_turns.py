"""Bulks are accepted in turns by user, and an attempt is noted before it is made."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE bulk
      ADD COLUMN taken_at timestamptz,                 -- since when somebody is at its next rows
      ADD COLUMN tried_to integer NOT NULL DEFAULT 0,  -- rows up to this line were tried, some of them without an end
      ADD COLUMN alone    integer                      -- the line of the row that was last tried by itself
    """,
    """
    CREATE TABLE bulk_turn (
      user_id uuid PRIMARY KEY REFERENCES app_user ON DELETE CASCADE,
      at      timestamptz NOT NULL                     -- when rows of the user's bulks were last taken
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
