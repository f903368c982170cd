"""What has passed its deadline is found at once, whosever it is."""

from alembic import op

from chatwren.store.migrations import online

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The index message_expiry and the function outage_since are the release before's alone.
    with op.get_context().autocommit_block():
        online.create_index(
            "message_deadline", "message (expires_at) WHERE status <= 'sending' AND expires_at IS NOT NULL"
        )


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
