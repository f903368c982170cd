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
