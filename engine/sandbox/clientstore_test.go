package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
)

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
