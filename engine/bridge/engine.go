// Package bridge keeps WhatsApp accounts connected through whatsmeow and offers them over gRPC (proto/engine.proto).
//
// It carries protocol and decides nothing: which account is open here, and what is sent when, is the worker's business.
// What it adds to whatsmeow is care. An inbound message is acknowledged to WhatsApp only when the worker has stored it;
// sending and receiving never race for one Signal session; nothing is acknowledged that the database could not take; and
// an engine whose lease ran out sends nothing and writes nothing.
package bridge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/grpc"

	"chatwren/engine/enginepb"
)

// Options say what an engine talks to. DatabaseURL is required.
type Options struct {
	DatabaseURL string // postgres URL or libpq key words
	Worker      string // id of the worker that owns this process; names its database sessions and fences them
	Version     string // of this build

	WhatsAppAddress string // host:port of a server that speaks the protocol without TLS; empty: WhatsApp's own
	RootKey         string // hex of the 32 bytes that sign that server's certificates; empty: WhatsApp's
	Proxy           string // URL of an HTTP CONNECT proxy; empty: as the environment says
	CAFile          string // PEM file of further certificate authorities

	Log *slog.Logger
}

// Engine holds the accounts that are open in this process.
type Engine struct {
	options  Options
	log      *slog.Logger
	http     *http.Client
	database *database
	version  protocolVersion
	hub      *hub
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup

	settingsPlaces chan struct{} // held while an account fetches settings

	mu       sync.Mutex
	accounts map[string]*ownership // by account id
}

// New opens the database and starts an engine without accounts. It fails if the database cannot be reached or has not
// been migrated.
func New(ctx context.Context, options Options) (*Engine, error) {
	client, err := newHTTPClient(options)
	if err != nil {
		return nil, err
	}
	if err := setRootKey(options.RootKey); err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, options.DatabaseURL, options.Worker, newProtocolLog(options.Log))
	if err != nil {
		return nil, err
	}
	configure()
	running, stop := context.WithCancel(context.Background())
	e := &Engine{
		options:  options,
		log:      options.Log,
		http:     client,
		database: db,
		hub:      newHub(),
		ctx:      running,
		stop:     stop,
		accounts: make(map[string]*ownership),

		settingsPlaces: make(chan struct{}, settingsPlaces),
	}
	e.version.engine, e.version.asking = e, make(chan struct{}, 1)
	e.work.Go(e.watch)
	e.work.Go(e.cleanHourly)
	e.work.Go(e.clearPlaintexts)
	return e, nil
}

// Register offers the engine's calls on a gRPC server.
func (e *Engine) Register(server *grpc.Server) {
	server.RegisterService(bounded(enginepb.Engine_ServiceDesc, e.log), &door{engine: e})
}

// Close disconnects all accounts, which stay linked, and closes the database.
func (e *Engine) Close() {
	e.stop()
	for _, a := range e.openAccounts() {
		e.dismiss(a)
	}
	e.hub.close()
	e.work.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := e.database.clearPlaintexts(ctx); err != nil {
		e.log.Warn("stored messages are not cleared", "error", err.Error())
	}
	e.database.close()
}

// pinned is the root key of this process. whatsmeow keeps it in a global: a process talks to WhatsApp or to another
// server, never to both.
var pinned struct {
	sync.Mutex
	key string
}

func setRootKey(text string) error {
	if text == "" {
		return nil
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != len(whatsmeow.WACertPubKey) {
		return fmt.Errorf("root key: want %d bytes in hex", len(whatsmeow.WACertPubKey))
	}
	pinned.Lock()
	defer pinned.Unlock()
	switch pinned.key {
	case "":
		copy(whatsmeow.WACertPubKey[:], key)
		pinned.key = string(key)
	case string(key):
	default:
		return errors.New("root key: this process has pinned another")
	}
	return nil
}

// parseDeviceJID reads the JID of a linked device.
func parseDeviceJID(text string) (types.JID, error) {
	jid, err := types.ParseJID(text)
	if err != nil || jid.User == "" || jid.Server != types.DefaultUserServer {
		return types.JID{}, fmt.Errorf("not the JID of a device: %q", text)
	}
	return jid, nil
}
