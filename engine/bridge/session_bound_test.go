package bridge

import (
	"bytes"
	"testing"

	"go.mau.fi/libsignal/keys/chain"
	"go.mau.fi/libsignal/keys/message"
	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
)

// A peer that skips messages and replaces its session again and again makes no row that grows with it.
func TestALargeSessionForgetsItsPast(t *testing.T) {
	t.Parallel()
	serializer := store.SignalProtobufSerializer
	key := bytes.Repeat([]byte{5}, 32)
	public := append([]byte{5}, key...)
	skipped := make([]*message.KeysStructure, 100)
	for i := range skipped {
		skipped[i] = &message.KeysStructure{CipherKey: key, MacKey: key, IV: key[:16], Index: uint32(i)}
	}
	state := func(registration uint32) *record.StateStructure {
		link := &record.ChainStructure{
			SenderRatchetKeyPublic: public, SenderRatchetKeyPrivate: key, ChainKey: &chain.KeyStructure{Key: key, Index: 1}, MessageKeys: skipped,
		}
		return &record.StateStructure{
			LocalIdentityPublic: public, RemoteIdentityPublic: public, RemoteRegistrationID: registration, RootKey: key, SenderBaseKey: public,
			SenderChain: link, ReceiverChains: []*record.ChainStructure{link}, SessionVersion: 3,
		}
	}
	made := func(previous int) []byte {
		t.Helper()
		whole := &record.SessionStructure{SessionState: state(7)}
		for range previous {
			whole.PreviousStates = append(whole.PreviousStates, state(8))
		}
		session, err := record.NewSessionFromStructure(whole, serializer.Session, serializer.State)
		if err != nil {
			t.Fatal(err)
		}
		return session.Serialize()
	}
	if small := made(1); !bytes.Equal(boundedSession(small), small) {
		t.Error("a small session is changed")
	}
	large := made(40)
	small := boundedSession(large)
	session, err := record.NewSessionFromBytes(small, serializer.Session, serializer.State)
	if err != nil {
		t.Fatal(err)
	}
	if len(large) < 2*largestSession || len(small) > largestSession || len(session.PreviousSessionStates()) != 0 {
		t.Errorf("%d bytes became %d", len(large), len(small))
	}
	if session.SessionState().RemoteRegistrationID() != 7 {
		t.Error("it is another session")
	}
}
