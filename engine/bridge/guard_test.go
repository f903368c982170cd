package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"

	"chatwren/engine/enginepb"
)

// nothing is a store that answers all and holds nothing.
type nothing struct{ store.NoopStore }

func (*nothing) GetManySessions(context.Context, []string) (map[string][]byte, error) {
	return nil, nil
}
func (*nothing) PutManySessions(context.Context, map[string][]byte) error { return nil }
func (*nothing) GetSession(context.Context, string) ([]byte, error)       { return nil, nil }
func (*nothing) PutSession(context.Context, string, []byte) error         { return nil }

func held(g *guard) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if g.lock(ctx) != nil {
		return true
	}
	g.unlock()
	return false
}

func TestGuardSpansAnExchange(t *testing.T) {
	var expired atomic.Bool
	g := newGuard()
	sessions := guardedSessions{&nothing{}, g, func() error {
		if expired.Load() {
			return errLease
		}
		return nil
	}}
	bobs := map[string][]byte{"bob_1:0": nil}
	begin := func() (context.Context, *exchange) {
		x := &exchange{guard: g, own: "alice_1", direct: true}
		ctx := withExchange(t.Context(), x)
		if _, err := sessions.GetManySessions(ctx, []string{"bob_1:0"}); err != nil {
			t.Fatal(err)
		}
		if !held(g) {
			t.Fatal("not held between reading and writing")
		}
		return ctx, x
	}
	free := func(when string) {
		t.Helper()
		if held(g) {
			t.Fatal("still held after " + when)
		}
	}

	ctx, x := begin()
	if err := sessions.PutManySessions(ctx, bobs); err != nil || x.drop() {
		t.Fatal(err)
	}
	free("writing")

	ctx, x = begin()
	if !x.drop() {
		t.Error("what was not written yet cannot be given up")
	}
	if err := sessions.PutManySessions(ctx, bobs); !errors.Is(err, errGivenUp) {
		t.Errorf("given up, and written all the same: %v", err)
	}
	free("a message that was given up")

	_, x = begin()
	x.end() // whatsmeow gave up
	free("giving up")

	ctx, _ = begin()
	if err := sessions.PutManySessions(ctx, map[string][]byte{"alice_1:0": nil}); !errors.Is(err, errNotEncrypted) {
		t.Errorf("encrypted for own devices alone: %v", err)
	}
	free("encrypting for nobody")

	ctx, _ = begin()
	expired.Store(true)
	if err := sessions.PutManySessions(ctx, bobs); !errors.Is(err, errLease) {
		t.Errorf("the lease ran out before the frame: %v", err)
	}
	free("the fence")
	if err := sessions.PutSession(t.Context(), "bob_1:0", nil); !errors.Is(err, errLease) {
		t.Errorf("the lease ran out before the answer to a retry: %v", err)
	}
	expired.Store(false)

	// The answer to a retry receipt reads one session and writes it.
	if _, err := sessions.GetSession(t.Context(), "bob_1:0"); err != nil {
		t.Fatal(err)
	}
	if !held(g) {
		t.Error("not held for the answer to a retry")
	}
	if err := sessions.PutSession(t.Context(), "bob_1:0", nil); err != nil {
		t.Fatal(err)
	}
	free("the answer to a retry")

	// It may fail half-way.
	if _, err := sessions.GetSession(t.Context(), "bob_1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*looseHold)
	defer cancel()
	if err := g.lock(ctx); err != nil {
		t.Error("held for ever after a failed answer")
	}
}

func TestPanicIsNoSuccess(t *testing.T) {
	a := &account{log: slog.New(slog.DiscardHandler), observe: func(any) { panic("a fault of ours") }}
	a.active.Store(true)
	if a.handle(struct{}{}) { // an event that would be done with
		t.Error("a panic was taken for success")
	}
}

func TestQueueStaysBoundedWhileNobodyListens(t *testing.T) {
	h := newHub()
	for range 3 * spare {
		h.post(&enginepb.Event{Account: "alice", Event: &enginepb.Event_GroupChange_{}})
		h.post(stateEvent("alice", &enginepb.Event_State{Kind: enginepb.Event_State_DISCONNECTED}))
		h.post(stateEvent("alice", &enginepb.Event_State{Kind: enginepb.Event_State_CONNECTED}))
		h.post(stateEvent("bob", &enginepb.Event_State{Kind: enginepb.Event_State_DISCONNECTED}))
		h.post(&enginepb.Event{Account: "alice", NeedsAck: true, Event: &enginepb.Event_PushName_{PushName: &enginepb.Event_PushName{}}})
	}
	banned := stateEvent("alice", &enginepb.Event_State{Kind: enginepb.Event_State_BANNED})
	h.post(banned)
	h.post(stateEvent("alice", &enginepb.Event_State{Kind: enginepb.Event_State_CONNECTED}))
	queue := h.take(h.attach())
	if len(queue) != spare+4 {
		t.Errorf("%d events are kept", len(queue))
	}
	var last uint64
	for _, d := range queue {
		if d.event.Seq <= last {
			t.Fatal("out of order")
		}
		last = d.event.Seq
	}
	if queue[len(queue)-2].event != banned {
		t.Error("a ban was lost")
	}
}

func TestCodesThatAreRotated(t *testing.T) {
	begun := time.Now()
	codes := newQRCodes([]string{"a,old", "b,old", "c,old"}, begun)
	codes.rotate("old", "new")
	list := codes.event(begun.Add(65 * time.Second)).GetCodes().Codes
	if len(list) != 2 || list[0].Text != "b,new" || list[0].ValidForMs != 15_000 || list[1].ValidForMs != 20_000 {
		t.Errorf("after 65 s: %v", list)
	}
}

// TestWhyAMessageWasNotSent has errors as whatsmeow passes them on.
func TestWhyAMessageWasNotSent(t *testing.T) {
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	ended, end := context.WithCancel(t.Context())
	end()
	late := func(ctx context.Context) error {
		return (&keptEvents{EventBuffer: &nothing{}}).AddOutgoingEvent(ctx, types.JID{}, "", "wa", nil)
	}
	for name, given := range map[string]struct {
		err  error
		want enginepb.SendResponse_NotSent_Reason
	}{
		"its turn came too late":      {late(over), enginepb.SendResponse_NotSent_BUSY},
		"its account ended meanwhile": {late(ended), enginepb.SendResponse_NotSent_NOT_OPEN},
		"no list of devices in time":  {over.Err(), enginepb.SendResponse_NotSent_LOCAL},
	} {
		if response := failure(fmt.Errorf("failed: %w", given.err), false); response.GetNotSent().GetReason() != given.want {
			t.Errorf("%s: %v", name, response)
		}
	}
}
