package sandbox

import (
	"context"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"chatwren/engine/signal"
)

// signalStore is the memory of one phone's Signal and app state. Only the phone's actor touches it.
type signalStore struct {
	store.NoopStore
	sessions   map[string][]byte
	senderKeys map[string][]byte
	stateKeys  map[string]store.AppStateSyncKey
	versions   map[string]stateVersion
	macs       map[string][]byte
}

type stateVersion struct {
	number uint64
	hash   [128]byte
}

// newPhoneDevice makes the store of a phone, whose keys follow from the seed and the number.
func newPhoneDevice(s *seed, number string) (*store.Device, *signalStore) {
	memory := &signalStore{
		sessions: map[string][]byte{}, senderKeys: map[string][]byte{}, stateKeys: map[string]store.AppStateSyncKey{},
		versions: map[string]stateVersion{}, macs: map[string][]byte{},
	}
	who := address{number, 0}
	pn, identity := who.pn(), s.keyPair("identity "+number)
	signed := &keys.PreKey{KeyPair: *s.keyPair("signed prekey " + number), KeyID: 1}
	signed.Signature = identity.Sign(&signed.KeyPair)
	device := &store.Device{
		IdentityKey: identity, SignedPreKey: signed, RegistrationID: s.number("registration " + number),
		ID: &pn, LID: who.lid(),
	}
	device.SetAllStores(memory)
	return device, memory
}

// IsTrustedIdentity trusts every key that the Signal layer meets: whether it belongs to the sender was checked before,
// by the device identity that comes with it.
func (m *signalStore) IsTrustedIdentity(context.Context, string, [32]byte) (bool, error) {
	return true, nil
}

func (m *signalStore) GetSession(_ context.Context, address string) ([]byte, error) {
	return m.sessions[address], nil
}

func (m *signalStore) HasSession(_ context.Context, address string) (bool, error) {
	return m.sessions[address] != nil, nil
}

func (m *signalStore) PutSession(_ context.Context, address string, session []byte) error {
	mended, err := signal.Mend(m.sessions[address], session)
	if err != nil {
		return err
	}
	m.sessions[address] = mended
	return nil
}

func (m *signalStore) DeleteSession(_ context.Context, address string) error {
	delete(m.sessions, address)
	return nil
}

func (m *signalStore) GetSenderKey(_ context.Context, group, user string) ([]byte, error) {
	return m.senderKeys[group+" "+user], nil
}

func (m *signalStore) PutSenderKey(_ context.Context, group, user string, session []byte) error {
	m.senderKeys[group+" "+user] = session
	return nil
}

func (m *signalStore) GetAppStateSyncKey(_ context.Context, id []byte) (*store.AppStateSyncKey, error) {
	if key, ok := m.stateKeys[string(id)]; ok {
		return &key, nil
	}
	return nil, nil
}

func (m *signalStore) GetAppStateVersion(_ context.Context, name string) (uint64, [128]byte, error) {
	version := m.versions[name]
	return version.number, version.hash, nil
}

func (m *signalStore) PutAppStateVersion(_ context.Context, name string, version uint64, hash [128]byte) error {
	m.versions[name] = stateVersion{version, hash}
	return nil
}

func (m *signalStore) GetAppStateMutationMAC(_ context.Context, name string, indexMAC []byte) ([]byte, error) {
	return m.macs[name+" "+string(indexMAC)], nil
}

func (m *signalStore) PutAppStateMutationMACs(_ context.Context, name string, _ uint64, mutations []store.AppStateMutationMAC) error {
	for _, mutation := range mutations {
		m.macs[name+" "+string(mutation.IndexMAC)] = mutation.ValueMAC
	}
	return nil
}

func (m *signalStore) DeleteAppStateMutationMACs(_ context.Context, name string, indexMACs [][]byte) error {
	for _, indexMAC := range indexMACs {
		delete(m.macs, name+" "+string(indexMAC))
	}
	return nil
}
