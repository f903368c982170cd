"""A user's deletion takes its time, and goes on after a crash."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE app_user ADD COLUMN deleted_at timestamptz",  # not null: everything of theirs is being removed
    "CREATE INDEX app_user_deleted ON app_user (deleted_at) WHERE deleted_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
