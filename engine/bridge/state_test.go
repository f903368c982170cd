package bridge_test

import (
	"testing"
	"time"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

func (n *node) deviceStored(jid string) bool {
	n.t.Helper()
	var stored bool
	if err := world.admin.QueryRow("SELECT EXISTS (SELECT FROM whatsmeow.whatsmeow_device WHERE jid = $1)", jid).Scan(&stored); err != nil {
		n.t.Fatal(err)
	}
	return stored
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		code         int
		milliseconds int
		want         enginepb.Event_State_Kind
		wantCode     int32
		forgotten    bool
	}{
		{"logged out", 401, 0, enginepb.Event_State_LOGGED_OUT, 401, true},
		{"locked", 403, 0, enginepb.Event_State_LOGGED_OUT, 403, true},
		{"banned for good", 406, 0, enginepb.Event_State_LOGGED_OUT, 406, true},
		{"banned for ten minutes", 402, 600_000, enginepb.Event_State_BANNED, 101, false},
		{"user agent", 409, 0, enginepb.Event_State_CONNECT_FAILURE, 409, false},
		{"a token that there is none of", 413, 0, enginepb.Event_State_CONNECT_FAILURE, 0, false},
		{"unknown reason", 463, 0, enginepb.Event_State_CONNECT_FAILURE, 463, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first := startNode(t)
			alice := first.pair(newNumber())
			first.stop()
			fault(t, alice.number, "failure", map[string]any{"code": c.code, "milliseconds": c.milliseconds, "count": 1})
			n := startNode(t)
			worker := n.listen()
			n.open(alice, 1, long)
			state := worker.await(c.name, 1, stateOf(alice.id, c.want)).GetState()
			if state.Code != c.wantCode {
				t.Errorf("code %d", state.Code)
			}
			left := time.Until(time.UnixMilli(state.ExpiresAt))
			if c.milliseconds > 0 && (left < 9*time.Minute || left > 10*time.Minute) {
				t.Errorf("it ends in %v", left)
			}
			if c.forgotten {
				eventually(t, "the keys are forgotten", func() bool { return !n.deviceStored(alice.jid) })
				if unknown := n.renew(alice, 1, long); len(unknown) != 1 {
					t.Error("an account without keys stays open")
				}
				return
			}
			// It is the worker's decision when to try again.
			n.open(alice, 1, long)
			worker.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
		})
	}
}

func TestUnlinkedFromThePhone(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	fault(t, alice.number, "unlink", nil)
	state := worker.await("logout", 1, stateOf(alice.id, enginepb.Event_State_LOGGED_OUT)).GetState()
	if state.Code != 401 {
		t.Errorf("code %d", state.Code)
	}
	eventually(t, "the keys are forgotten", func() bool { return !n.deviceStored(alice.jid) })
	if response := n.text(alice, address(bob), newMessageID(), "no"); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_OPEN {
		t.Errorf("send: %v", response)
	}
	// The same phone, and then another, may be linked to the same account.
	n.pairAs(&alice, 2)
	request := &enginepb.SendRequest{Account: alice.id, Epoch: 2, Id: newMessageID(), To: address(bob), Text: "again"}
	if response := n.send(request); response.GetSent() == nil {
		t.Errorf("send after linking again: %v", response)
	}
	if _, err := n.Logout(t.Context(), &enginepb.LogoutRequest{Account: alice.id, Jid: alice.jid, Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	alice.number = newNumber()
	n.pairAs(&alice, 2)
	request.Id = newMessageID()
	if response := n.send(request); response.GetSent() == nil {
		t.Errorf("send from another number: %v", response)
	}
	if shown := awaitOnPhone(t, bob, request.Id); shown.From != alice.number {
		t.Errorf("Bob's phone shows %+v", shown)
	}
}

func TestServerAway(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	server.close()
	worker.await("loss of the connection", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	begun := time.Now()
	response := n.text(alice, address(bob), newMessageID(), "too early")
	if response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_CONNECTED {
		t.Errorf("send: %v", response)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v to say so", took)
	}
	server.open()
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	n.mustSend(alice, bob, "now")
}

// A connection on which pings go unanswered is there, and takes messages, but nobody answers: nothing is sent on it.
func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "first")
	fault(t, alice.number, "no_pong", map[string]any{"count": 1})
	worker.await("silence", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	response := n.text(alice, address(bob), newMessageID(), "too early")
	if response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_CONNECTED {
		t.Errorf("send: %v", response)
	}
	worker.await("an answer", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	n.mustSend(alice, bob, "second")
}

// A server that falls silent after the handshake leaves whatsmeow waiting for a login without an end. Not in parallel:
// it is in a hurry.
func TestServerThatFallsSilentAtLogin(t *testing.T) {
	bridge.Hurry(t, 3*time.Second, time.Minute)
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	server.silenceNext(1)
	n.open(alice, 1, long)
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	n.mustSend(alice, bob, "now")
}

// A server that takes the connection and says nothing is asked again, though a dial of whatsmeow's has no limit. Not in parallel:
// it is in a hurry.
func TestServerThatNeverAnswersTheDial(t *testing.T) {
	bridge.HurryAnswers(t, 2*time.Second)
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	worker := n.listen()
	alice := n.pair(newNumber())
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	server.muteNext(1)
	n.open(alice, 1, long)
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
}

func TestServerAwayAtOpen(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	alice := first.pair(newNumber())
	first.stop()
	server := gateToSandbox(t)
	server.close()
	n := startNode(t, overAddress(server.address()))
	worker := n.listen()
	n.open(alice, 1, long)
	worker.await("failure to connect", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	server.open()
	worker.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	for i, code := range []int{503, 515} {
		fault(t, alice.number, "stream_error", map[string]any{"code": code, "count": 1})
		worker.await("connection", i+2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
		n.mustSend(alice, bob, "still here")
	}
}
