package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// newTestState is the state of a device that is stored, and can do nothing more. `fresh` begins with an empty memory.
func newTestState(t *testing.T) (state *sessionState, fresh func() *sessionState) {
	t.Helper()
	db, err := openDatabase(t.Context(), os.Getenv(TestDatabaseVariable), "test", waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.close)
	jid := types.NewADJID(fmt.Sprintf("49151%09d", rand.IntN(1_000_000_000)), 0, 1)
	insertDevice(t, db, jid)
	fresh = func() *sessionState { return newSessionState(db, newMemory(), jid) }
	return fresh(), fresh
}

func insertDevice(t *testing.T, db *database, jid types.JID) {
	t.Helper()
	if _, err := db.sql.Exec(`
		INSERT INTO whatsmeow_device (jid, registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id,
			signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig)
		SELECT $1, 1, b, b, b, 1, b || b, b, b, b || b, b, b || b FROM (SELECT decode(repeat('00', 32), 'hex') AS b) AS bytes`,
		jid.String()); err != nil {
		t.Fatal(err)
	}
}

func mustSession(t *testing.T, s *sessionState, address string) []byte {
	t.Helper()
	session, err := s.GetSession(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// Whatever happens to the state of an account, successfully or not, an engine that begins with an empty memory sees the
// same as the one that did it.
func TestMemoryIsWhatIsOnDisk(t *testing.T) {
	state, fresh := newTestState(t)
	chance := rand.New(rand.NewPCG(1, 2))
	address := func() string { return fmt.Sprintf("user%d:%d", chance.IntN(2*heldPeers), chance.IntN(2)) }
	identity := func() (key [32]byte) { key[0] = byte(chance.IntN(3)); return key }
	random := func() []byte { return fmt.Append(nil, chance.Uint64()) }
	group := func() string { return fmt.Sprintf("group%d@g.us", chance.IntN(2*heldKeys)) }
	failure := errors.New("not decryptable")
	decrypt := func(ends error) error {
		err := state.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
			from := address()
			if _, err := state.GetSession(ctx, from); err != nil {
				return err
			}
			return errors.Join(
				state.PutIdentity(ctx, from, identity()), state.PutSession(ctx, from, random()),
				state.PutSenderKey(ctx, group(), from, random()), state.RemovePreKey(ctx, 7),
				state.PutBufferedEvent(ctx, [32]byte(bytes.Repeat(random(), 32)), random(), time.Now()), ends)
		})
		var refused signalError
		if errors.As(err, &refused) && errors.Is(refused.error, failure) {
			return nil
		}
		return err
	}
	steps := []func() error{
		func() error { return state.PutSession(t.Context(), address(), random()) },
		func() error { return state.PutIdentity(t.Context(), address(), identity()) },
		func() error { return state.PutSenderKey(t.Context(), group(), address(), random()) },
		func() error { return state.DeleteSession(t.Context(), address()) },
		func() error { return state.DeleteIdentity(t.Context(), address()) },
		func() error {
			return state.DeleteAllSessions(t.Context(), fmt.Sprint("user", chance.IntN(2*heldPeers)))
		},
		func() error {
			return state.DeleteAllIdentities(t.Context(), fmt.Sprint("user", chance.IntN(2*heldPeers)))
		},
		func() error { return decrypt(nil) },
		func() error { return decrypt(nil) },
		func() error { return decrypt(failure) },
		func() error { // a message to several
			ctx := withExchange(t.Context(), &exchange{})
			sessions, err := state.GetManySessions(ctx, []string{address(), address(), address()})
			for to := range sessions {
				sessions[to] = random()
				err = errors.Join(err, state.PutIdentity(ctx, to, identity()))
			}
			return errors.Join(err, state.PutManySessions(ctx, sessions))
		},
		func() error { // a message that whatsmeow gives up half-way
			ctx := withExchange(t.Context(), &exchange{})
			_, err := state.GetManySessions(ctx, []string{address()})
			return errors.Join(err, state.PutIdentity(ctx, address(), identity()))
		},
	}
	var mostPeers, mostSenders int // what is forgotten leaves room: the last step need not end with a full memory
	for range 3000 {
		if err := steps[chance.IntN(len(steps))](); err != nil {
			t.Fatal(err)
		}
		mostPeers = max(mostPeers, len(state.memory.peers))
		mostSenders = max(mostSenders, len(state.memory.senderKeys))
	}
	disk := fresh()
	for at, held := range state.memory.peers {
		read, err := disk.look(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(held.session, read[at].session) || !bytes.Equal(held.identity, read[at].identity) {
			t.Errorf("%s: in memory %q, on disk %q", at, held, read[at])
		}
	}
	for id, held := range state.memory.senderKeys {
		read, err := disk.GetSenderKey(t.Context(), id.group, id.sender)
		if err != nil || !bytes.Equal(held, read) {
			t.Errorf("%v: in memory %q, on disk %q, %v", id, held, read, err)
		}
	}
	if mostPeers != heldPeers || mostSenders != heldKeys {
		t.Errorf("at most %d devices and %d sender keys were held", mostPeers, mostSenders)
	}
}

// One exchange is written whole or not at all, and what was not written is not in memory either.
func TestExchangeIsOneTransaction(t *testing.T) {
	state, _ := newTestState(t)
	if err := state.PutSession(t.Context(), "bob:0", []byte("before")); err != nil {
		t.Fatal(err)
	}
	hash := [32]byte{1}
	receive := func(session string) error {
		return state.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
			if read := mustSession(t, state, "bob:0"); string(read) != "before" {
				return fmt.Errorf("session: %q", read)
			}
			if err := state.PutSession(ctx, "bob:0", []byte(session)); err != nil {
				return err
			}
			if found, err := state.GetSession(ctx, "bob:0"); err != nil || string(found) != session {
				t.Errorf("within the exchange: %q, %v", found, err)
			}
			return state.PutBufferedEvent(ctx, hash, []byte("text"), time.Now())
		})
	}
	if _, err := state.database.sql.Exec(`
		INSERT INTO whatsmeow_event_buffer (our_jid, ciphertext_hash, server_timestamp, insert_timestamp) VALUES ($1, $2, 0, 0)`,
		state.jid, hash[:]); err != nil {
		t.Fatal(err)
	}
	var refused signalError
	if err := receive("after"); err == nil || errors.As(err, &refused) {
		t.Fatalf("a message that cannot be noted: %v", err)
	}
	if session := mustSession(t, state, "bob:0"); string(session) != "before" {
		t.Errorf("after a failed transaction: %q", session)
	}
	hash = [32]byte{2}
	if err := state.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
		return errors.Join(state.PutSession(ctx, "bob:0", []byte("destroyed")), errors.New("not decryptable"))
	}); !errors.As(err, &refused) {
		t.Errorf("a message that cannot be decrypted: %v", err)
	}
	if err := receive("after"); err != nil {
		t.Fatal(err)
	}
	if session := mustSession(t, state, "bob:0"); string(session) != "after" {
		t.Errorf("after the transaction: %q", session)
	}
}

// A write whose answer is lost may have been committed: the next read comes from disk.
func TestWriteOfUnknownOutcome(t *testing.T) {
	state, fresh := newTestState(t)
	if err := state.PutSession(t.Context(), "bob:0", []byte("before")); err != nil {
		t.Fatal(err)
	}
	mustSession(t, state, "bob:0")
	ctx := withExchange(t.Context(), &exchange{})
	if err := fresh().PutSession(t.Context(), "bob:0", []byte("committed")); err != nil { // as the server did
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := state.PutManySessions(gone, map[string][]byte{"bob:0": []byte("committed")}); err == nil {
		t.Fatal("no error")
	}
	if session := mustSession(t, state, "bob:0"); string(session) != "committed" {
		t.Errorf("after the answer was lost: %q", session)
	}
}

// That the database failed while a message was being decrypted says nothing about the message.
func TestFailedReadIsNotUndecryptable(t *testing.T) {
	state, _ := newTestState(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, read := range map[string]func(context.Context) error{
		"session":  func(ctx context.Context) error { _, err := state.GetSession(ctx, "bob:0"); return err },
		"identity": func(ctx context.Context) error { return state.PutIdentity(ctx, "bob:0", [32]byte{}) },
		"sender key": func(ctx context.Context) error {
			_, err := state.GetSenderKey(ctx, "walkers@g.us", "bob:0")
			return err
		},
		"pre-key": func(ctx context.Context) error { _, err := state.GetPreKey(ctx, 1); return err },
	} {
		err := state.DoDecryptionTxn(gone, func(ctx context.Context) error {
			if read(ctx) == nil {
				t.Errorf("%s: read without a database", name)
			}
			return errors.New("not decryptable")
		})
		var refused signalError
		if err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing finds an address only at its third try.
type failing struct {
	store.LIDStore
	tries int
}

func (f *failing) GetLIDForPN(context.Context, types.JID) (types.JID, error) {
	if f.tries++; f.tries < 3 {
		return types.JID{}, errors.New("no database")
	}
	return types.NewJID("1", types.HiddenUserServer), nil
}

func (f *failing) GetPNForLID(ctx context.Context, lid types.JID) (types.JID, error) {
	return f.GetLIDForPN(ctx, lid)
}

// An inbound message waits for the address whose session it is decrypted with; an outgoing one does not.
func TestAddressOfAMessageIsWaitedFor(t *testing.T) {
	state, _ := newTestState(t)
	k := &keeper{database: state.database, log: slog.New(slog.DiscardHandler)}
	bob, hidden := types.NewJID("4915112345678", types.DefaultUserServer), types.NewJID("1", types.HiddenUserServer)
	for from, find := range map[types.JID]func(context.Context, types.JID) (types.JID, error){
		bob:    keptLIDs{&failing{}, k}.GetLIDForPN,
		hidden: keptLIDs{&failing{}, k}.GetPNForLID,
	} {
		if _, err := find(withExchange(t.Context(), &exchange{}), from); err == nil {
			t.Error("an outgoing message waited")
		}
		if other, err := find(t.Context(), from); err != nil || other.User != "1" {
			t.Errorf("an inbound message did not wait: %v, %v", other, err)
		}
	}
}

// What is read from disk while it is being written, and what is written twice at once, leaves no trace of the older in
// memory.
func TestOverlapLeavesNothingStale(t *testing.T) {
	state, fresh := newTestState(t)
	const address, group = "bob:0", "walkers@g.us"
	check := func(s *sessionState, round int, want []byte) {
		t.Helper()
		key, err := s.GetSenderKey(t.Context(), group, address)
		if session := mustSession(t, s, address); err != nil || !bytes.Equal(session, want) || !bytes.Equal(key, want) {
			t.Fatalf("%d: session %q, sender key %q, %v; want %q", round, session, key, err, want)
		}
	}
	write := func(value []byte) error {
		return state.DoDecryptionTxn(t.Context(), func(ctx context.Context) error {
			return errors.Join(state.PutSession(ctx, address, value), state.PutSenderKey(ctx, group, address, value))
		})
	}
	for round := range 300 {
		var overlapping sync.WaitGroup
		overlapping.Go(func() {
			state.memory.discard()
			_, err := state.GetSession(t.Context(), address)
			_, err2 := state.GetSenderKey(t.Context(), group, address)
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
		})
		if err := write(fmt.Append(nil, round)); err != nil {
			t.Fatal(err)
		}
		overlapping.Wait()
		check(state, round, fmt.Append(nil, round))
	}
	for round := range 300 {
		var overlapping sync.WaitGroup
		for writer := range 2 {
			overlapping.Go(func() {
				if err := write(fmt.Append(nil, round, writer)); err != nil {
					t.Error(err)
				}
			})
		}
		overlapping.Wait()
		check(state, round, mustSession(t, fresh(), address))
	}
}

// Once the worker has stored a message, its text goes; that it was there is known before that.
func TestTextOfAStoredMessageGoes(t *testing.T) {
	state, _ := newTestState(t)
	hash := [32]byte{3}
	if err := state.PutBufferedEvent(t.Context(), hash, []byte("text"), time.Now()); err != nil {
		t.Fatal(err)
	}
	buffered := func() *store.BufferedEvent {
		t.Helper()
		found, err := state.GetBufferedEvent(t.Context(), hash)
		if err != nil || found == nil {
			t.Fatal(found, err)
		}
		return found
	}
	if found := buffered(); string(found.Plaintext) != "text" {
		t.Errorf("before: %q", found.Plaintext)
	}
	if err := state.ClearBufferedEventPlaintext(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	if found := buffered(); found.Plaintext != nil {
		t.Errorf("it would go to the worker again: %q", found.Plaintext)
	}
	if err := state.database.clearPlaintexts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(state.database.plaintexts.stored) != 0 {
		t.Error("it would be cleared again")
	}
	if found := buffered(); found.Plaintext != nil {
		t.Errorf("after: %q", found.Plaintext)
	}
}

// What whatsmeow saves after an account was logged out, such as a push name that comes late, must not bring its keys back.
func TestForgottenDeviceStaysForgotten(t *testing.T) {
	state, _ := newTestState(t)
	db := state.database
	device, err := db.container.GetDevice(t.Context(), state.account)
	if err != nil || device == nil {
		t.Fatal(device, err)
	}
	(&keeper{database: db, guard: newGuard(), memory: newMemory(), lease: func() error { return nil }}).adopt(device)
	if err := device.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := device.Delete(t.Context()); !errors.Is(err, errForgotten) {
		t.Errorf("deleted: %v", err)
	}
	if err := device.Save(t.Context()); !errors.Is(err, errForgotten) {
		t.Errorf("saved: %v", err)
	}
	if found, err := db.container.GetDevice(t.Context(), state.account); err != nil || found != nil {
		t.Errorf("its keys: %v, %v", found, err)
	}
}

// An engine whose lease ran out decrypts nothing more, and acknowledges nothing.
func TestNothingIsDecryptedWithoutALease(t *testing.T) {
	state, _ := newTestState(t)
	expired := false
	lease := func() error {
		if expired {
			return errLease
		}
		return nil
	}
	events := &keptEvents{EventBuffer: state, keeper: &keeper{
		database: state.database, guard: newGuard(), memory: state.memory, lease: lease, log: slog.New(slog.DiscardHandler),
	}}
	if _, err := events.GetBufferedEvent(t.Context(), [32]byte{4}); err != nil {
		t.Fatal(err)
	}
	expired = true
	err := events.DoDecryptionTxn(t.Context(), func(context.Context) error {
		t.Error("decrypted")
		return nil
	})
	if !errors.Is(err, errLease) || !errors.Is(err, context.Canceled) { // whatsmeow acknowledges other errors
		t.Errorf("decrypting: %v", err)
	}
	if _, err := events.GetBufferedEvent(t.Context(), [32]byte{4}); !errors.Is(err, errLease) || !errors.Is(err, context.Canceled) {
		t.Errorf("looking up: %v", err)
	}
}
