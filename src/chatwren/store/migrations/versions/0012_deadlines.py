"""What has passed its deadline is found at once, whosever it is."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Beside those who write messages. One that was killed half way leaves an index that is never used: it goes first.
    # The index message_expiry and the function outage_since are the release before's alone.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS message_deadline")
        op.execute(
            "CREATE INDEX CONCURRENTLY message_deadline ON message (expires_at)"
            " WHERE status <= 'sending' AND expires_at IS NOT NULL"
        )


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
