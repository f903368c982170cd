package bridge_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"chatwren/engine/enginepb"
)

// Each account and one contact write to each other as fast as they can, over the same Signal session. Without the guard
// some messages of either side become undecryptable.
func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	const accounts, messages = 4, 40
	n := startNode(t)
	worker := n.listen()
	var traffic sync.WaitGroup
	for range accounts {
		alice, bob := n.pair(newNumber()), newNumber()
		n.mustSend(alice, bob, "hello")
		write(t, bob, alice.number, "hello")
		worker.await("message", 1, messageWith(alice.id, "hello"))
		traffic.Go(func() {
			for i := range messages {
				if response := n.text(alice, address(bob), newMessageID(), fmt.Sprint("out ", i)); response.GetSent() == nil {
					t.Errorf("not sent: %v", response)
				}
			}
			eventually(t, "all messages on Bob's phone", func() bool { return fromOthers(t, bob) == messages+1 })
		})
		traffic.Go(func() {
			for i := range messages {
				write(t, bob, alice.number, fmt.Sprint("in ", i))
			}
			for i := range messages {
				worker.await("message", 1, messageWith(alice.id, fmt.Sprint("in ", i)))
			}
		})
		t.Cleanup(func() {
			retries := worker.all(func(event *enginepb.Event) bool {
				return event.Account == alice.id && event.GetReceipt().GetType() == enginepb.Event_Receipt_RETRY
			})
			if len(retries) != 0 {
				t.Errorf("the contact could not decrypt: %v", retries)
			}
		})
	}
	traffic.Wait()
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
}

// Alice and Bob begin a session each, because their first messages cross, and go on in turns in the one and in the other.
// Bob's messages wait behind the one that the worker has not stored yet. Without mending (package signal) decrypting the
// second destroys the session of the third.
func TestFirstMessagesCross(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	var stored sync.Map // texts that the worker stores
	storing := func(event *enginepb.Event) (bool, bool) {
		_, ok := stored.Load(event.GetMessage().GetText())
		return ok || event.GetMessage() == nil, true
	}
	worker := n.listenWith(storing)
	store := func(text string) {
		t.Helper()
		if lost := worker.all(isUndecryptable); len(lost) != 0 {
			t.Fatalf("undecryptable: %v", lost) // it would come again, when its sender has been asked
		}
		stored.Store(text, true)
		worker = n.listenWith(storing) // a new stream begins with what awaits its ack
	}
	alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
	write(t, charlie, alice.number, "wait")
	worker.await("message", 1, messageWith(alice.id, "wait"))
	write(t, bob, alice.number, "in Bob's session")
	n.mustSend(alice, bob, "in Alice's session")
	write(t, bob, alice.number, "in Alice's session")
	store("wait")
	worker.await("message", 1, messageWith(alice.id, "in Bob's session"))
	n.mustSend(alice, bob, "in Bob's session")
	write(t, bob, alice.number, "in Bob's session again")
	store("in Bob's session")
	worker.await("message", 1, messageWith(alice.id, "in Alice's session"))
	store("in Alice's session")
	worker.await("message", 1, messageWith(alice.id, "in Bob's session again"))
	store("in Bob's session again")
}

// fromOthers counts what a phone has received.
func fromOthers(t *testing.T, number string) (count int) {
	t.Helper()
	var messages []struct{ Deliveries int }
	phones(t, http.MethodGet, "/phones/"+number+"/messages", nil, &messages)
	for _, message := range messages {
		if message.Deliveries > 0 {
			count++
		}
	}
	return count
}
