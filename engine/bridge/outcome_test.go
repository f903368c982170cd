package bridge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

func TestRejectedCarriesTheCode(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	for _, code := range []int{463, 475, 479} {
		fault(t, bob, "reject", map[string]any{"code": code, "count": 1})
		response := n.text(alice, address(bob), newMessageID(), "refused")
		if response.GetRejected().GetCode() != int32(code) {
			t.Errorf("want rejected %d, got %v", code, response)
		}
	}
	n.mustSend(alice, bob, "taken again")
}

// A group that names its members another way since its sender has asked for them: WhatsApp says so of the next message.
func TestGroupThatIsAddressedAnotherWayIsAskedForAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	var group struct{ ID string }
	phones(t, http.MethodPost, "/groups", map[string]any{
		"name": "Ours", "owner": alice.number, "participants": []string{bob},
	}, &group)
	for i, times := range []int{0, 1, 2} {
		if times > 0 {
			fault(t, alice.number, "reject", map[string]any{"code": 421, "count": times})
		}
		response := n.text(alice, group.ID, newMessageID(), fmt.Sprint("message ", i))
		if sent := response.GetSent() != nil; sent != (times < 2) {
			t.Errorf("refused %d times: got %v", times, response)
		}
	}
	eventually(t, "both messages on Bob's phone", func() bool { return len(onPhone(t, bob)) == 2 })
}

func TestNumberThatIsNotOnWhatsApp(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	phones(t, http.MethodPatch, "/phones/"+bob, map[string]any{"registered": false}, nil)
	if response := n.text(alice, address(bob), newMessageID(), "anyone there?"); response.GetNotOnWhatsapp() == nil {
		t.Errorf("got %v", response)
	}
}

// A lost ack must not stop what comes after it for longer than the caller allows.
func TestLostAckIsUnknownAndFreesTheAccount(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	n.mustSend(alice, bob, "first")
	fault(t, bob, "no_ack", map[string]any{"count": 1})
	id := newMessageID()
	begun := time.Now()
	response := n.send(&enginepb.SendRequest{
		Account: alice.id, Epoch: 1, Id: id, To: address(bob), Text: "no ack", TimeoutMs: 1500,
	})
	if response.GetUnknown() == nil {
		t.Fatalf("want unknown, got %v", response)
	}
	n.mustSend(alice, charlie, "next")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the account was blocked for %v", took)
	}
	// The message itself did arrive: its receipts say so, and sending it again is harmless.
	worker.await("receipt", 1, receiptOf(id, enginepb.Event_Receipt_READ))
	if response := n.text(alice, address(bob), id, "no ack"); response.GetSent() == nil {
		t.Errorf("again: %v", response)
	}
}

// Behind a message that waits for its ack, a send gives up while there is time for it to be sent: it never left.
func TestSendBehindAStuckOneNeverLeft(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	n.mustSend(alice, bob, "first")
	fault(t, bob, "no_ack", map[string]any{"count": 1})
	stuck := n.sending(alice, bob, "stuck", 8000)
	eventually(t, "the stuck message on Bob's phone", func() bool { return len(onPhone(t, bob)) == 2 })
	for _, timeout := range []int64{300, 10_000} {
		response := <-n.sending(alice, charlie, "behind", timeout)
		if response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_BUSY { // Charlie has no part in it
			t.Errorf("behind it, with %d ms: %v", timeout, response)
		}
	}
	if response := <-stuck; response.GetUnknown() == nil {
		t.Errorf("the stuck one: %v", response)
	}
	if shown := onPhone(t, charlie); len(shown) != 0 {
		t.Errorf("what never left arrived: %v", shown)
	}
}

// What a send has waited for its turn is part of its time: its caller waits no longer. Another account's send, which begins
// later and has a second more, ends after it.
func TestASendThatHasWaitedEndsInTime(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob, charlie := n.pair(newNumber()), n.pair(newNumber()), newNumber()
	n.mustSend(alice, charlie, "first")
	n.mustSend(bob, charlie, "first")
	fault(t, charlie, "no_ack", map[string]any{"count": 3})
	stuck := n.sending(alice, charlie, "stuck", 2000)
	eventually(t, "the stuck message on Charlie's phone", func() bool { return len(onPhone(t, charlie)) == 3 })
	waited := n.sending(alice, charlie, "waited", 6000)
	beside := n.sending(bob, charlie, "beside", 7000)
	if response := <-stuck; response.GetUnknown() == nil {
		t.Fatalf("the stuck one: %v", response)
	}
	select {
	case response := <-waited:
		if response.GetUnknown() == nil {
			t.Errorf("without an ack: %v", response)
		}
	case <-beside:
		t.Error("a send lasted longer than its time")
	}
}

// A send that cannot have the sessions of its account says nothing against its recipient.
func TestASendThatWaitsForTheSessionsWasNotSent(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "first")
	bridge.HoldSessions(t, n.engine, alice.id)
	if response := <-n.sending(alice, bob, "waits", 1000); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_BUSY {
		t.Errorf("while they are held: %v", response)
	}
	closed := n.sending(alice, bob, "waits", patience.Milliseconds())
	eventually(t, "the send has its turn", func() bool { return bridge.Sends(n.engine, alice.id) })
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if response := <-closed; response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_OPEN {
		t.Errorf("when the account is closed: %v", response)
	}
	if shown := onPhone(t, bob); len(shown) != 1 {
		t.Errorf("what was not sent arrived: %v", shown)
	}
}

func TestInvalidSends(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice := n.pair(newNumber())
	for name, request := range map[string]*enginepb.SendRequest{
		"recipient": {To: "nobody", Id: "A", Text: "x"},
		"device":    {To: "491511234567:3@s.whatsapp.net", Id: "A", Text: "x"},
		"channel":   {To: "123@newsletter", Id: "A", Text: "x"},
		"no id":     {To: address("491511234567"), Text: "x"},
		"empty":     {To: address("491511234567"), Id: "A"},
		"no handle": {To: address("491511234567"), Id: "A", Media: &enginepb.Media{Mimetype: "image/png"}},
	} {
		request.Account, request.Epoch = alice.id, 1
		if response := n.send(request); response.GetInvalid().GetDetail() == "" {
			t.Errorf("%s: %v", name, response)
		}
	}
	if response := n.send(&enginepb.SendRequest{
		Account: newAccountID(), Epoch: 1, To: address("491511234567"), Id: "A", Text: "x",
	}); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_OPEN {
		t.Errorf("unknown account: %v", response)
	}
}

// What is written in messages, and keys, have no place in a log.
func TestLogHoldsNoText(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "zebra outbound")
	write(t, bob, alice.number, "zebra inbound")
	worker.await("message", 1, messageWith(alice.id, "zebra inbound"))
	fault(t, bob, "reject", map[string]any{"code": 463, "count": 1})
	n.text(alice, address(bob), newMessageID(), "zebra refused")
	n.stop()
	if strings.Contains(n.logs.String(), "zebra") {
		t.Errorf("log: %s", n.logs)
	}
}
