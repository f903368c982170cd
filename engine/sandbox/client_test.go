package sandbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// patience bounds every wait of these tests. It is no measure of speed: the machine may be busy.
const patience = 40 * time.Second

// logVariable makes clients and sandboxes tell what they do.
const logVariable = "SANDBOX_TEST_LOG"

// client is a whatsmeow client that can reach nothing but a sandbox.
type client struct {
	*whatsmeow.Client
	t      *testing.T
	number string
	routed *http.Client

	mu      sync.Mutex
	events  []any
	changed chan struct{}
}

// testSeed is the seed of all sandboxes of these tests: whatsmeow keeps the root key that it pins in a global, which
// cannot change while clients run.
var testSeed seed

func TestMain(m *testing.M) {
	_, _ = rand.Read(testSeed[:])
	whatsmeow.KeepAliveIntervalMin, whatsmeow.KeepAliveIntervalMax = time.Second, 1500*time.Millisecond
	whatsmeow.KeepAliveResponseDeadline = 500 * time.Millisecond
	whatsmeow.WACertPubKey = *testSeed.keyPair("root").Pub
	m.Run()
}

func newClient(t *testing.T, address string, device *store.Device) *client {
	t.Helper()
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	var log waLog.Logger = waLog.Noop
	if os.Getenv(logVariable) != "" {
		log = waLog.Stdout(t.Name(), "DEBUG", false)
	}
	c := &client{
		Client: whatsmeow.NewClient(device, log), t: t, routed: &http.Client{Transport: transport}, changed: make(chan struct{}),
	}
	c.SynchronousAck, c.EmitAppStateEventsOnFullSync = true, true
	c.SetPreLoginHTTPClient(c.routed)
	c.SetWebsocketHTTPClient(c.routed)
	c.SetMediaHTTPClient(c.routed)
	c.AddEventHandler(func(e any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, e)
		close(c.changed)
		c.changed = make(chan struct{})
	})
	t.Cleanup(func() {
		c.Disconnect()
		transport.CloseIdleConnections()
	})
	return c
}

// awaitEvent waits for the first event of a type that fits.
func awaitEvent[T any](c *client, what string, fits func(T) bool) T {
	c.t.Helper()
	deadline := time.After(patience)
	for seen := 0; ; {
		c.mu.Lock()
		list, changed := c.events, c.changed
		c.mu.Unlock()
		for ; seen < len(list); seen++ {
			if e, ok := list[seen].(T); ok && (fits == nil || fits(e)) {
				return e
			}
		}
		select {
		case <-changed:
		case <-deadline:
			kinds := []string{}
			for _, e := range list {
				kinds = append(kinds, fmt.Sprintf("%T", e))
			}
			c.t.Fatalf("no %T (%s); seen: %v", *new(T), what, kinds)
		}
	}
}

// forget drops the events so far, so that the next wait is for a new one.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = nil
	close(c.changed)
	c.changed = make(chan struct{})
}

// showCode connects an unlinked client and returns the QR code that it shows.
func (c *client) showCode() string {
	c.t.Helper()
	codes, err := c.GetQRChannel(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if err = c.Connect(); err != nil {
		c.t.Fatal(err)
	}
	select {
	case item := <-codes:
		if item.Event != whatsmeow.QRChannelEventCode {
			c.t.Fatalf("instead of a code: %+v", item)
		}
		return item.Code
	case <-time.After(patience):
		c.t.Fatal("no QR code")
		return ""
	}
}

// link links a new client to the phone of a number and waits until it has all that a phone gives to a new companion.
// (What whatsmeow does in the background meanwhile races with its own handling of lost connections.)
func link(t *testing.T, s *Server, number string) *client {
	t.Helper()
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	c.number = number
	if _, err := s.scan(t.Context(), s.phone(number), c.showCode()); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.Connected](c, "after pairing", nil)
	for _, name := range appstate.AllPatchNames {
		awaitEvent(c, string(name), func(e *events.AppStateSyncComplete) bool { return e.Name == name })
	}
	return c
}

// startSandbox runs a sandbox with the test's seed.
func startSandbox(t *testing.T, directory string) *Server {
	t.Helper()
	if err := replaceFile(filepath.Join(directory, seedFile), testSeed[:]); err != nil {
		t.Fatal(err)
	}
	options := Options{WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0", StateDir: directory}
	if os.Getenv(logVariable) != "" {
		options.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s, err := Start(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// awaitMessages waits until a phone shows messages that fit.
func awaitMessages(t *testing.T, s *Server, number, what string, fits func([]message) bool) []message {
	t.Helper()
	watched, stop := s.events.watch()
	defer stop()
	deadline := time.After(patience)
	for {
		list := s.phone(number).history()
		if fits(list) {
			return list
		}
		select {
		case <-watched:
		case <-deadline:
			t.Fatalf("%s: phone %s shows %+v", what, number, list)
		}
	}
}

// texts returns the texts of messages.
func texts(list []message) []string {
	found := []string{}
	for _, m := range list {
		found = append(found, m.Text)
	}
	return found
}

func showing(wanted ...string) func([]message) bool {
	return func(list []message) bool { return slices.Equal(texts(list), wanted) }
}

func jidOf(number string) types.JID { return types.NewJID(number, types.DefaultUserServer) }

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: " + what)
		}
	}
}
