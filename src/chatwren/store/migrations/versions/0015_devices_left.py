"""A device that a pairing has left behind is found at once, whosever it is."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of an older release's pairings that failed, the device is gone.
    op.execute("UPDATE pairing SET jid = NULL WHERE state = 'failed' AND jid IS NOT NULL")
    op.execute(
        "CREATE INDEX IF NOT EXISTS pairing_left ON pairing (account_id) WHERE state = 'failed' AND jid IS NOT NULL"
    )


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
