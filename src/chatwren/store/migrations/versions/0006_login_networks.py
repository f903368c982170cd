"""From which networks a user has logged in, so that strangers there cannot keep them out."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE login_network (
      user_id uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      network bytea NOT NULL,                        -- a hash of it and the user's id: no list of where somebody is
      seen_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (user_id, network)
    )
    """,
    "CREATE INDEX login_network_seen ON login_network (seen_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
