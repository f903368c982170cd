package bridge_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

func TestOpenAfterRestart(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	alice, bob := first.pair(newNumber()), newNumber()
	first.mustSend(alice, bob, "before")
	first.stop()

	second := startNode(t)
	worker := second.listen()
	if unknown := second.renew(alice, 1, long); len(unknown) != 1 {
		t.Errorf("an account that is not open was renewed")
	}
	if result := second.open(alice, 1, long); result != enginepb.OpenResponse_OPENED {
		t.Fatalf("open: %v", result)
	}
	worker.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	second.mustSend(alice, bob, "after")
	if result := second.open(alice, 1, long); result != enginepb.OpenResponse_OPENED { // harmless
		t.Fatalf("open again: %v", result)
	}
	second.mustSend(alice, bob, "and again")
	if connected := worker.all(stateOf(alice.id, enginepb.Event_State_CONNECTED)); len(connected) != 1 {
		t.Errorf("connected %d times", len(connected))
	}
}

func TestOpenWithoutADevice(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	l := linked{id: newAccountID(), jid: newNumber() + ":7@s.whatsapp.net"}
	if result := n.open(l, 1, long); result != enginepb.OpenResponse_NO_DEVICE {
		t.Errorf("open: %v", result)
	}
	_, err := n.Open(t.Context(), &enginepb.OpenRequest{Account: "a", Jid: "nonsense", Epoch: 1, ValidForMs: 1000})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("malformed JID: %v", err)
	}
}

func TestOlderEpochIsRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob := n.pair(newNumber()), newNumber()
	if result := n.open(alice, 3, long); result != enginepb.OpenResponse_OPENED {
		t.Fatalf("newer epoch: %v", result)
	}
	if response := n.text(alice, address(bob), newMessageID(), "old"); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_FENCED {
		t.Errorf("send under an older epoch: %v", response)
	}
	if result := n.open(alice, 2, long); result != enginepb.OpenResponse_FENCED {
		t.Errorf("open under an older epoch: %v", result)
	}
	if unknown := n.renew(alice, 2, long); len(unknown) != 1 {
		t.Error("an older epoch was renewed")
	}
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Groups(t.Context(), &enginepb.GroupsRequest{Account: alice.id, Epoch: 2}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("groups under an older epoch: %v", err)
	}
	request := &enginepb.SendRequest{Account: alice.id, Epoch: 3, Id: newMessageID(), To: address(bob), Text: "new"}
	if response := n.send(request); response.GetSent() == nil {
		t.Errorf("send under the current epoch: %v", response)
	}
	// A send under an epoch that was never opened here is no less wrong.
	request.Epoch = 4
	if response := n.send(request); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_FENCED {
		t.Errorf("send under an unknown epoch: %v", response)
	}
	// What is not open is not open for its owner, and another's for everybody else.
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 3}); err != nil {
		t.Fatal(err)
	}
	for epoch, reason := range map[int64]enginepb.SendResponse_NotSent_Reason{
		2: enginepb.SendResponse_NotSent_FENCED, 3: enginepb.SendResponse_NotSent_NOT_OPEN,
	} {
		request.Epoch = epoch
		if response := n.send(request); response.GetNotSent().GetReason() != reason {
			t.Errorf("send under epoch %d after closing: %v", epoch, response)
		}
	}
}

func TestLeaseThatRunsOutDisconnects(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "first")
	if unknown := n.renew(alice, 1, 300*time.Millisecond); len(unknown) != 0 {
		t.Fatal("not renewed")
	}
	worker.await("fence", 1, stateOf(alice.id, enginepb.Event_State_FENCED))
	response := n.text(alice, address(bob), newMessageID(), "late")
	if reason := response.GetNotSent().GetReason(); reason != enginepb.SendResponse_NotSent_NOT_OPEN {
		t.Errorf("send after the lease: %v", response)
	}
	if unknown := n.renew(alice, 1, long); len(unknown) != 1 {
		t.Error("a lease that ran out was renewed")
	}
	if result := n.open(alice, 1, long); result != enginepb.OpenResponse_OPENED {
		t.Fatalf("open again: %v", result)
	}
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	n.mustSend(alice, bob, "second")
}

// While one message waits for its ack, the account changes its epoch, or its lease runs out: what stands behind it is
// refused, and not sent once the way is free.
func TestRefusedBeforeItQueues(t *testing.T) {
	t.Parallel()
	for name, loseIt := range map[string]func(n *node, alice linked){
		"a newer epoch":        func(n *node, alice linked) { n.open(alice, 2, long) },
		"a lease that ran out": func(n *node, alice linked) { n.renew(alice, 1, 500*time.Millisecond) },
		"an account that is shut": func(n *node, alice linked) {
			_, _ = n.Close(n.t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			alice, bob, charlie := n.pair(newNumber()), newNumber(), newNumber()
			n.mustSend(alice, bob, "first")
			fault(t, bob, "no_ack", map[string]any{"count": 1})
			send := func(to, text string, timeout time.Duration) <-chan *enginepb.SendResponse {
				outcome := make(chan *enginepb.SendResponse, 1)
				go func() {
					response, _ := n.Send(context.Background(), &enginepb.SendRequest{
						Account: alice.id, Epoch: 1, Id: newMessageID(), To: address(to), Text: text, TimeoutMs: timeout.Milliseconds(),
					})
					outcome <- response
				}()
				return outcome
			}
			stuck := send(bob, "stuck", 2*time.Second)
			eventually(t, "the stuck message on Bob's phone", func() bool { return len(onPhone(t, bob)) == 2 })
			behind := send(charlie, "behind", 20*time.Second)
			for range 20 { // each answer comes after the request before it has been taken up
				if _, err := n.Info(t.Context(), &enginepb.InfoRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			loseIt(n, alice)
			if response := <-stuck; response.GetUnknown() == nil {
				t.Errorf("the stuck one: %v", response)
			}
			if response := <-behind; response.GetNotSent() == nil {
				t.Errorf("behind it: %v", response)
			}
			if shown := onPhone(t, charlie); len(shown) != 0 {
				t.Errorf("what was refused arrived: %v", shown)
			}
		})
	}
}

// Two engines hold the same device: the older one is thrown out by WhatsApp, and stays out.
func TestSecondEngineReplacesTheFirst(t *testing.T) {
	t.Parallel()
	first, second := startNode(t), startNode(t)
	one, two := first.listen(), second.listen()
	alice, bob := first.pair(newNumber()), newNumber()
	second.open(alice, 2, long)
	two.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	one.await("replacement", 1, stateOf(alice.id, enginepb.Event_State_REPLACED))
	if response := first.text(alice, address(bob), newMessageID(), "no"); response.GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_CONNECTED {
		t.Errorf("send by the replaced: %v", response)
	}
	request := &enginepb.SendRequest{Account: alice.id, Epoch: 2, Id: newMessageID(), To: address(bob), Text: "yes"}
	if response := second.send(request); response.GetSent() == nil {
		t.Errorf("send by the owner: %v", response)
	}
	// Only the worker may decide to take the account back.
	first.open(alice, 3, long)
	two.await("replacement", 1, stateOf(alice.id, enginepb.Event_State_REPLACED))
	one.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
}

// An account comes back to an engine that still holds its sessions in memory, after another engine has gone on with them.
func TestAccountThatComesBack(t *testing.T) {
	t.Parallel()
	first, second := startNode(t), startNode(t)
	one, two := first.listen(), second.listen()
	alice, bob := first.pair(newNumber()), newNumber()
	first.mustSend(alice, bob, "first")
	write(t, bob, alice.number, "one")
	one.await("message", 1, messageWith(alice.id, "one"))
	send := func(n *node, epoch int64, text string) {
		t.Helper()
		id := newMessageID()
		request := &enginepb.SendRequest{Account: alice.id, Epoch: epoch, Id: id, To: address(bob), Text: text}
		if response := n.send(request); response.GetSent() == nil {
			t.Fatalf("%s: %v", text, response)
		}
		awaitOnPhone(t, bob, id)
	}
	send(first, 1, "second")

	second.open(alice, 2, long)
	two.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	one.await("replacement", 1, stateOf(alice.id, enginepb.Event_State_REPLACED))
	send(second, 2, "third")
	write(t, bob, alice.number, "two")
	two.await("message", 1, messageWith(alice.id, "two"))
	send(second, 2, "fourth")
	if _, err := second.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 2}); err != nil {
		t.Fatal(err)
	}

	first.open(alice, 3, long)
	one.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	send(first, 3, "fifth")
	write(t, bob, alice.number, "three")
	one.await("message", 1, messageWith(alice.id, "three"))
	retried := func(event *enginepb.Event) bool {
		return event.GetReceipt().GetType() == enginepb.Event_Receipt_RETRY || isUndecryptable(event)
	}
	if lost := append(one.all(retried), two.all(retried)...); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
}

// Whoever takes over from a worker removes its row and ends its database sessions. An engine that was frozen meanwhile
// must then be unable to write.
func TestPoolOfALostWorkerStaysShut(t *testing.T) {
	t.Parallel()
	if _, err := world.admin.Exec("CREATE TABLE IF NOT EXISTS public.worker (id uuid PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	id := uuid.NewString()
	if _, err := world.admin.Exec("INSERT INTO public.worker VALUES ($1)", id); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, ownedBy(id))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "first")
	var ended int
	if _, err := world.admin.Exec("DELETE FROM public.worker WHERE id = $1", id); err != nil {
		t.Fatal(err)
	}
	if err := world.admin.QueryRow("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1",
		"chatwren-engine "+id).Scan(&ended); err != nil || ended == 0 {
		t.Fatalf("ended %d sessions, %v", ended, err)
	}
	for range 2 * ended { // more often than the pool had connections
		if response := n.text(alice, address(bob), newMessageID(), "late"); response.GetNotSent() == nil {
			t.Fatalf("send without a database: %v", response)
		}
	}
	write(t, bob, alice.number, "not acknowledged")
	if found := worker.all(messageWith(alice.id, "not acknowledged")); len(found) != 0 {
		t.Error("a message was taken that could not be noted")
	}
	n.stop()
	// The new owner finds everything as it was.
	successor := startNode(t)
	heir := successor.listen()
	successor.open(alice, 2, long)
	heir.await("message", 1, messageWith(alice.id, "not acknowledged"))
}
