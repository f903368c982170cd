"""Why a message failed is kept as a code and what is known with it, not as a sentence.

The older release goes on beside it: it stores sentences, which are shown as they stand. Of what the newer one stores it
shows the code, and that it failed.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE message ADD COLUMN IF NOT EXISTS error_params jsonb")
    op.execute("ALTER TABLE message_step ADD COLUMN IF NOT EXISTS params jsonb")
    op.execute("ALTER TABLE message DROP CONSTRAINT IF EXISTS message_failed")
    given = "CHECK (status <> 'failed' OR error_code IS NOT NULL)"
    op.execute(f"ALTER TABLE message ADD CONSTRAINT message_failed {given} NOT VALID")
    # The first version's, by the name that PostgreSQL gave it: it wants a sentence too.
    op.execute("ALTER TABLE message DROP CONSTRAINT IF EXISTS message_check3")
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE message VALIDATE CONSTRAINT message_failed")


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
