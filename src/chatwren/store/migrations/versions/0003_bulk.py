"""Bulk: many messages that were handed over together."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE bulk (
      id         uuid PRIMARY KEY,
      user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      created_at timestamptz NOT NULL DEFAULT now(),
      total      integer NOT NULL,                   -- rows
      read_to    integer NOT NULL DEFAULT 0,         -- rows up to this line are accepted or refused
      ended_at   timestamptz                         -- all of them are
    )
    """,
    "CREATE INDEX bulk_user ON bulk (user_id)",
    "CREATE INDEX bulk_open ON bulk (id) WHERE ended_at IS NULL",
    """
    CREATE TABLE bulk_row (
      bulk_id    uuid NOT NULL REFERENCES bulk ON DELETE CASCADE,
      line       integer NOT NULL,                   -- of the file that was sent
      given      text,                               -- the row as JSON, until it is accepted or refused
      message_id uuid,                               -- accepted; no foreign key: messages go earlier than the bulk
      errors     text,                               -- refused: [{"field", "message"}]
      PRIMARY KEY (bulk_id, line),
      CHECK (num_nonnulls(given, message_id, errors) = 1)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
