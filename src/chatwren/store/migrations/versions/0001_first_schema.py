"""The first schema. Words: api.md's user, account, contact; a message's life: docs/state_machine.md."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # --- users and sessions -------------------------------------------------------------------------------------------
    """
    CREATE TABLE app_user (
      id            uuid PRIMARY KEY,
      username      text NOT NULL,
      username_key  text NOT NULL UNIQUE,            -- folded: user names are unique without case
      name          text NOT NULL,
      phone         text NOT NULL,
      email         text NOT NULL,
      gst           text NOT NULL DEFAULT '',
      time_zone     text,
      password_hash text NOT NULL,
      created_at    timestamptz NOT NULL DEFAULT now(),
      disabled_at   timestamptz
    )
    """,
    """
    CREATE TABLE session (
      sid_hash     bytea PRIMARY KEY,                -- SHA-256 of the sid; the sid itself is only in the cookie
      user_id      uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      created_at   timestamptz NOT NULL DEFAULT now(),
      last_seen_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX session_by_user ON session (user_id)",
    "CREATE INDEX session_by_last_seen ON session (last_seen_at)",
    """
    CREATE TABLE secret (
      name       text PRIMARY KEY,
      value      text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE throttle (
      key          text NOT NULL,
      window_start timestamptz NOT NULL,
      count        integer NOT NULL,
      PRIMARY KEY (key, window_start)
    )
    """,
    # --- workers and who owns what ------------------------------------------------------------------------------------
    """
    CREATE TABLE worker (
      id            uuid PRIMARY KEY,
      host          text NOT NULL,
      started_at    timestamptz NOT NULL DEFAULT now(),
      heartbeat_at  timestamptz NOT NULL DEFAULT now(),
      healthy_since timestamptz NOT NULL DEFAULT now(),  -- since when it has renewed without a gap
      draining      boolean NOT NULL DEFAULT false
    )
    """,
    # --- accounts -----------------------------------------------------------------------------------------------------
    """
    CREATE TYPE account_status AS ENUM ('new', 'linked', 'logged_out', 'banned')
    """,
    """
    CREATE TABLE account (
      id              uuid PRIMARY KEY,
      user_id         uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      created_at      timestamptz NOT NULL DEFAULT now(),
      status          account_status NOT NULL DEFAULT 'new',
      status_since    timestamptz NOT NULL DEFAULT now(),
      status_reason   text,                          -- stable code of why it is logged out or banned
      jid             text,                          -- of the linked device; kept after a logout to know the number
      lid             text,
      phone           text,                          -- digits
      name            text,                          -- push name
      connected       boolean NOT NULL DEFAULT false,
      connected_since timestamptz NOT NULL DEFAULT now(),
      offline_reason  text,                          -- stable code of why the connection is down
      restriction_code  integer,                     -- WhatsApp's code of a temporary restriction
      restricted_until  timestamptz,
      held_reason     text,                          -- not null: nothing is sent until the user releases it
      next_at         timestamptz NOT NULL DEFAULT now(),  -- pacing cursor: nothing leaves before it
      -- The one message whose send has begun and has no outcome yet. No foreign key: it would look for accounts at each
      -- deletion of a message. What it names counts only while that message is `sending`.
      in_flight       uuid,
      groups          jsonb,                         -- null until WhatsApp was asked
      groups_at       timestamptz,
      groups_wanted_at timestamptz,                  -- later than groups_at: the owner asks WhatsApp again
      logout_wanted_at timestamptz,                  -- not null: the owner unlinks the device
      CHECK (status <> 'linked' OR (jid IS NOT NULL AND phone IS NOT NULL))
    )
    """,
    "CREATE INDEX account_user ON account (user_id, created_at)",
    "CREATE UNIQUE INDEX account_phone ON account (phone) WHERE status = 'linked'",
    """
    CREATE TABLE lease (
      account_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
      worker_id  uuid REFERENCES worker ON DELETE SET NULL,
      epoch      bigint NOT NULL                     -- grows with every change of owner, and never falls
    )
    """,
    "CREATE INDEX lease_worker ON lease (worker_id)",
    """
    CREATE TYPE pairing_state AS ENUM ('requested', 'waiting', 'linked', 'failed')
    """,
    """
    CREATE TABLE pairing (
      id           uuid PRIMARY KEY,
      account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      user_id      uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      token        text NOT NULL UNIQUE,             -- unguessable; names the picture of the code without a cookie
      state        pairing_state NOT NULL DEFAULT 'requested',
      phone        text,                             -- digits: pair by a code typed on this phone
      codes        jsonb,                            -- [{"text", "from", "until"}], wiped when the pairing ends
      phone_code   text,                             -- wiped when the pairing ends
      jid          text,                             -- of the new device, from before WhatsApp's keys are stored on
      requested_at timestamptz NOT NULL DEFAULT now(),
      expires_at   timestamptz NOT NULL,
      ended_at     timestamptz,
      failure      text,                             -- stable code
      CHECK ((state IN ('linked', 'failed')) = (ended_at IS NOT NULL)),
      CHECK (ended_at IS NULL OR (codes IS NULL AND phone_code IS NULL)),
      CHECK ((state = 'failed') = (failure IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX pairing_running ON pairing (account_id) WHERE ended_at IS NULL",
    """
    CREATE TABLE contact (
      account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      address    text NOT NULL,                      -- digits, or a LID
      jid        text,                               -- where WhatsApp says that messages to it go
      checked_at timestamptz,
      name       text,
      wrote_at   timestamptz,
      reached_at timestamptz,
      retry_at   timestamptz,                        -- its messages wait, all together, until then
      PRIMARY KEY (account_id, address)
    )
    """,
    # --- media --------------------------------------------------------------------------------------------------------
    """
    CREATE TABLE media (
      id         uuid PRIMARY KEY,
      user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      kind       text NOT NULL CHECK (kind IN ('image', 'video', 'audio', 'document')),
      mimetype   text NOT NULL,
      file_name  text NOT NULL,
      size       bigint NOT NULL,
      sha256     text NOT NULL,
      width      integer,
      height     integer,
      seconds    integer,
      thumbnail  bytea,
      created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX media_user ON media (user_id)",
    """
    CREATE TABLE media_upload (
      media_id    uuid NOT NULL REFERENCES media ON DELETE CASCADE,
      account_id  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      handle      bytea NOT NULL,                    -- the engine's MediaHandle, so that a re-send is the same file
      uploaded_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (media_id, account_id)
    )
    """,
    # --- messages -----------------------------------------------------------------------------------------------------
    # In the order of a message's life: `status <= 'sending'` is what may still change by itself.
    "CREATE TYPE message_status AS ENUM ('waiting', 'sending', 'sent', 'failed', 'cancelled', 'expired')",
    "CREATE TYPE message_lane AS ENUM ('urgent', 'normal', 'cold', 'bulk')",
    """
    CREATE TABLE message (
      id             uuid PRIMARY KEY,               -- UUIDv7: the order of acceptance
      user_id        uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      account_id     uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      prefix         text NOT NULL CHECK (prefix IN ('msg', 'sched')),
      recipient_kind text NOT NULL CHECK (recipient_kind IN ('phone', 'lid', 'group')),
      recipient      text NOT NULL,                  -- digits, or a JID
      text           text NOT NULL,                  -- what goes out
      original       text NOT NULL,                  -- what was asked
      modifications  jsonb,
      changes        jsonb,
      media_id       uuid REFERENCES media,
      lane           message_lane NOT NULL DEFAULT 'normal',
      accepted_at    timestamptz NOT NULL DEFAULT now(),
      due            timestamptz NOT NULL,
      status         message_status NOT NULL DEFAULT 'waiting',
      wa_id          text NOT NULL,                  -- WhatsApp's id, the same for every re-send
      attempts       integer NOT NULL DEFAULT 0,
      unconfirmed    integer NOT NULL DEFAULT 0,     -- attempts whose outcome is unknown: one of them may be out
      epoch          bigint,                         -- of the lease of its last attempt, until that has an outcome
      claimed_at     timestamptz,
      sent_at        timestamptz,
      ended_at       timestamptz,                    -- failed, cancelled or expired
      delivered_at   timestamptz,
      read_at        timestamptz,
      error_code     text,
      error_message  text,
      CHECK (status NOT IN ('sending', 'sent') OR claimed_at IS NOT NULL),
      CHECK ((status = 'sent') = (sent_at IS NOT NULL)),
      CHECK ((status IN ('failed', 'cancelled', 'expired')) = (ended_at IS NOT NULL)),
      CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error_message IS NOT NULL)),
      CHECK (read_at IS NULL OR delivered_at IS NOT NULL),
      CHECK (delivered_at IS NULL OR status = 'sent')
    )
    """,
    # The head of a lane is one probe. Not on a status that rows only pass through: that makes the plan quadratic.
    "CREATE INDEX message_queue ON message (account_id, lane, due, id) WHERE status <= 'sending'",
    "CREATE INDEX message_list ON message (user_id, id)",
    "CREATE INDEX message_list_status ON message (user_id, status, id)",
    "CREATE UNIQUE INDEX message_wa_id ON message (account_id, wa_id)",
    """
    CREATE TABLE idempotency (
      user_id      uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
      key          text NOT NULL,
      request_hash bytea NOT NULL,
      answer       jsonb NOT NULL,
      created_at   timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (user_id, key)
    )
    """,
    "CREATE INDEX idempotency_created ON idempotency (created_at)",
    """
    CREATE TABLE inbound (
      account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
      chat         text NOT NULL,
      sender       text NOT NULL,
      wa_id        text NOT NULL,
      chat_phone   text,
      sender_phone text,
      push_name    text,
      from_me      boolean NOT NULL,
      is_group     boolean NOT NULL,
      at           timestamptz NOT NULL,
      received_at  timestamptz NOT NULL DEFAULT now(),
      text         text NOT NULL,
      media        bytea,                            -- the engine's Media, to fetch the file by
      raw          bytea NOT NULL,                   -- waE2E.Message
      PRIMARY KEY (account_id, chat, sender, wa_id)
    )
    """,
    "CREATE INDEX inbound_received ON inbound (account_id, received_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; there is nothing before the first one")
