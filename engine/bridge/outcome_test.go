package bridge_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

// Behind a message that waits for its ack, a send gives up in its own time: it never left.
func TestSendBehindAStuckOneNeverLeft(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	n.mustSend(alice, bob, "first")
	fault(t, bob, "no_ack", map[string]any{"count": 1})
	stuck := make(chan *enginepb.SendResponse, 1)
	go func() {
		response, _ := n.Send(t.Context(), &enginepb.SendRequest{
			Account: alice.id, Epoch: 1, Id: newMessageID(), To: address(bob), Text: "stuck", TimeoutMs: 4000,
		})
		stuck <- response
	}()
	eventually(t, "the stuck message on Bob's phone", func() bool { return len(onPhone(t, bob)) == 2 })
	response := n.send(&enginepb.SendRequest{
		Account: alice.id, Epoch: 1, Id: newMessageID(), To: address(charlie), Text: "behind", TimeoutMs: 300,
	})
	if response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_LOCAL {
		t.Errorf("behind it: %v", response)
	}
	if response := <-stuck; response.GetUnknown() == nil {
		t.Errorf("the stuck one: %v", response)
	}
	if shown := onPhone(t, charlie); len(shown) != 0 {
		t.Errorf("what never left arrived: %v", shown)
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
