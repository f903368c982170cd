"""How often somebody begins to link is counted: by user, and by the number that is asked to type a code."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX pairing_user ON pairing (user_id, requested_at)",
    "CREATE INDEX pairing_phone ON pairing (phone, requested_at) WHERE phone IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
