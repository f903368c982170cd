package signal_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/keys/identity"
	"go.mau.fi/libsignal/keys/prekey"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/libsignal/util/optional"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"

	"chatwren/engine/signal"
)

// party is one side of a conversation, with its store.
type party struct {
	store.NoopStore
	device  *store.Device
	address *protocol.SignalAddress
	mends   bool
	kept    int // how often a record was left as libsignal wrote it, though there was one before
	session []byte
	preKeys map[uint32]*keys.PreKey
}

func newParty(name string, mends bool) *party {
	own := keys.NewKeyPair()
	p := &party{
		mends:   mends,
		address: protocol.NewSignalAddress(name, 1),
		preKeys: map[uint32]*keys.PreKey{1: keys.NewPreKey(1)},
		device:  &store.Device{IdentityKey: own, SignedPreKey: own.CreateSignedPreKey(1), RegistrationID: 1},
	}
	p.device.SetAllStores(p)
	return p
}

func (p *party) IsTrustedIdentity(context.Context, string, [32]byte) (bool, error) { return true, nil }
func (p *party) PutIdentity(context.Context, string, [32]byte) error               { return nil }
func (p *party) GetSession(context.Context, string) ([]byte, error)                { return p.session, nil }
func (p *party) HasSession(context.Context, string) (bool, error)                  { return p.session != nil, nil }

func (p *party) PutSession(_ context.Context, _ string, written []byte) (err error) {
	if p.mends {
		var mended []byte
		mended, err = signal.Mend(p.session, written)
		if p.session != nil && bytes.Equal(mended, written) {
			p.kept++
		}
		written = mended
	}
	p.session = written
	return err
}

func (p *party) GetPreKey(_ context.Context, id uint32) (*keys.PreKey, error) {
	return p.preKeys[id], nil
}

func (p *party) RemovePreKey(_ context.Context, id uint32) error {
	delete(p.preKeys, id)
	return nil
}

func (p *party) cipher(peer *party) (*session.Builder, *session.Cipher) {
	builder := session.NewBuilderFromSignal(p.device, peer.address, store.SignalProtobufSerializer)
	return builder, session.NewCipher(builder, peer.address)
}

// begin makes a session out of the peer's published keys.
func (p *party) begin(t *testing.T, peer *party) {
	t.Helper()
	signed, once := peer.device.SignedPreKey, peer.preKeys[1]
	bundle := prekey.NewBundle(1, 1, optional.NewOptionalUint32(1), signed.KeyID, ecc.NewDjbECPublicKey(*once.Pub),
		ecc.NewDjbECPublicKey(*signed.Pub), *signed.Signature, identity.NewKey(ecc.NewDjbECPublicKey(*peer.device.IdentityKey.Pub)))
	builder, _ := p.cipher(peer)
	if err := builder.ProcessBundle(t.Context(), bundle); err != nil {
		t.Fatal(err)
	}
}

func (p *party) encrypt(t *testing.T, peer *party) protocol.CiphertextMessage {
	t.Helper()
	_, cipher := p.cipher(peer)
	message, err := cipher.Encrypt(t.Context(), []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func (p *party) decrypt(t *testing.T, peer *party, message protocol.CiphertextMessage) error {
	_, cipher := p.cipher(peer)
	if first, ok := message.(*protocol.PreKeySignalMessage); ok {
		_, err := cipher.DecryptMessage(t.Context(), first)
		return err
	}
	_, err := cipher.Decrypt(t.Context(), message.(*protocol.SignalMessage))
	return err
}

// converse lets two sides write to each other at the same moment, with each message some time under way, and counts what
// could not be decrypted.
func converse(t *testing.T, mends bool, seed uint64) (failed int) {
	t.Helper()
	parties := [2]*party{newParty("alice", mends), newParty("bob", mends)}
	parties[0].begin(t, parties[1])
	parties[1].begin(t, parties[0])
	var underWay [2][]protocol.CiphertextMessage // to each of them
	chance := rand.New(rand.NewPCG(seed, 0))
	for sent := 0; sent < 60 || len(underWay[0])+len(underWay[1]) > 0; {
		me := chance.IntN(2)
		if sent < 60 && chance.IntN(2) == 0 {
			underWay[1-me] = append(underWay[1-me], parties[me].encrypt(t, parties[1-me]))
			sent++
		} else if len(underWay[me]) > 0 {
			message := underWay[me][0]
			underWay[me] = underWay[me][1:]
			if parties[me].decrypt(t, parties[1-me], message) != nil {
				failed++
			}
		}
	}
	return failed
}

func TestSessionsBegunOnBothSides(t *testing.T) {
	t.Parallel()
	unmended := 0
	for seed := range uint64(5) {
		unmended += converse(t, false, seed)
		if failed := converse(t, true, seed); failed != 0 {
			t.Errorf("seed %d: %d of 60 messages undecryptable", seed, failed)
		}
	}
	if unmended == 0 {
		t.Error("libsignal needs no mending any more: Mend can go")
	}
	t.Logf("without mending %d of 300 messages are undecryptable", unmended)
}

func TestMendRefusesWhatIsNoSession(t *testing.T) {
	t.Parallel()
	if _, err := signal.Mend([]byte("no"), []byte("session")); err == nil {
		t.Error("taken")
	}
	if mended, err := signal.Mend(nil, []byte("first")); err != nil || string(mended) != "first" {
		t.Errorf("a first session: %q, %v", mended, err)
	}
}

// A record of one session is left as it was written, and one of several is not.
func TestOneSessionNeedsNoMending(t *testing.T) {
	t.Parallel()
	alice, bob := newParty("alice", true), newParty("bob", true)
	alice.begin(t, bob)
	for range 10 {
		for _, pair := range [][2]*party{{alice, bob}, {bob, alice}} {
			if err := pair[1].decrypt(t, pair[0], pair[0].encrypt(t, pair[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if alice.kept == 0 || bob.kept == 0 {
		t.Error("each record was read whole")
	}
	before := slices.Clone(bob.session)
	bob.preKeys[1], alice.session = keys.NewPreKey(1), nil
	alice.begin(t, bob)
	if err := bob.decrypt(t, alice, alice.encrypt(t, bob)); err != nil {
		t.Fatal(err)
	}
	read, err := store.SignalProtobufSerializer.Session.Deserialize(bob.session)
	if err != nil || len(read.PreviousStates) != 1 {
		t.Fatal("the session before is gone", err)
	}
	was, err := store.SignalProtobufSerializer.Session.Deserialize(before)
	if err != nil || !bytes.Equal(read.PreviousStates[0].SenderBaseKey, was.SessionState.SenderBaseKey) {
		t.Error("another one is kept", err)
	}
}
