"""Pages of a queue are found by an index, whatever waits in it (docs/adr/0009-totals-and-lateness.md).

The older release goes on beside it: what it stores and changes is noted by defaults and triggers.
"""

from alembic import op

from chatwren.store.migrations import online

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_NOT_SEEN = "(due <= seen_at) IS NOT TRUE"

TABLES = (
    # When somebody last looked whether it is due. What is due is not always seen: a job looks (store/totals.py).
    "ALTER TABLE message ADD COLUMN IF NOT EXISTS seen_at timestamptz",
    "ALTER TABLE message ALTER COLUMN seen_at SET DEFAULT now()",
    # How many of a user's pending messages are not seen to be due; beside message_total, whose rows the older release
    # folds. At first nobody has looked at any. The table of messages is locked by its new column, so nothing changes.
    """
    DO $$ BEGIN
      IF to_regclass('message_ahead') IS NULL THEN
        CREATE TABLE message_ahead (
          user_id uuid NOT NULL,
          folded  boolean NOT NULL DEFAULT false,
          ahead   bigint NOT NULL
        );
        CREATE INDEX message_ahead_user ON message_ahead (user_id);
        CREATE INDEX message_ahead_loose ON message_ahead (user_id) WHERE NOT folded;
        INSERT INTO message_ahead (user_id, folded, ahead)
        SELECT user_id, true, sum(pending) FROM message_total GROUP BY user_id HAVING sum(pending) <> 0;
      END IF;
    END $$
    """,
    *(
        f"""
        CREATE OR REPLACE FUNCTION total_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          WITH changed AS MATERIALIZED (
            SELECT user_id,
              sum(n * (status <= 'sending')::integer) AS pending, sum(n * (status = 'sent')::integer) AS sent,
              sum(n * (status = 'failed')::integer) AS failed,
              sum(n * (status = 'cancelled')::integer) AS cancelled,
              sum(n * (status = 'expired')::integer) AS expired,
              sum(n * (status <= 'sending' AND {_NOT_SEEN})::integer) AS ahead
            FROM ({rows}) AS change GROUP BY user_id
          ), noted AS (
            INSERT INTO message_ahead (user_id, ahead) SELECT user_id, ahead FROM changed WHERE ahead <> 0
          )
          INSERT INTO message_total (user_id, pending, sent, failed, cancelled, expired)
          SELECT user_id, pending, sent, failed, cancelled, expired FROM changed
          WHERE (pending, sent, failed, cancelled, expired) <> (0, 0, 0, 0, 0);
          RETURN NULL;
        END $$
        """
        for event, rows in (
            ("insert", "SELECT user_id, status, due, seen_at, 1 AS n FROM after"),
            (
                "update",
                """
                SELECT user_id, status, due, seen_at, -1 AS n FROM before
                UNION ALL SELECT user_id, status, due, seen_at, 1 FROM after
                """,
            ),
            ("delete", "SELECT user_id, status, due, seen_at, -1 AS n FROM before"),
        )
    ),
)

# Of a page's order there is one index alone, so that no statistics make another one look shorter (store/listing.py).
INDEXES = {
    "message_seen": "message (user_id, (CASE WHEN due <= seen_at THEN id END))"
    " WHERE status <= 'sending' AND due <= seen_at",
    "message_unseen": "message (user_id, (CASE WHEN due <= seen_at THEN NULL ELSE id END))"
    f" WHERE status <= 'sending' AND {_NOT_SEEN}",
    "message_unseen_due": "message (user_id, (CASE WHEN due <= seen_at THEN NULL ELSE due END))"
    f" WHERE status <= 'sending' AND {_NOT_SEEN}",
    "message_list_recipient": "message (user_id, recipient, id)",
    "contact_retry": "contact (account_id, retry_at) WHERE retry_at IS NOT NULL",
}


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    with op.get_context().autocommit_block():
        for name, on in INDEXES.items():
            online.create_index(name, on)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
