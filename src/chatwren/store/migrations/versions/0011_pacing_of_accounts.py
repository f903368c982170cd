"""An account may have a pace and a cap of new contacts of its own."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Null: the server's (settings CHATWREN_PACING_… and CHATWREN_COLD_…).
    """
    ALTER TABLE account
      ADD COLUMN pacing_gap interval CHECK (pacing_gap >= interval '0'),
      ADD COLUMN pacing_jitter interval CHECK (pacing_jitter >= interval '0'),
      ADD COLUMN cold_first integer CHECK (cold_first >= 0),
      ADD COLUMN cold_growth integer CHECK (cold_growth >= 0),
      ADD COLUMN cold_most integer CHECK (cold_most >= 0)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
