package bridge_test

import (
	"testing"

	"chatwren/engine/enginepb"
)

func TestTextGoesOutAndComesIn(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()

	id := n.mustSend(alice, bob, "hello Bob")
	shown := awaitOnPhone(t, bob, id)
	if shown.Text != "hello Bob" || shown.From != alice.number || shown.Deliveries != 1 {
		t.Errorf("Bob's phone shows %+v", shown)
	}
	worker.await("read receipt", 1, receiptOf(id, enginepb.Event_Receipt_READ))

	write(t, bob, alice.number, "hello Alice")
	got := worker.await("message", 1, messageWith(alice.id, "hello Alice")).GetMessage()
	if got.SenderPhone != bob || got.ChatPhone != bob || got.FromMe || got.Group || got.Id == "" || got.At == 0 {
		t.Errorf("inbound: %v", got)
	}
}
