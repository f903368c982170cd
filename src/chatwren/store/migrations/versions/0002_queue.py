"""What the queue needs beyond the first slice: new contacts, lateness, steps of the timeline, exact totals."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # --- the account's health -------------------------------------------------------------------------------------
    """
    ALTER TABLE account
      ADD COLUMN number_since     timestamptz,       -- since when this number is linked: its age, for the cold cap
      ADD COLUMN restricted_since timestamptz,
      ADD COLUMN held_since       timestamptz,
      ADD COLUMN cold_code        integer,           -- WhatsApp's number when it last refused a new contact: 463, 475
      ADD COLUMN cold_since       timestamptz,
      ADD COLUMN cold_until       timestamptz        -- until then no new contact is written to
    """,
    "UPDATE account SET number_since = created_at WHERE phone IS NOT NULL",
    """
    ALTER TABLE contact
      ADD COLUMN cold_at    timestamptz,             -- when it was first written to, if it had not written before
      ADD COLUMN retry_code text                     -- why its messages wait until retry_at
    """,
    "CREATE INDEX contact_cold ON contact (account_id, cold_at) WHERE cold_at IS NOT NULL",
    # Times in which an account could not send: lateness counts these alone. Kept by a trigger, so that no writer of the
    # account's state can forget it.
    """
    CREATE TABLE outage (
      account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      began_at   timestamptz NOT NULL,
      ended_at   timestamptz,
      CHECK (ended_at >= began_at)
    )
    """,
    "CREATE UNIQUE INDEX outage_open ON outage (account_id) WHERE ended_at IS NULL",
    "CREATE INDEX outage_by_end ON outage (account_id, ended_at)",
    """
    CREATE FUNCTION note_outage() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.status = 'linked' AND NEW.connected THEN
        UPDATE outage SET ended_at = greatest(began_at, now()) WHERE account_id = NEW.id AND ended_at IS NULL;
      ELSIF NEW.status <> 'new' THEN
        INSERT INTO outage (account_id, began_at)
        SELECT NEW.id, greatest(
          -- connected_since may lie back: the last sign of life of the worker that held the connection.
          CASE WHEN OLD.connected AND NOT NEW.connected THEN NEW.connected_since ELSE now() END,
          (SELECT max(ended_at) FROM outage WHERE account_id = NEW.id)
        )
        ON CONFLICT DO NOTHING;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER account_outage AFTER UPDATE OF status, connected ON account
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.connected <> NEW.connected) EXECUTE FUNCTION note_outage()
    """,
    """
    CREATE FUNCTION outage_since(account uuid, since timestamptz) RETURNS interval STABLE LANGUAGE sql AS $$
      SELECT coalesce(sum(coalesce(ended_at, now()) - greatest(began_at, since)), '0')
      FROM outage WHERE account_id = account AND coalesce(ended_at, 'infinity') > since
    $$
    """,
    # The latest moment since which the account could not send for `allowed` in all; null if there is none.
    """
    CREATE FUNCTION outage_line(account uuid, allowed interval) RETURNS timestamptz STABLE LANGUAGE sql AS $$
      SELECT began_at + (since_then - allowed)
      FROM (
        SELECT began_at, sum(coalesce(ended_at, now()) - began_at) OVER (ORDER BY began_at DESC) AS since_then
        FROM outage WHERE account_id = account
      ) AS o
      WHERE since_then >= allowed ORDER BY began_at DESC LIMIT 1
    $$
    """,
    """
    INSERT INTO outage (account_id, began_at)
    SELECT id, now() FROM account WHERE status <> 'new' AND NOT (status = 'linked' AND connected)
    """,
    # --- messages -------------------------------------------------------------------------------------------------
    "ALTER TABLE message ADD COLUMN expires_at timestamptz, ADD CHECK (expires_at > due)",
    """
    CREATE INDEX message_expiry ON message (account_id, expires_at)
    WHERE status <= 'sending' AND expires_at IS NOT NULL
    """,
    # By hash: the claim, which asks for an account's first by (due, id), must not be tempted by it.
    "CREATE INDEX message_cold ON message USING hash (recipient) WHERE lane = 'cold' AND status <= 'sending'",
    "CREATE INDEX message_media ON message (media_id) WHERE media_id IS NOT NULL",
    # What happened to a message besides what its own columns say: attempts that did not end it, and changes.
    """
    CREATE TABLE message_step (
      message_id uuid NOT NULL REFERENCES message ON DELETE CASCADE,
      at         timestamptz NOT NULL DEFAULT now(),
      step       text NOT NULL,
      detail     text
    )
    """,
    "CREATE INDEX message_step_of ON message_step (message_id, at)",
    # The first UUIDv7 of a moment: ids of that kind are in the order of their making.
    """
    CREATE FUNCTION uuid_at(moment timestamptz) RETURNS uuid STABLE LANGUAGE sql AS $$
      SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
    $$
    """,
    # --- totals ---------------------------------------------------------------------------------------------------
    # A user's totals are the sums over its rows. Each statement that changes messages appends what it changed, so that
    # nobody waits for anybody; a job folds the rows together (store/totals.py).
    """
    CREATE TABLE message_total (
      user_id   uuid NOT NULL,                       -- no foreign key: it would be checked with every statement
      folded    boolean NOT NULL DEFAULT false,
      pending   bigint NOT NULL,                     -- waiting and sending
      sent      bigint NOT NULL,
      failed    bigint NOT NULL,
      cancelled bigint NOT NULL,
      expired   bigint NOT NULL
    )
    """,
    "CREATE INDEX message_total_user ON message_total (user_id)",
    "CREATE INDEX message_total_loose ON message_total (user_id) WHERE NOT folded",
    *(
        statement
        for event, tables, rows in (
            ("insert", "NEW TABLE AS after", "SELECT user_id, status, 1 AS n FROM after"),
            (
                "update",
                "OLD TABLE AS before NEW TABLE AS after",
                "SELECT user_id, status, -1 AS n FROM before UNION ALL SELECT user_id, status, 1 FROM after",
            ),
            ("delete", "OLD TABLE AS before", "SELECT user_id, status, -1 AS n FROM before"),
        )
        for statement in (
            f"""
            CREATE FUNCTION total_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              INSERT INTO message_total (user_id, pending, sent, failed, cancelled, expired)
              SELECT * FROM (
                SELECT user_id,
                  sum(n * (status <= 'sending')::integer) AS pending, sum(n * (status = 'sent')::integer) AS sent,
                  sum(n * (status = 'failed')::integer) AS failed,
                  sum(n * (status = 'cancelled')::integer) AS cancelled,
                  sum(n * (status = 'expired')::integer) AS expired
                FROM ({rows}) AS change GROUP BY user_id
              ) AS changed
              WHERE (pending, sent, failed, cancelled, expired) <> (0, 0, 0, 0, 0);
              RETURN NULL;
            END $$
            """,
            f"""
            CREATE TRIGGER message_total_{event} AFTER {event} ON message REFERENCING {tables}
            FOR EACH STATEMENT EXECUTE FUNCTION total_{event}()
            """,
        )
    ),
    """
    INSERT INTO message_total (user_id, folded, pending, sent, failed, cancelled, expired)
    SELECT user_id, true, count(*) FILTER (WHERE status <= 'sending'), count(*) FILTER (WHERE status = 'sent'),
           count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled'),
           count(*) FILTER (WHERE status = 'expired')
    FROM message GROUP BY user_id
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
