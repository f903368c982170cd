package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says where a sandbox listens and what it keeps.
type Options struct {
	WhatsAppListen string       // host:port of the protocol listener; port 0 takes a free one
	PhonesListen   string       // host:port of the page and the HTTP interface; port 0 takes a free one
	StateDir       string       // directory of the durable state; "" keeps everything in memory only
	Log            *slog.Logger // nil discards
}

// Server is a running sandbox.
type Server struct {
	log      *slog.Logger
	seed     *seed
	identity *serverIdentity
	journal  *journal
	media    *mediaStore
	events   *eventHub
	faults   *faults
	stats    stats

	ctx       context.Context
	cancel    context.CancelFunc
	listeners [2]net.Listener
	servers   [2]*http.Server
	serving   sync.WaitGroup

	mu         sync.Mutex
	phones     map[string]*phone
	settings   map[string]phoneSettings // what differs from the default
	companions map[address]*companion
	linked     map[string][]uint16 // devices by number, ascending, without the phone
	nextDevice map[string]uint16   // the highest device number ever given, by number
	watchers   map[string]map[address]struct{}
	refs       map[string]*connection
	phoneCodes map[string]*connection // by number
	groups     map[string]*group
	patches    map[collectionKey][]storedPatch
}

// stats are counters since the start.
type stats struct {
	received, messages, delivered, receipts, undecryptable, rejected, dropped atomic.Int64
}

// Start runs a sandbox until its context ends or Close is called.
func Start(ctx context.Context, options Options) (*Server, error) {
	s := &Server{
		log: options.Log, media: newMediaStore(), events: newEventHub(), faults: newFaults(),
		phones: map[string]*phone{}, settings: map[string]phoneSettings{}, companions: map[address]*companion{},
		linked: map[string][]uint16{}, nextDevice: map[string]uint16{}, watchers: map[string]map[address]struct{}{},
		refs: map[string]*connection{}, phoneCodes: map[string]*connection{}, groups: map[string]*group{},
		patches: map[collectionKey][]storedPatch{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := s.open(options); err != nil {
		s.Close()
		return nil, err
	}
	handlers := [2]http.Handler{s.protocolHandler(), s.guarded(s.phonesHandler(), options.PhonesListen)}
	for i := range handlers {
		server := &http.Server{Handler: handlers[i], ReadHeaderTimeout: 10 * time.Second}
		server.BaseContext = func(net.Listener) context.Context { return s.ctx }
		s.servers[i] = server
		s.serving.Go(func() {
			if err := server.Serve(s.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("listener failed", "error", err)
			}
		})
	}
	context.AfterFunc(s.ctx, s.Close)
	return s, nil
}

// open reads the durable state and binds the listeners.
func (s *Server) open(options Options) (err error) {
	if s.seed, err = loadSeed(options.StateDir); err != nil {
		return fmt.Errorf("sandbox state: %w", err)
	}
	if s.identity, err = newServerIdentity(s.seed, time.Now()); err != nil {
		return err
	}
	for i, listen := range []string{options.WhatsAppListen, options.PhonesListen} {
		if s.listeners[i], err = net.Listen("tcp", listen); err != nil {
			return fmt.Errorf("sandbox cannot listen: %w", err)
		}
	}
	if s.journal, err = openJournal(options.StateDir, s.replay); err != nil {
		return fmt.Errorf("sandbox state: %w", err)
	}
	if err = s.journal.rewrite(s.snapshot()); err != nil {
		return fmt.Errorf("sandbox state: %w", err)
	}
	return nil
}

// WhatsAppAddress is the host:port that a client dials.
func (s *Server) WhatsAppAddress() string { return s.listeners[0].Addr().String() }

// PhonesAddress is the host:port of the page and the HTTP interface.
func (s *Server) PhonesAddress() string { return s.listeners[1].Addr().String() }

// RootKey is the X25519 public key at the root of the server's certificates, which clients pin.
func (s *Server) RootKey() []byte { return s.identity.root.Pub[:] }

// Close cuts all connections and frees the ports. It may be called more than once.
func (s *Server) Close() {
	s.cancel()
	for i, listener := range s.listeners {
		if s.servers[i] != nil {
			_ = s.servers[i].Close()
		} else if listener != nil {
			_ = listener.Close()
		}
	}
	s.serving.Wait()
	if s.journal != nil {
		s.journal.close()
	}
}

// protocolHandler serves what a client reaches: the WebSocket, the media hosts, and the page that names the current
// version of WhatsApp Web.
func (s *Server) protocolHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/chat", s.serveSocket)
	mux.HandleFunc("POST /mms/{type}/{token}", s.serveUpload)
	mux.HandleFunc("DELETE /mms/{type}/{token}", s.serveDelete)
	mux.HandleFunc("GET /media/{token}", s.serveDownload)
	mux.HandleFunc("GET /{$}", s.serveVersion)
	return mux
}

// replay applies a record of the journal while the server starts.
func (s *Server) replay(r record) {
	switch {
	case r.Phone != nil:
		s.settings[r.Phone.Number] = *r.Phone
	case r.Companion != nil:
		who := r.Companion.address()
		if c := s.companions[who]; c != nil {
			c.companionRecord = *r.Companion // a new signed prekey
			return
		}
		s.companions[who] = newCompanion(*r.Companion)
		s.linked[who.number] = append(removeDevice(s.linked[who.number], who.device), who.device)
		s.nextDevice[who.number] = max(s.nextDevice[who.number], who.device)
	case r.Unlinked != nil:
		who := r.Unlinked.address()
		delete(s.companions, who)
		s.linked[who.number] = removeDevice(s.linked[who.number], who.device)
		s.nextDevice[who.number] = max(s.nextDevice[who.number], who.device)
	case r.PreKeys != nil:
		if c := s.companions[r.PreKeys.address()]; c != nil {
			c.addPreKeys(r.PreKeys.Keys)
		}
	case r.PreKey != nil:
		if c := s.companions[r.PreKey.address()]; c != nil {
			delete(c.preKeys, r.PreKey.ID)
		}
	case r.Group != nil:
		s.groups[r.Group.ID] = r.Group
	case r.Patch != nil:
		s.patches[r.Patch.key()] = append(s.patches[r.Patch.key()], *r.Patch)
	}
}

// snapshot lists the records that state everything durable.
func (s *Server) snapshot() []record {
	var records []record
	for _, settings := range s.settings {
		records = append(records, record{Phone: &settings})
	}
	for number, device := range s.nextDevice {
		if s.companions[address{number, device}] == nil {
			records = append(records, record{Unlinked: &companionKey{number, device}})
		}
	}
	for _, c := range s.companions {
		records = append(records, record{Companion: &c.companionRecord},
			record{PreKeys: &preKeyUpload{c.companionKey, c.preKeyBlob()}})
	}
	for _, g := range s.groups {
		records = append(records, record{Group: g})
	}
	for _, patches := range s.patches {
		for _, patch := range patches {
			records = append(records, record{Patch: &patch})
		}
	}
	return records
}

// save makes a fact durable. The caller holds s.mu.
func (s *Server) save(r record) error {
	grown, err := s.journal.append(r)
	if err == nil && grown {
		// The record is in the state already or about to be: writing it once more after the rewrite loses nothing.
		if err = s.journal.rewrite(s.snapshot()); err == nil {
			_, err = s.journal.append(r)
		}
	}
	if err != nil {
		s.log.Error("state cannot be saved", "error", err)
	}
	return err
}

// newID makes an id for a stanza or a message.
func newID() string {
	var id [9]byte
	_, _ = rand.Read(id[:])
	return "5A" + strings.ToUpper(hex.EncodeToString(id[:]))
}
