// Package signal mends what libsignal does to the sessions with a peer, and keeps it from printing them.
package signal

import (
	"bytes"
	"fmt"
	"slices"

	"go.mau.fi/libsignal/state/record"
	"go.mau.fi/whatsmeow/store"
)

// archived is how many earlier sessions with one peer are kept, as by libsignal.
const archived = 40

// Mend returns the record that libsignal should have written after decrypting a message, given what it read and what it
// wrote.
//
// Two sides that write to each other at the same moment each begin a session. Both stay in use for a while: the record
// holds one as the current, the others as archived, and each message is tried with all of them. libsignal
// (session.Cipher.DecryptWithRecord) tries them in place: with each session that a message does not belong to, it takes
// the message's ratchet key for a new step of that session, and writes the session so destroyed. Further, it leaves a
// copy of the session that it promotes among the archived. The next message of the destroyed session is undecryptable.
func Mend(before, after []byte) ([]byte, error) {
	if len(before) == 0 {
		return after, nil
	}
	if key := loneKey(after); key != nil && bytes.Equal(key, loneKey(before)) {
		return after, nil // as nearly always: the one session has moved on
	}
	read, err := store.SignalProtobufSerializer.Session.Deserialize(before)
	if err != nil {
		return nil, fmt.Errorf("session that was read: %w", err)
	}
	written, err := store.SignalProtobufSerializer.Session.Deserialize(after)
	if err != nil {
		return nil, fmt.Errorf("session that was written: %w", err)
	}
	seen := [][]byte{written.SessionState.SenderBaseKey}
	written.PreviousStates = nil
	for _, state := range append([]*record.StateStructure{read.SessionState}, read.PreviousStates...) {
		known := func(key []byte) bool { return bytes.Equal(key, state.SenderBaseKey) }
		if len(state.SenderBaseKey) == 0 || slices.ContainsFunc(seen, known) || len(written.PreviousStates) == archived {
			continue
		}
		seen = append(seen, state.SenderBaseKey)
		written.PreviousStates = append(written.PreviousStates, state)
	}
	return store.SignalProtobufSerializer.Session.Serialize(written), nil
}

// loneKey is by what the only session of a record is known, nil where it has others or none. Reading a record whole takes
// longer than decrypting a message.
func loneKey(session []byte) []byte {
	if !bytes.HasSuffix(session, []byte(`,"PreviousStates":[]}`)) && !bytes.HasSuffix(session, []byte(`,"PreviousStates":null}`)) {
		return nil
	}
	_, rest, _ := bytes.Cut(session, []byte(`"SenderBaseKey":"`))
	key, _, _ := bytes.Cut(rest, []byte(`"`))
	if len(key) == 0 {
		return nil
	}
	return key
}
