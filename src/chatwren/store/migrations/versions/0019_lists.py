"""What was told of a bulk's list when it came, and whether it skips recipients whom it has reached.

The older release goes on beside it: it tells and skips nothing.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE bulk ADD COLUMN IF NOT EXISTS warnings text[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE bulk ADD COLUMN IF NOT EXISTS skip_duplicates boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
