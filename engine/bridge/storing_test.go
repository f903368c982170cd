package bridge_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatwren/engine/enginepb"
)

// What the worker has not stored, WhatsApp delivers again: to this engine after a reconnect, or to the next.
func TestNotStoredComesAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	var refusing atomic.Bool
	refusing.Store(true)
	worker := n.listenWith(func(event *enginepb.Event) (bool, bool) {
		return true, event.GetMessage() == nil || !refusing.Load()
	})
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "keep me")
	worker.await("message", 1, messageWith(alice.id, "keep me"))
	refusing.Store(false)
	worker.await("message again", 2, messageWith(alice.id, "keep me"))
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
	write(t, bob, alice.number, "and me")
	worker.await("next message", 1, messageWith(alice.id, "and me"))
}

func TestNotAnsweredComesAgainToTheNextEngine(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	silent := first.listenWith(func(event *enginepb.Event) (bool, bool) {
		return event.GetMessage() == nil && event.GetReceipt() == nil, true
	})
	alice, bob := first.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "keep me")
	silent.await("message", 1, messageWith(alice.id, "keep me"))
	first.stop()

	second := startNode(t)
	worker := second.listen()
	second.open(alice, 1, long)
	worker.await("message again", 1, messageWith(alice.id, "keep me"))
	write(t, bob, alice.number, "next") // which comes once the first is done with
	worker.await("next message", 1, messageWith(alice.id, "next"))
	second.stop()

	third := startNode(t)
	last := third.listen()
	third.open(alice, 1, long)
	write(t, bob, alice.number, "the end")
	last.await("next message", 1, messageWith(alice.id, "the end"))
	if again := last.all(messageWith(alice.id, "keep me")); len(again) != 0 {
		t.Error("a message came again after it was stored")
	}
}

// All receipts of an account go to the worker as they come, and each is acknowledged to WhatsApp when it is stored.
func TestReceiptsNotAnsweredComeAgain(t *testing.T) {
	t.Parallel()
	first := startNode(t)
	silent := first.listenWith(func(event *enginepb.Event) (bool, bool) { return event.GetReceipt() == nil, true })
	alice, bob := first.pair(newNumber()), newNumber()
	ids := []string{newMessageID(), newMessageID()}
	for _, id := range ids {
		if response := first.text(alice, address(bob), id, "hello"); response.GetSent() == nil {
			t.Fatal(response)
		}
	}
	for _, id := range ids {
		silent.await("delivery", 1, receiptOf(id, enginepb.Event_Receipt_DELIVERED))
		silent.await("reading", 1, receiptOf(id, enginepb.Event_Receipt_READ))
	}
	write(t, bob, alice.number, "after them")
	// What was sent before a question is here once that is answered: an ack too early, and what waits for the receipts.
	if _, err := first.CheckNumbers(t.Context(), &enginepb.CheckNumbersRequest{Account: alice.id, Epoch: 1, Phones: []string{bob}}); err != nil {
		t.Fatal(err)
	}
	if early := silent.all(messageWith(alice.id, "after them")); len(early) != 0 {
		t.Error("a message was passed on before the receipts that came before it were stored")
	}
	first.stop()

	second := startNode(t)
	worker := second.listen()
	second.open(alice, 1, long)
	for _, id := range ids {
		worker.await("delivery again", 1, receiptOf(id, enginepb.Event_Receipt_DELIVERED))
		worker.await("reading again", 1, receiptOf(id, enginepb.Event_Receipt_READ))
	}
	worker.await("message", 1, messageWith(alice.id, "after them"))
	eventually(t, "WhatsApp has all acknowledgements", func() bool { return queued(t, alice.number) == 0 })
}

// WhatsApp gets the ack that whatsmeow would have sent, for each kind of receipt.
func TestEachKindOfReceiptIsAcknowledged(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	for kind, told := range map[string]enginepb.Event_Receipt_Type{
		"": enginepb.Event_Receipt_DELIVERED, "inactive": enginepb.Event_Receipt_DELIVERED, "read": enginepb.Event_Receipt_READ,
		"played": enginepb.Event_Receipt_PLAYED, "server-error": enginepb.Event_Receipt_SERVER_ERROR,
	} {
		ids := []string{newMessageID(), newMessageID()}
		phones(t, http.MethodPost, "/phones/"+bob+"/receipts", map[string]any{"to": alice.number, "ids": ids, "type": kind}, nil)
		worker.await("receipt", 1, receiptOf(ids[1], told))
	}
	eventually(t, "WhatsApp has all acknowledgements", func() bool { return queued(t, alice.number) == 0 })
}

// A receipt of many messages is stored share by share, one after the other, and acknowledged to WhatsApp after the last.
func TestALongReceiptIsStoredInShares(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	last := func(event *enginepb.Event) bool { return slices.Contains(event.GetReceipt().GetIds(), "id600") }
	held := make(chan struct{})
	answer := sync.OnceFunc(func() { close(held) })
	defer answer()
	worker := n.listenWith(func(event *enginepb.Event) (bool, bool) {
		if last(event) {
			<-held
		}
		return true, true
	})
	alice, mallory := n.pair(newNumber()), newNumber()
	ids := make([]string, 601)
	for i := range ids {
		ids[i] = fmt.Sprintf("id%03d", i)
	}
	phones(t, http.MethodPost, "/phones/"+mallory+"/receipts", map[string]any{"to": alice.number, "ids": ids, "type": "read"}, nil)
	worker.await("the last share", 1, last)
	shares := worker.all(func(event *enginepb.Event) bool { return event.GetReceipt() != nil })
	var told []string
	for i, share := range shares {
		told = append(told, share.GetReceipt().Ids...)
		if i > 0 && share.Seq == shares[i-1].Seq || len(share.GetReceipt().Ids) > 256 || !share.NeedsAck {
			t.Errorf("a share has %d messages", len(share.GetReceipt().Ids))
		}
	}
	if !slices.Equal(told, ids) {
		t.Errorf("told of %d messages", len(told))
	}
	if queued(t, alice.number) == 0 {
		t.Error("it was acknowledged before all of it was stored")
	}
	answer()
	eventually(t, "WhatsApp has an acknowledgement", func() bool { return queued(t, alice.number) == 0 })
}

// A new stream begins with what awaits its ack, and ends the one before it.
func TestNewStreamReplaysWhatIsPending(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	silent := n.listenWith(func(event *enginepb.Event) (bool, bool) { return event.GetMessage() == nil, true })
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "first")
	write(t, bob, alice.number, "second")
	before := silent.await("message", 1, messageWith(alice.id, "first"))
	worker := n.listen()
	after := worker.await("message again", 1, messageWith(alice.id, "first"))
	if before.Seq != after.Seq {
		t.Errorf("sequence %d became %d", before.Seq, after.Seq)
	}
	worker.await("next message", 1, messageWith(alice.id, "second"))
	select {
	case <-silent.ended:
	case <-time.After(patience):
		t.Error("the older stream goes on")
	}
}

// While the database is away nothing is acknowledged: all is there when it is back, and readable.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	gate, url := gateToDatabase(t)
	n := startNode(t, overDatabase(url))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	n.mustSend(alice, bob, "first")
	write(t, bob, alice.number, "hello")
	worker.await("message", 1, messageWith(alice.id, "hello"))

	gate.close()
	for i := range 5 {
		write(t, bob, alice.number, fmt.Sprint("while away ", i))
	}
	if response := n.text(alice, address(bob), newMessageID(), "no"); response.GetNotSent() == nil {
		t.Errorf("send without a database: %v", response)
	}
	if got := worker.all(messageWith(alice.id, "while away 0")); len(got) != 0 {
		t.Error("a message was passed on that could not be noted")
	}
	gate.open()
	for i := range 5 {
		worker.await("message", 1, messageWith(alice.id, fmt.Sprint("while away ", i)))
	}
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
	n.mustSend(alice, bob, "second")
}

// The database answers, but cannot note a message: it is not acknowledged, and its sender is not asked for another.
func TestMessageThatCannotBeNoted(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "hello")
	worker.await("message", 1, messageWith(alice.id, "hello"))
	execute(t, `CREATE OR REPLACE FUNCTION whatsmeow.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''full''; END'`)
	execute(t, fmt.Sprintf(`CREATE TRIGGER refuse_%s BEFORE INSERT ON whatsmeow.whatsmeow_event_buffer
		FOR EACH ROW WHEN (NEW.our_jid = '%s') EXECUTE FUNCTION whatsmeow.refuse()`, alice.number, alice.jid))
	write(t, bob, alice.number, "keep me")
	eventually(t, "the engine gives up", func() bool { return strings.Contains(n.logs.String(), "Error decrypting message") })
	execute(t, fmt.Sprintf("DROP TRIGGER refuse_%s ON whatsmeow.whatsmeow_event_buffer", alice.number))
	if got := worker.all(messageWith(alice.id, "keep me")); len(got) != 0 {
		t.Error("a message was passed on that was not noted")
	}
	fault(t, alice.number, "stream_error", map[string]any{"code": 503, "count": 1})
	worker.await("message", 1, messageWith(alice.id, "keep me"))
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
}

func execute(t *testing.T, statement string) {
	t.Helper()
	if _, err := world.admin.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// The connection to the database breaks while it commits: a message is noted, and the engine is not told. It must find
// out, since the session has moved on and would not decrypt the message again.
func TestNotedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	gate, url := gateToDatabase(t)
	n := startNode(t, overDatabase(url))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "hello")
	worker.await("message", 1, messageWith(alice.id, "hello"))
	noted := func() (count int) {
		t.Helper()
		if err := world.admin.QueryRow("SELECT count(*) FROM whatsmeow.whatsmeow_event_buffer WHERE our_jid = $1", alice.jid).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	before := noted()
	hold, err := world.admin.Begin() // whoever writes these sessions waits
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback()
	if _, err := hold.Exec("SELECT FROM whatsmeow.whatsmeow_sessions WHERE our_jid = $1 FOR UPDATE", alice.jid); err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := hold.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	write(t, bob, alice.number, "keep me")
	eventually(t, "the write waits", func() (waits bool) {
		err := world.admin.QueryRow("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))", pid).Scan(&waits)
		return err == nil && waits
	})
	gate.close()
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message is noted", func() bool { return noted() == before+1 })
	gate.open()
	worker.await("message", 1, messageWith(alice.id, "keep me"))
	write(t, bob, alice.number, "and me")
	worker.await("next message", 1, messageWith(alice.id, "and me"))
	n.mustSend(alice, bob, "still in step")
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
}

// Both at once: the connection to WhatsApp breaks while a message waits for the database. It comes twice then, on the
// old connection and on the new, and must be decrypted once.
func TestDatabaseAwayAndReconnect(t *testing.T) {
	t.Parallel()
	database, url := gateToDatabase(t)
	server := gateToSandbox(t)
	n := startNode(t, overDatabase(url), overAddress(server.address()))
	worker := n.listen()
	alice, bob := n.pair(newNumber()), newNumber()
	write(t, bob, alice.number, "hello")
	worker.await("message", 1, messageWith(alice.id, "hello"))

	database.close()
	write(t, bob, alice.number, "in between")
	server.close()
	worker.await("loss of the connection", 1, stateOf(alice.id, enginepb.Event_State_DISCONNECTED))
	server.open()
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	database.open()
	worker.await("message", 1, messageWith(alice.id, "in between"))
	write(t, bob, alice.number, "after")
	worker.await("message", 1, messageWith(alice.id, "after"))
	if lost := worker.all(isUndecryptable); len(lost) != 0 {
		t.Errorf("undecryptable: %v", lost)
	}
}

// A recipient that could not decrypt a message asks for it again; it may do so after the engine was restarted, as Bob's
// second device does, which is away until then.
func TestRetryAfterRestart(t *testing.T) {
	t.Parallel()
	first, away := startNode(t), startNode(t)
	first.listen()
	before := away.listen()
	alice, bob := first.pair(newNumber()), away.pair(newNumber())
	first.mustSend(alice, bob.number, "first")
	before.await("message", 1, messageWith(bob.id, "first"))
	away.stop()
	fault(t, bob.number, "garble", map[string]any{"count": 2}) // for his phone, which asks at once, and for that device
	id := newMessageID()
	if response := first.text(alice, address(bob.number), id, "garbled"); response.GetSent() == nil {
		t.Fatal(response)
	}
	first.stop()

	second, back := startNode(t), startNode(t)
	second.listen()
	after := back.listen()
	second.open(alice, 1, long)
	back.open(bob, 1, long)
	after.await("what cannot be read", 1, isUndecryptable)
	after.await("message again", 1, messageWith(bob.id, "garbled"))
	if shown := awaitOnPhone(t, bob.number, id); shown.Text != "garbled" {
		t.Errorf("Bob's phone shows %+v", shown)
	}
}

func isUndecryptable(event *enginepb.Event) bool { return event.GetUndecryptable() != nil }
