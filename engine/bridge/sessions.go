package bridge

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

// heldPeers and heldKeys bound what an account holds in memory. What is dropped for room is read again.
const (
	heldPeers = 256 // devices; a session is 1 to 2 kB
	heldKeys  = 64  // sender keys, of each sender in each group
)

// peer is what is known of one device that an account writes with. Nil: there is none.
type peer struct{ session, identity []byte }

// senderKeyID names the key with which one sender encrypts for one group.
type senderKeyID struct{ group, sender string }

// memory holds what is on disk for one account, and nothing else: it is changed when a transaction has ended well, and
// forgets what a failed one was about, since nobody knows whether that was committed.
//
// It is true as long as nobody else writes for the account. Whoever does, is connected for it, and WhatsApp keeps one
// connection: so each login begins with an empty memory.
type memory struct {
	mu         sync.Mutex
	version    uint64 // grows with every change: what was read from disk before must not be put into memory after
	peers      map[string]peer
	senderKeys map[senderKeyID][]byte
	tokens     map[types.JID]*store.PrivacyToken // nil: there is none
	salt       *[]byte
	migrated   map[string]bool // numbers whose sessions have been moved to their LID
	lids       lidMemory
}

func newMemory() *memory {
	m := &memory{migrated: make(map[string]bool), lids: lidMemory{fresh: newLIDs()}}
	m.discard()
	return m
}

// discard empties the memory.
func (m *memory) discard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	m.peers = make(map[string]peer)
	m.senderKeys = make(map[senderKeyID][]byte)
	m.tokens = make(map[types.JID]*store.PrivacyToken)
	m.salt = nil
	m.lids.discard()
}

// forget drops the devices of users, and whatever `also` drops, after something has been done to them on disk.
func (m *memory) forget(also func(), users ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	for address := range m.peers {
		if user, _, _ := strings.Cut(address, ":"); slices.Contains(users, user) {
			delete(m.peers, address)
		}
	}
	also()
}

// begin is the version that a transaction begins at.
func (m *memory) begin() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.version
}

// settle takes over what a transaction has changed that began at a version. It forgets it if the transaction failed, and
// if there was another one meanwhile: which of both was the last on disk is not known here.
func (m *memory) settle(c *changes, begun uint64, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	unknown := failed || m.version != begun
	m.version++
	for address := range c.touched() {
		held, known := m.peers[address]
		switch {
		case unknown:
			delete(m.peers, address)
		case known:
			m.peers[address] = c.over(address, held)
		}
	}
	for id, key := range c.senderKeys {
		if unknown {
			delete(m.senderKeys, id)
		} else {
			hold(m.senderKeys, id, key, heldKeys)
		}
	}
}

// hold puts an entry into a map that stays bounded.
func hold[K comparable, V any](entries map[K]V, key K, value V, atMost int) {
	if _, known := entries[key]; !known && len(entries) >= atMost {
		for other := range entries {
			delete(entries, other)
			break
		}
	}
	entries[key] = value
}

// recalled looks something up in memory, and else reads it from disk and keeps it.
func recalled[V any](m *memory, look func() (V, bool), read func() (V, error), keep func(V)) (V, error) {
	m.mu.Lock()
	value, known := look()
	version := m.version
	m.mu.Unlock()
	if known {
		return value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == version {
		keep(value)
	}
	return value, nil
}

// sessionState is whatsmeow's store of one account, over its memory: what whatsmeow reads for each message comes from
// there, and what it writes for one is collected and written in one transaction, before the frame leaves and before an
// inbound message is acknowledged. Rare things go to whatsmeow's own store.
type sessionState struct {
	store.AllSessionSpecificStores
	database *database
	memory   *memory
	account  types.JID
	jid      string
}

func newSessionState(d *database, m *memory, jid types.JID) *sessionState {
	return &sessionState{
		AllSessionSpecificStores: sqlstore.NewSQLStore(d.container, jid),
		database:                 d,
		memory:                   m,
		account:                  jid,
		jid:                      jid.String(),
	}
}

const selectPeers = `
	SELECT address, session, identity FROM unnest($2::text[]) AS address
	LEFT JOIN whatsmeow_sessions AS s ON s.our_jid = $1 AND s.their_id = address
	LEFT JOIN whatsmeow_identity_keys AS i ON i.our_jid = $1 AND i.their_id = address`

// look finds devices: as the exchange under way has changed them, else in memory, else on disk.
func (s *sessionState) look(ctx context.Context, addresses ...string) (map[string]peer, error) {
	found := make(map[string]peer, len(addresses))
	c := changesOf(ctx)
	var missing []string
	s.memory.mu.Lock()
	version := s.memory.version
	for _, address := range addresses {
		known, ok := c.read[address]
		if !ok {
			known, ok = s.memory.peers[address]
		}
		if ok {
			found[address] = known
		} else {
			missing = append(missing, address)
		}
	}
	s.memory.mu.Unlock()
	if len(missing) > 0 {
		if err := s.readPeers(ctx, missing, found); err != nil {
			return nil, c.fail(err)
		}
		s.memory.mu.Lock()
		if s.memory.version == version {
			for _, address := range missing {
				hold(s.memory.peers, address, found[address], heldPeers)
			}
		}
		s.memory.mu.Unlock()
	}
	for address, known := range found {
		if c.collecting {
			c.read[address] = known
		}
		found[address] = c.over(address, known)
	}
	return found, nil
}

func (s *sessionState) readPeers(ctx context.Context, addresses []string, into map[string]peer) error {
	rows, err := s.database.queries.Query(ctx, selectPeers, s.jid, addresses)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var address string
		var read peer
		if err := rows.Scan(&address, &read.session, &read.identity); err != nil {
			return err
		}
		into[address] = read
	}
	return rows.Err()
}

func (s *sessionState) GetSession(ctx context.Context, address string) ([]byte, error) {
	found, err := s.look(ctx, address)
	return found[address].session, err
}

func (s *sessionState) HasSession(ctx context.Context, address string) (bool, error) {
	found, err := s.look(ctx, address)
	return found[address].session != nil, err
}

func (s *sessionState) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	found, err := s.look(ctx, addresses...)
	if err != nil {
		return nil, err
	}
	sessions := make(map[string][]byte, len(found))
	for address, known := range found {
		sessions[address] = known.session
	}
	return sessions, nil
}

// IsTrustedIdentity trusts the first identity that is seen of a device, as whatsmeow's own store does.
func (s *sessionState) IsTrustedIdentity(ctx context.Context, address string, key [32]byte) (bool, error) {
	found, err := s.look(ctx, address)
	known := found[address].identity
	return known == nil || bytes.Equal(known, key[:]), err
}

// PutIdentity is called with every message: only a change is written.
func (s *sessionState) PutIdentity(ctx context.Context, address string, key [32]byte) error {
	found, err := s.look(ctx, address)
	if err != nil || bytes.Equal(found[address].identity, key[:]) {
		return err
	}
	return s.put(ctx, func(c *changes) { c.identities[address] = key[:] })
}

func (s *sessionState) DeleteIdentity(ctx context.Context, address string) error {
	return s.put(ctx, func(c *changes) { c.identities[address] = nil })
}

func (s *sessionState) PutSession(ctx context.Context, address string, session []byte) error {
	return s.put(ctx, func(c *changes) { c.sessions[address] = boundedSession(session) })
}

func (s *sessionState) DeleteSession(ctx context.Context, address string) error {
	return s.put(ctx, func(c *changes) { c.sessions[address] = nil })
}

// PutManySessions ends what is collected for an outgoing message: its frame comes next.
func (s *sessionState) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	c := changesOf(ctx)
	for address, session := range sessions {
		c.sessions[address] = boundedSession(session)
	}
	return s.commit(ctx, c)
}

func (s *sessionState) DeleteAllSessions(ctx context.Context, user string) error {
	defer s.memory.forget(func() {}, user)
	return s.AllSessionSpecificStores.DeleteAllSessions(ctx, user)
}

func (s *sessionState) DeleteAllIdentities(ctx context.Context, user string) error {
	defer s.memory.forget(func() {}, user)
	return s.AllSessionSpecificStores.DeleteAllIdentities(ctx, user)
}

// MigratePNToLID is called with every message from the address of a phone number. There is something to do once, and
// again if that failed: whatsmeow's own store remembers a failure as a success.
func (s *sessionState) MigratePNToLID(ctx context.Context, pn, lid types.JID) error {
	number := pn.SignalAddressUser()
	s.memory.mu.Lock()
	done := s.memory.migrated[number]
	s.memory.mu.Unlock()
	if done {
		return nil
	}
	err := sqlstore.NewSQLStore(s.database.container, s.account).MigratePNToLID(ctx, pn, lid)
	s.memory.forget(func() {
		clear(s.memory.senderKeys)
		s.memory.migrated[number] = err == nil
	}, number, lid.SignalAddressUser())
	return err
}

func (s *sessionState) GetSenderKey(ctx context.Context, group, sender string) ([]byte, error) {
	id, c := senderKeyID{group, sender}, changesOf(ctx)
	if key, changed := c.senderKeys[id]; changed {
		return key, nil
	}
	key, err := recalled(s.memory,
		func() ([]byte, bool) { key, known := s.memory.senderKeys[id]; return key, known },
		func() ([]byte, error) { return s.AllSessionSpecificStores.GetSenderKey(ctx, group, sender) },
		func(key []byte) { hold(s.memory.senderKeys, id, key, heldKeys) })
	return key, c.fail(err)
}

// PutSenderKey writes the account's own key at once: not every message to a group ends with PutManySessions.
func (s *sessionState) PutSenderKey(ctx context.Context, group, sender string, key []byte) error {
	if err := s.put(ctx, func(c *changes) { c.senderKeys[senderKeyID{group, sender}] = key }); err != nil {
		return err
	}
	if exchangeOf(ctx) == nil {
		return nil
	}
	return s.commit(ctx, changesOf(ctx))
}

func (s *sessionState) GetPreKey(ctx context.Context, id uint32) (*keys.PreKey, error) {
	key, err := s.AllSessionSpecificStores.GetPreKey(ctx, id)
	return key, changesOf(ctx).fail(err)
}

func (s *sessionState) RemovePreKey(ctx context.Context, id uint32) error {
	return s.put(ctx, func(c *changes) { c.spentPreKeys = append(c.spentPreKeys, int32(id)) })
}

// AddOutgoingEvent keeps a message that is sent, in case its recipient asks for it again.
func (s *sessionState) AddOutgoingEvent(ctx context.Context, chat types.JID, id types.MessageID, format string, plaintext []byte) error {
	return s.put(ctx, func(c *changes) { c.outgoing = append(c.outgoing, outgoingEvent{chat, id, format, plaintext}) })
}

func (s *sessionState) PutBufferedEvent(ctx context.Context, hash [32]byte, plaintext []byte, serverTime time.Time) error {
	return s.put(ctx, func(c *changes) { c.decrypted = append(c.decrypted, decryptedEvent{hash, plaintext, serverTime}) })
}

// signalError says that a message cannot be decrypted, with the database in order.
type signalError struct{ error }

// DoDecryptionTxn writes what decrypting a message has changed. An error is the database's, but for signalError.
func (s *sessionState) DoDecryptionTxn(ctx context.Context, decrypt func(context.Context) error) error {
	c := newChanges()
	err := decrypt(context.WithValue(ctx, changesKey{}, c))
	switch {
	case c.failed != nil:
		return c.failed
	case err != nil:
		return signalError{err}
	}
	return s.commit(ctx, c)
}

// GetBufferedEvent finds a message that was decrypted before.
func (s *sessionState) GetBufferedEvent(ctx context.Context, hash [32]byte) (*store.BufferedEvent, error) {
	found, err := s.AllSessionSpecificStores.GetBufferedEvent(ctx, hash)
	if found != nil && s.database.plaintexts.done(s.jid, hash) {
		found.Plaintext = nil
	}
	return found, err
}

// ClearBufferedEventPlaintext notes that a message was stored by the worker.
func (s *sessionState) ClearBufferedEventPlaintext(_ context.Context, hash [32]byte) error {
	s.database.plaintexts.add(s.jid, hash)
	return nil
}
