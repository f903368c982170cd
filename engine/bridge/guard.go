package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow/store"

	"chatwren/engine/signal"
)

// looseHold is how long an exchange may last that whatsmeow begins by reading one session and need not end by writing
// it (the answer to a retry receipt, a message to the own phone, when they fail half-way).
const looseHold = 2 * time.Second

var (
	errNotEncrypted = errors.New("the message could not be encrypted for any device of the recipient")
	errGivenUp      = errors.New("the message was given up before it was encrypted")
	errHeldUp       = errors.New("the message waited too long for what else the account does")
)

// What becomes of an outgoing message to one contact. It is decided once.
const (
	undecided = iota
	encrypted // its frame may be out
	dropped   // its frame never goes out
)

// guard lets one exchange at a time use the Signal sessions of an account. whatsmeow reads sessions, moves their ratchets
// in memory and writes them back, for sending and for receiving at the same time: without the guard the one overwrites
// what the other wrote, and messages become undecryptable on both sides.
type guard struct {
	slot chan struct{}

	mu    sync.Mutex
	loose *time.Timer // set while the holder is one of looseHold
}

func newGuard() *guard { return &guard{slot: make(chan struct{}, 1)} }

func (g *guard) lock(ctx context.Context) error {
	select {
	case g.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *guard) unlock() { <-g.slot }

func (g *guard) lockLoosely(ctx context.Context) error {
	if err := g.lock(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(looseHold, func() {
		g.mu.Lock()
		mine := g.loose == timer
		g.mu.Unlock()
		if mine {
			g.unlockLoosely()
		}
	})
	g.loose = timer
	return nil
}

func (g *guard) unlockLoosely() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loose != nil {
		g.loose.Stop()
		g.loose = nil
		g.unlock()
	}
}

// exchange follows one outgoing message through whatsmeow: it comes back in the context of each store call.
type exchange struct {
	guard  *guard
	own    string // user part of the account's own Signal addresses
	direct bool   // to one contact: it must be encrypted for at least one of the contact's devices
	held   bool
	asked  int // addresses it is to be encrypted for
	fate   atomic.Int32
}

// drop gives the message up. False: its frame may be out.
func (x *exchange) drop() bool {
	return x.direct && (x.fate.CompareAndSwap(undecided, dropped) || x.fate.Load() == dropped)
}

// decryption follows one inbound message through its transaction.
type decryption struct{ read map[string][]byte } // sessions by address

type (
	exchangeKey   struct{}
	decryptionKey struct{}
)

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(context.WithValue(ctx, exchangeKey{}, x), changesKey{}, newChanges())
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func withDecryption(ctx context.Context) context.Context {
	return context.WithValue(ctx, decryptionKey{}, &decryption{read: make(map[string][]byte)})
}

func decryptionOf(ctx context.Context) *decryption {
	d, _ := ctx.Value(decryptionKey{}).(*decryption)
	return d
}

// end releases the guard if whatsmeow gave up between reading the sessions and writing them.
func (x *exchange) end() {
	if x.held {
		x.held = false
		x.guard.unlock()
	}
}

// again readies it for a second go of a group message that WhatsApp has refused.
func (x *exchange) again() {
	x.end()
	x.fate.Store(undecided)
}

// reaches says whether a device that is not our own is among those encrypted for.
func (x *exchange) reaches(sessions map[string][]byte) bool {
	for address := range sessions {
		user, _, _ := strings.Cut(address, ":")
		if user != x.own {
			return true
		}
	}
	return false
}

// guardedSessions is the store through which the guard is taken: from the first read of an outgoing message to the write
// that precedes its frame. That write is also the last moment at which an expired lease can stop the frame.
type guardedSessions struct {
	store.SessionStore
	guard *guard
	lease func() error
}

func (s guardedSessions) GetManySessions(ctx context.Context, addresses []string) (map[string][]byte, error) {
	x := exchangeOf(ctx)
	if x == nil {
		return s.SessionStore.GetManySessions(ctx, addresses)
	}
	if err := s.guard.lock(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHeldUp, err)
	}
	x.held = true
	x.asked = len(addresses)
	sessions, err := s.SessionStore.GetManySessions(ctx, addresses)
	if err != nil {
		x.end()
	}
	return sessions, err
}

func (s guardedSessions) PutManySessions(ctx context.Context, sessions map[string][]byte) error {
	x := exchangeOf(ctx)
	if x == nil {
		return s.SessionStore.PutManySessions(ctx, sessions)
	}
	defer x.end()
	if x.direct && !x.reaches(sessions) {
		return errNotEncrypted
	}
	if err := s.lease(); err != nil {
		return err
	}
	if !x.fate.CompareAndSwap(undecided, encrypted) {
		return errGivenUp
	}
	return s.SessionStore.PutManySessions(ctx, sessions)
}

func (s guardedSessions) GetSession(ctx context.Context, address string) ([]byte, error) {
	if d := decryptionOf(ctx); d != nil {
		session, err := s.SessionStore.GetSession(ctx, address)
		d.read[address] = session
		return session, err
	}
	if exchangeOf(ctx) != nil {
		return s.SessionStore.GetSession(ctx, address)
	}
	if err := s.guard.lockLoosely(ctx); err != nil {
		return nil, err
	}
	session, err := s.SessionStore.GetSession(ctx, address)
	if err != nil {
		s.guard.unlockLoosely()
	}
	return session, err
}

func (s guardedSessions) PutSession(ctx context.Context, address string, session []byte) error {
	if d := decryptionOf(ctx); d != nil {
		mended, err := signal.Mend(d.read[address], session)
		if err != nil {
			return err
		}
		return s.SessionStore.PutSession(ctx, address, mended)
	}
	if exchangeOf(ctx) != nil {
		return s.SessionStore.PutSession(ctx, address, session)
	}
	defer s.guard.unlockLoosely()
	if err := s.lease(); err != nil {
		return err
	}
	return s.SessionStore.PutSession(ctx, address, session)
}
