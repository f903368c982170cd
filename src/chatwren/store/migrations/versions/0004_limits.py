"""What the operator allows one user instead of the defaults (domain/limits.py)."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE user_limit (
      user_id uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      name    text NOT NULL,
      value   bigint NOT NULL CHECK (value >= 0),
      PRIMARY KEY (user_id, name)
    )
    """,
    "CREATE INDEX bulk_open_of_user ON bulk (user_id) WHERE ended_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
