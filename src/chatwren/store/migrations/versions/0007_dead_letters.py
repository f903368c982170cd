"""Dead letters: what an engine reported and could not be stored."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE dead_letter (
      id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      kind       text NOT NULL,                      -- of event: message, receipt, state, ...
      reason     text NOT NULL,                      -- why it could not be stored, the last time that it was tried
      event      bytea NOT NULL,                     -- the engine's Event, or its beginning
      size       integer NOT NULL,                   -- of the whole Event, in bytes
      retries    integer NOT NULL DEFAULT 0,         -- how often an operator has tried again
      not_kept   bigint NOT NULL DEFAULT 0,          -- how many came after this one and found no room
      created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX dead_letter_account ON dead_letter (account_id, id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
