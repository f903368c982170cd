"""Who somebody is: contacts belong to a user, have an id, and are known by aliases (docs/adr/0014-contacts.md).

The table `contact` stays what it is, an account's facts about an address, under the name that the older release knows.
Once nobody runs that release any more, it is to be renamed account_contact.
"""

from alembic import op

from chatwren.store.migrations import online

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A contact is an id that some alias has. An address that `contact`, `message` or `inbound` names is the value of an
    # alias, of the kind that `alias_kind` tells: what belongs to a contact is found by its aliases, and goes where they
    # go. No foreign keys: they would cost more than the rows. These go with their user by store/deletions.py.
    """
    CREATE TABLE IF NOT EXISTS contact_alias (
      user_id    uuid NOT NULL,
      kind       text NOT NULL CHECK (kind IN ('phone', 'lid', 'bsuid', 'username')),
      value      text NOT NULL,                      -- phone: digits; lid: the JID
      contact_id uuid NOT NULL,                      -- UUIDv7
      PRIMARY KEY (user_id, kind, value)
    )
    """,
    "CREATE INDEX IF NOT EXISTS contact_alias_of ON contact_alias (user_id, contact_id)",
    # Contacts that turned out to be older ones, which may have been merged themselves since then.
    """
    CREATE TABLE IF NOT EXISTS merged_contact (
      user_id     uuid NOT NULL,
      id          uuid NOT NULL,
      merged_into uuid NOT NULL CHECK (merged_into < id),
      PRIMARY KEY (user_id, id)
    )
    """,
    # Null: it names nobody, as a group's does.
    """
    CREATE OR REPLACE FUNCTION alias_kind(address text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
      SELECT CASE WHEN address ~ '^[0-9]+$' THEN 'phone' WHEN address ~ '@lid$' THEN 'lid' END
    $$
    """,
    # These two addresses are one contact's: that of the older who has one of them.
    """
    CREATE OR REPLACE FUNCTION unite_contact(of_user uuid, one text, other text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      ones uuid;
      others uuid;
    BEGIN
      LOOP
        SELECT contact_id INTO ones FROM contact_alias
        WHERE user_id = of_user AND kind = alias_kind(one) AND value = one;
        SELECT contact_id INTO others FROM contact_alias
        WHERE user_id = of_user AND kind = alias_kind(other) AND value = other;
        EXIT WHEN ones = others;
        -- One after the other of a user: a merge must see all aliases of whom it merges.
        PERFORM FROM app_user WHERE id = of_user FOR NO KEY UPDATE;
        IF ones IS NULL OR others IS NULL THEN
          ones := coalesce(ones, others, uuid7_at(clock_timestamp()));
          INSERT INTO contact_alias (user_id, kind, value, contact_id)
          VALUES (of_user, alias_kind(one), one, ones), (of_user, alias_kind(other), other, ones)
          ON CONFLICT DO NOTHING;
        ELSE
          UPDATE contact_alias SET contact_id = least(ones, others)
          WHERE user_id = of_user AND contact_id = greatest(ones, others);
          INSERT INTO merged_contact (user_id, id, merged_into)
          VALUES (of_user, greatest(ones, others), least(ones, others))
          ON CONFLICT (user_id, id) DO UPDATE SET merged_into = excluded.merged_into;
        END IF;
      END LOOP;
    END $$
    """,
    # Somebody has this address, and this JID if WhatsApp has told it: whom we know by one of them, or a new contact.
    """
    CREATE OR REPLACE FUNCTION know_contact(of_user uuid, address text, jid text) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      other text := replace(jid, '@s.whatsapp.net', '');
    BEGIN
      IF alias_kind(address) IS NULL THEN
        RETURN;
      ELSIF other <> address AND alias_kind(other) IS NOT NULL THEN
        PERFORM unite_contact(of_user, address, other);
      ELSIF NOT EXISTS (
        SELECT FROM contact_alias WHERE user_id = of_user AND kind = alias_kind(address) AND value = address
      ) THEN
        INSERT INTO contact_alias (user_id, kind, value, contact_id)
        VALUES (of_user, alias_kind(address), address, uuid7_at(clock_timestamp())) ON CONFLICT DO NOTHING;
      END IF;
    END $$
    """,
    # By triggers, as totals and outages are, so that no writer forgets it: the older release's are among them.
    """
    CREATE OR REPLACE FUNCTION identify_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT FROM added) THEN
        INSERT INTO contact_alias (user_id, kind, value, contact_id)
        SELECT user_id, alias_kind(address), address, uuid7_at(clock_timestamp())
        FROM added JOIN account a ON a.id = account_id WHERE alias_kind(address) IS NOT NULL
        ORDER BY user_id, address ON CONFLICT DO NOTHING;
        PERFORM know_contact(user_id, address, added.jid) FROM added JOIN account a ON a.id = account_id
        WHERE added.jid <> address || '@s.whatsapp.net';
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER contact_met AFTER INSERT ON contact REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION identify_contacts()
    """,
    # WhatsApp's answer may be another number than the one that was asked for, or none.
    """
    CREATE OR REPLACE FUNCTION identify_contact() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM know_contact(user_id, NEW.address, NEW.jid) FROM account WHERE id = NEW.account_id;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER contact_answered AFTER UPDATE OF jid ON contact
    FOR EACH ROW WHEN (NEW.jid <> NEW.address || '@s.whatsapp.net') EXECUTE FUNCTION identify_contact()
    """,
    """
    CREATE OR REPLACE FUNCTION identify_chat() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM know_contact(user_id, coalesce(NEW.chat_phone, NEW.chat), NEW.chat)
      FROM account WHERE id = NEW.account_id;
      RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER inbound_chat AFTER INSERT ON inbound
    FOR EACH ROW WHEN (NOT NEW.is_group) EXECUTE FUNCTION identify_chat()
    """,
)

# Chats first: they say which addresses are one contact's.
CHATS = """
  SELECT account_id::text AS account, i.id::text AS id,
         CASE WHEN NOT is_group THEN know_contact(user_id, coalesce(chat_phone, chat), chat) END
  FROM (
    SELECT * FROM inbound WHERE (account_id, id) > (CAST(:account AS uuid), CAST(:id AS uuid))
    ORDER BY account_id, id LIMIT 1000
  ) AS i JOIN account a ON a.id = account_id ORDER BY account_id, i.id
"""
FACTS = """
  SELECT account_id::text AS account, address, know_contact(user_id, address, c.jid)
  FROM (
    SELECT * FROM contact WHERE (account_id, address) > (CAST(:account AS uuid), :address)
    ORDER BY account_id, address LIMIT 1000
  ) AS c JOIN account a ON a.id = account_id ORDER BY account_id, address
"""
RECIPIENTS = """
  SELECT id::text AS id, CASE WHEN recipient_kind <> 'group' AND NOT EXISTS (
    SELECT FROM contact_alias a WHERE (a.user_id, a.kind, a.value) = (m.user_id, alias_kind(recipient), recipient)
  ) THEN know_contact(user_id, recipient, NULL) END
  FROM (SELECT * FROM message WHERE id > CAST(:id AS uuid) ORDER BY id LIMIT 5000) AS m ORDER BY id
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:  # each by itself: none holds a table while the next one waits for another
            op.execute(statement)
        online.in_steps("contacts of chats", CHATS, account=online.NOBODY, id=online.NOBODY)
        online.in_steps("contacts of accounts", FACTS, account=online.NOBODY, address="")
        online.in_steps("contacts of messages", RECIPIENTS, id=online.NOBODY)


def downgrade() -> None:
    raise NotImplementedError("migrations expand, then contract; they do not go back")
