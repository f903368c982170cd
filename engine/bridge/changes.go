package bridge

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.mau.fi/whatsmeow/types"
)

// changes are what one exchange does to the state of an account. An exchange runs in one goroutine.
type changes struct {
	collecting bool // by an exchange under way; else one change that is written at once
	failed     error

	read map[string]peer // as the exchange has found them: memory may drop them meanwhile

	sessions     map[string][]byte // by address; nil: deleted
	identities   map[string][]byte // by address; nil: deleted
	senderKeys   map[senderKeyID][]byte
	spentPreKeys []int32
	outgoing     []outgoingEvent
	decrypted    []decryptedEvent
}

type outgoingEvent struct {
	chat      types.JID
	id        types.MessageID
	format    string
	plaintext []byte
}

type decryptedEvent struct {
	hash       [32]byte
	plaintext  []byte
	serverTime time.Time
}

type changesKey struct{}

// newChanges begins to collect.
func newChanges() *changes {
	c := &changes{collecting: true}
	c.clear()
	return c
}

// changesOf is what the exchange in ctx has changed so far; outside of one, an empty set of its own.
func changesOf(ctx context.Context) *changes {
	if c, ok := ctx.Value(changesKey{}).(*changes); ok {
		return c
	}
	c := &changes{}
	c.clear()
	return c
}

func (c *changes) clear() {
	*c = changes{
		collecting: c.collecting,
		failed:     c.failed,
		read:       make(map[string]peer),
		sessions:   make(map[string][]byte),
		identities: make(map[string][]byte),
		senderKeys: make(map[senderKeyID][]byte),
	}
}

// fail remembers that the database failed during the exchange: whatever else is reported, that is why.
func (c *changes) fail(err error) error {
	if err != nil {
		c.failed = err
	}
	return err
}

// touched are the addresses whose session or identity changes.
func (c *changes) touched() iter.Seq[string] {
	both := maps.Clone(c.sessions)
	maps.Copy(both, c.identities)
	return maps.Keys(both)
}

// over is a device with the changes to it.
func (c *changes) over(address string, known peer) peer {
	if session, changed := c.sessions[address]; changed {
		known.session = session
	}
	if identity, changed := c.identities[address]; changed {
		known.identity = identity
	}
	return known
}

const (
	upsertSessions = `
		INSERT INTO whatsmeow_sessions (our_jid, their_id, session)
		SELECT $1, address, session FROM unnest($2::text[], $3::bytea[]) AS changed (address, session)
		ON CONFLICT (our_jid, their_id) DO UPDATE SET session = excluded.session`
	upsertIdentities = `
		INSERT INTO whatsmeow_identity_keys (our_jid, their_id, identity)
		SELECT $1, address, identity FROM unnest($2::text[], $3::bytea[]) AS changed (address, identity)
		ON CONFLICT (our_jid, their_id) DO UPDATE SET identity = excluded.identity`
	deleteSessions   = `DELETE FROM whatsmeow_sessions WHERE our_jid = $1 AND their_id = ANY ($2::text[])`
	deleteIdentities = `DELETE FROM whatsmeow_identity_keys WHERE our_jid = $1 AND their_id = ANY ($2::text[])`
	upsertSenderKey  = `
		INSERT INTO whatsmeow_sender_keys (our_jid, chat_id, sender_id, sender_key) VALUES ($1, $2, $3, $4)
		ON CONFLICT (our_jid, chat_id, sender_id) DO UPDATE SET sender_key = excluded.sender_key`
	deletePreKeys  = `DELETE FROM whatsmeow_pre_keys WHERE jid = $1 AND key_id = ANY ($2::int[])`
	upsertOutgoing = `
		INSERT INTO whatsmeow_retry_buffer (our_jid, chat_jid, message_id, format, plaintext, timestamp)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (our_jid, chat_jid, message_id) DO UPDATE
		SET format = excluded.format, plaintext = excluded.plaintext, timestamp = excluded.timestamp`
	insertDecrypted = `
		INSERT INTO whatsmeow_event_buffer (our_jid, ciphertext_hash, plaintext, server_timestamp, insert_timestamp)
		VALUES ($1, $2, $3, $4, $5)`
)

// batch is the transaction that writes the changes of the account `jid`.
func (c *changes) batch(jid string) *pgx.Batch {
	batch := &pgx.Batch{}
	queueRows(batch, jid, c.sessions, upsertSessions, deleteSessions)
	queueRows(batch, jid, c.identities, upsertIdentities, deleteIdentities)
	for id, key := range c.senderKeys {
		batch.Queue(upsertSenderKey, jid, id.group, id.sender, key)
	}
	if len(c.spentPreKeys) > 0 {
		batch.Queue(deletePreKeys, jid, c.spentPreKeys)
	}
	now := time.Now().UnixMilli()
	for _, event := range c.outgoing {
		batch.Queue(upsertOutgoing, jid, event.chat.String(), event.id, event.format, event.plaintext, now)
	}
	for _, event := range c.decrypted {
		batch.Queue(insertDecrypted, jid, event.hash[:], event.plaintext, event.serverTime.Unix(), now)
	}
	return batch
}

func queueRows(batch *pgx.Batch, jid string, rows map[string][]byte, upsert, remove string) {
	var put, gone []string
	var values [][]byte
	for _, address := range slices.Sorted(maps.Keys(rows)) {
		if value := rows[address]; value != nil {
			put, values = append(put, address), append(values, value)
		} else {
			gone = append(gone, address)
		}
	}
	if len(put) > 0 {
		batch.Queue(upsert, jid, put, values)
	}
	if len(gone) > 0 {
		batch.Queue(remove, jid, gone)
	}
}

// put notes a change for the exchange under way; outside of one it is written at once.
func (s *sessionState) put(ctx context.Context, change func(*changes)) error {
	c := changesOf(ctx)
	change(c)
	if c.collecting {
		return nil
	}
	return s.commit(ctx, c)
}

// commit writes what was collected, in one transaction that is on disk when it returns.
func (s *sessionState) commit(ctx context.Context, c *changes) error {
	begun := s.memory.begin()
	err := s.database.write(ctx, c.batch(s.jid))
	s.memory.settle(c, begun, err != nil)
	c.clear()
	if err != nil {
		return fmt.Errorf("session state: %w", err)
	}
	return nil
}
