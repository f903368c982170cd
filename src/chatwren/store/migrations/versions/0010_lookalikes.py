"""User names that look the same do not both exist: what each looks like, where that is known."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Null: of an older release, until housekeeping comes by; or of a name that looks like another's that is older.
    "ALTER TABLE app_user ADD COLUMN username_skeleton text",
    "CREATE UNIQUE INDEX app_user_skeleton ON app_user (username_skeleton)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
