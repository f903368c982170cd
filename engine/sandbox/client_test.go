package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// patience bounds every wait of these tests. It is no measure of speed: the machine may be busy.
const patience = 40 * time.Second

// logVariable makes clients and sandboxes tell what they do.
const logVariable = "SANDBOX_TEST_LOG"

// clientStore is the memory of a whatsmeow client.
type clientStore struct {
	store.NoopStore
	mu         sync.Mutex
	sessions   map[string][]byte
	senderKeys map[string][]byte
	preKeys    map[uint32]*keys.PreKey
	uploaded   int
	nextPreKey uint32
	lids, pns  map[types.JID]types.JID
	stateKeys  map[string]store.AppStateSyncKey
	versions   map[string]stateVersion
	macs       map[string][]byte
	contacts   map[types.JID]string
	latestKey  []byte
}

func newClientDevice() *store.Device {
	memory := &clientStore{
		sessions: map[string][]byte{}, senderKeys: map[string][]byte{}, preKeys: map[uint32]*keys.PreKey{},
		lids: map[types.JID]types.JID{}, pns: map[types.JID]types.JID{}, stateKeys: map[string]store.AppStateSyncKey{},
		versions: map[string]stateVersion{}, macs: map[string][]byte{}, contacts: map[types.JID]string{},
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	identity := keys.NewKeyPair()
	device := &store.Device{
		NoiseKey: keys.NewKeyPair(), IdentityKey: identity, SignedPreKey: identity.CreateSignedPreKey(1),
		RegistrationID: 4711, AdvSecretKey: secret, LIDs: memory, Container: memory,
	}
	device.SetAllStores(memory)
	return device
}

// errKept keeps a logged-out device in memory: whatsmeow clears its fields while goroutines of its own still read them,
// which the race detector reports.
var errKept = errors.New("the device is kept")

func (m *clientStore) DeleteDevice(context.Context, *store.Device) error { return errKept }

func (m *clientStore) IsTrustedIdentity(context.Context, string, [32]byte) (bool, error) {
	return true, nil
}

func (m *clientStore) GetSession(_ context.Context, address string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[address], nil
}

func (m *clientStore) HasSession(ctx context.Context, address string) (bool, error) {
	session, err := m.GetSession(ctx, address)
	return session != nil, err
}

func (m *clientStore) GetManySessions(_ context.Context, addresses []string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string][]byte{}
	for _, address := range addresses {
		found[address] = m.sessions[address]
	}
	return found, nil
}

func (m *clientStore) PutSession(_ context.Context, address string, session []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[address] = session
	return nil
}

func (m *clientStore) PutManySessions(_ context.Context, sessions map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(m.sessions, sessions)
	return nil
}

func (m *clientStore) DeleteSession(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, address)
	return nil
}

func (m *clientStore) GetOrGenPreKeys(_ context.Context, count uint32) ([]*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var made []*keys.PreKey
	for range min(count, 50) { // a whole upload would only slow the tests down
		m.nextPreKey++
		key := keys.NewPreKey(m.nextPreKey)
		m.preKeys[key.KeyID] = key
		made = append(made, key)
	}
	return made, nil
}

func (m *clientStore) GenOnePreKey(ctx context.Context) (*keys.PreKey, error) {
	made, err := m.GetOrGenPreKeys(ctx, 1)
	return made[0], err
}

func (m *clientStore) GetPreKey(_ context.Context, id uint32) (*keys.PreKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.preKeys[id], nil
}

func (m *clientStore) RemovePreKey(_ context.Context, id uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.preKeys, id)
	return nil
}

func (m *clientStore) UploadedPreKeyCount(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.preKeys), nil
}

func (m *clientStore) GetSenderKey(_ context.Context, group, user string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.senderKeys[group+user], nil
}

func (m *clientStore) PutSenderKey(_ context.Context, group, user string, session []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.senderKeys[group+user] = session
	return nil
}

func (m *clientStore) PutLIDMapping(_ context.Context, lid, pn types.JID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pns[lid.ToNonAD()], m.lids[pn.ToNonAD()] = pn.ToNonAD(), lid.ToNonAD()
	return nil
}

func (m *clientStore) PutManyLIDMappings(ctx context.Context, mappings []store.LIDMapping) error {
	for _, mapping := range mappings {
		_ = m.PutLIDMapping(ctx, mapping.LID, mapping.PN)
	}
	return nil
}

func (m *clientStore) GetLIDForPN(_ context.Context, pn types.JID) (types.JID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lid := m.lids[pn.ToNonAD()]
	lid.Device = pn.Device
	if lid.User == "" {
		return types.EmptyJID, nil
	}
	return lid, nil
}

func (m *clientStore) GetPNForLID(_ context.Context, lid types.JID) (types.JID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pn := m.pns[lid.ToNonAD()]
	pn.Device = lid.Device
	if pn.User == "" {
		return types.EmptyJID, nil
	}
	return pn, nil
}

func (m *clientStore) GetManyLIDsForPNs(ctx context.Context, pns []types.JID) (map[types.JID]types.JID, error) {
	found := map[types.JID]types.JID{}
	for _, pn := range pns {
		found[pn], _ = m.GetLIDForPN(ctx, pn)
	}
	return found, nil
}

func (m *clientStore) PutAppStateSyncKey(_ context.Context, id []byte, key store.AppStateSyncKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stateKeys[string(id)], m.latestKey = key, id
	return nil
}

func (m *clientStore) GetAppStateSyncKey(_ context.Context, id []byte) (*store.AppStateSyncKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key, ok := m.stateKeys[string(id)]; ok {
		return &key, nil
	}
	return nil, nil
}

func (m *clientStore) GetLatestAppStateSyncKeyID(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latestKey, nil
}

func (m *clientStore) GetAppStateVersion(_ context.Context, name string) (uint64, [128]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.versions[name].number, m.versions[name].hash, nil
}

func (m *clientStore) PutAppStateVersion(_ context.Context, name string, version uint64, hash [128]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions[name] = stateVersion{version, hash}
	return nil
}

func (m *clientStore) GetAppStateMutationMAC(_ context.Context, name string, indexMAC []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.macs[name+string(indexMAC)], nil
}

func (m *clientStore) PutAppStateMutationMACs(_ context.Context, name string, _ uint64, mutations []store.AppStateMutationMAC) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mutation := range mutations {
		m.macs[name+string(mutation.IndexMAC)] = mutation.ValueMAC
	}
	return nil
}

func (m *clientStore) PutContactName(_ context.Context, user types.JID, fullName, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contacts[user] = fullName
	return nil
}

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

// link links a new client to the phone of a number and waits until it is connected.
func link(t *testing.T, s *Server, number string) *client {
	t.Helper()
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	c.number = number
	if _, err := s.scan(t.Context(), s.phone(number), c.showCode()); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.Connected](c, "after pairing", nil)
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
