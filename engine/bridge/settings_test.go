package bridge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waServerSync"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

func rename(t *testing.T, number, name string) {
	t.Helper()
	phones(t, http.MethodPatch, "/phones/"+number, map[string]any{"name": name}, nil)
}

// renamedTo fits what tells that the own name of an account has changed.
func renamedTo(account, name string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return event.Account == account && event.GetPushName().GetName() == name
	}
}

// knownAs fits what tells the own name of an account, either when it changes or with a connection.
func knownAs(account, name string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return renamedTo(account, name)(event) || event.Account == account && event.GetState().GetPushName() == name
	}
}

// nameUnfetched links a phone, and renames it: of the new name the account has been told, and waits to fetch it.
func nameUnfetched(t *testing.T, n *node, name string) (alice linked, release func()) {
	t.Helper()
	worker := n.listen()
	alice = n.pair(newNumber())
	rename(t, alice.number, "Alice")
	worker.await("the first name", 1, knownAs(alice.id, "Alice"))
	eventually(t, "all is fetched", func() bool { return !bridge.FetchesSettings(n.engine, alice.id) })
	worker.close()
	release = bridge.HoldSettings(t, n.engine, 0)
	rename(t, alice.number, name)
	eventually(t, "the account is told of the name", func() bool { return bridge.FetchesSettings(n.engine, alice.id) })
	eventually(t, "WhatsApp knows that", func() bool { return queued(t, alice.number) == 0 })
	return alice, release
}

func TestANameIsFetchedThoughTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	alice, release := nameUnfetched(t, n, "Alice anew")
	worker := n.listen()
	server.close()
	worker.await("loss of the connection", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	release()
	eventually(t, "the fetch fails", func() bool {
		return strings.Contains(n.logs.String(), "settings of the phone cannot be read") && !bridge.FetchesSettings(n.engine, alice.id)
	})
	server.open()
	worker.await("the new name", 1, knownAs(alice.id, "Alice anew"))
}

func TestANameIsFetchedThoughTheEngineEnds(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	alice, release := nameUnfetched(t, first, "Alice anew")
	first.stop()
	release()
	n := startNode(t)
	worker := n.listen()
	n.open(alice, 1, long)
	worker.await("the new name", 1, knownAs(alice.id, "Alice anew"))
}

// TestSettingsThatComeBeforeTheirKeyAreNoFault has an account told of a new name while it has none of the phone's keys, as
// one that was linked just now.
func TestSettingsThatComeBeforeTheirKeyAreNoFault(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice := n.pair(newNumber())
	rename(t, alice.number, "Alice")
	worker.await("the first name", 1, knownAs(alice.id, "Alice"))
	eventually(t, "all is fetched", func() bool { return !bridge.FetchesSettings(n.engine, alice.id) })
	if _, err := world.admin.Exec("DELETE FROM whatsmeow.whatsmeow_app_state_sync_keys WHERE jid = $1", alice.jid); err != nil {
		t.Fatal(err)
	}
	rename(t, alice.number, "Alice anew")
	worker.await("the new name, with the key that was asked for", 1, renamedTo(alice.id, "Alice anew"))
	if log := n.logs.String(); !strings.Contains(log, "wait for its key") || strings.Contains(log, "cannot be read") {
		t.Error(log)
	}
}

// TestANameThatNobodyTookIsToldAgain ends the worker's stream between an account's name and the ack of it.
func TestANameThatNobodyTookIsToldAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	deaf := n.listenWith(func(event *enginepb.Event) (ack, ok bool) { return event.GetPushName() == nil, true })
	alice := n.pair(newNumber())
	renamed := renamedTo(alice.id, "Alice anew")
	rename(t, alice.number, "Alice anew")
	deaf.await("the name", 1, renamed)
	deaf.close()
	n.listen().await("the name again", 1, renamed)
}

// TestWhatIsAskedOfThePhoneHoldsUpMessagesNotLong links a phone that has encrypted its settings with a key which it has not
// shared, and does not hear that the request for it has arrived.
func TestWhatIsAskedOfThePhoneHoldsUpMessagesNotLong(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.listen()
	number, bob := newNumber(), newNumber()
	unknown := &waServerSync.KeyId{ID: []byte{0, 0, 0, 0, 0, 2}}
	patch := encoded(t, &waServerSync.SyncdPatch{KeyID: unknown, Mutations: []*waServerSync.SyncdMutation{{
		Operation: waServerSync.SyncdMutation_SET.Enum(),
		Record: &waServerSync.SyncdRecord{
			Index: &waServerSync.SyncdIndex{Blob: make([]byte, 32)}, Value: &waServerSync.SyncdValue{Blob: make([]byte, 64)},
			KeyID: unknown,
		},
	}}})
	phones(t, http.MethodPost, "/phones/"+number+"/settings", map[string]any{"collection": "regular_high", "raw": patch}, nil)
	fault(t, number, "no_peer_ack", map[string]any{"count": 1})
	alice := n.pair(number)
	eventually(t, "a message that goes out", func() bool { return sentInTime(t, n, alice, bob, "hello") })
}

// TestAnAccountThatWaitsToAskItsPhoneHoldsUpNoOther has one whose message is not acknowledged, so that the request for a key
// does not come to its turn, and another one that is renamed.
func TestAnAccountThatWaitsToAskItsPhoneHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob, charlie := n.pair(newNumber()), n.pair(newNumber()), newNumber()
	for _, one := range []linked{alice, bob} {
		rename(t, one.number, "at first")
		worker.await("the first name", 1, knownAs(one.id, "at first"))
		eventually(t, "all is fetched", func() bool { return !bridge.FetchesSettings(n.engine, one.id) })
	}
	n.mustSend(alice, charlie, "before")
	fault(t, charlie, "no_ack", map[string]any{"count": 1})
	n.sending(alice, charlie, "stuck", 2*patience.Milliseconds())
	eventually(t, "the stuck message on Charlie's phone", func() bool { return len(onPhone(t, charlie)) == 2 })

	bridge.ForgetAskedKeys(n.engine, alice.id)
	bridge.HoldSettings(t, n.engine, 1)
	if _, err := world.admin.Exec("DELETE FROM whatsmeow.whatsmeow_app_state_sync_keys WHERE jid = $1", alice.jid); err != nil {
		t.Fatal(err)
	}
	rename(t, alice.number, "Alice")
	eventually(t, "Alice's account fetches her name", func() bool { return bridge.FetchesSettings(n.engine, alice.id) })
	eventually(t, "WhatsApp knows that it was told", func() bool { return queued(t, alice.number) == 0 })
	rename(t, bob.number, "Bob")
	worker.await("Bob's new name", 1, renamedTo(bob.id, "Bob"))
	if !bridge.FetchesSettings(n.engine, alice.id) {
		t.Error("Alice's account did not wait for its turn")
	}
}

// TestAMessageThatWhatsmeowHoldsBackIsNotSent has whatsmeow wait for the ack of something that it sends by itself.
func TestAMessageThatWhatsmeowHoldsBackIsNotSent(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "before")
	fault(t, alice.number, "no_peer_ack", map[string]any{"count": 1})
	asking, cancel := context.WithCancel(t.Context())
	defer cancel()
	go bridge.AskForKey(asking, n.engine, alice.id)
	eventually(t, "a message that is held back", func() bool { return !sentInTime(t, n, alice, bob, "in the way") })
	before := len(onPhone(t, bob))
	cancel()
	n.mustSend(alice, bob, "after it")
	if shown := onPhone(t, bob); len(shown) != before+1 {
		t.Errorf("what counted as not sent arrived: %v", shown)
	}
}

// sentInTime sends a message and says whether it was sent. What was not in two seconds must be known not to be.
func sentInTime(t *testing.T, n *node, alice linked, bob, text string) bool {
	t.Helper()
	response := n.send(&enginepb.SendRequest{
		Account: alice.id, Epoch: 1, Id: newMessageID(), To: address(bob), Text: text, TimeoutMs: 2000,
	})
	if response.GetSent() == nil && response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_BUSY {
		t.Fatalf("held back, and not known not to be sent: %v", response)
	}
	return response.GetSent() != nil
}
