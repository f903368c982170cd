package bridge_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"chatwren/engine/enginepb"
)

// feed is the worker's stream of events: it records them, and answers those that need an ack.
type feed struct {
	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{}
	answer func(*enginepb.Event) (ack, ok bool)

	mu     sync.Mutex
	events []*enginepb.Event
	grown  chan struct{}
}

// listen opens a stream that says yes to all.
func (n *node) listen() *feed {
	return n.listenWith(func(*enginepb.Event) (bool, bool) { return true, true })
}

// listenWith opens a stream whose answers are made by a function: whether to answer, and what.
func (n *node) listenWith(answer func(*enginepb.Event) (ack, ok bool)) *feed {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := n.Events(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	f := &feed{t: n.t, cancel: cancel, ended: make(chan struct{}), answer: answer, grown: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for {
			batch, err := stream.Recv()
			if err != nil {
				return
			}
			for _, event := range batch.Events {
				f.mu.Lock()
				f.events = append(f.events, event)
				close(f.grown)
				f.grown = make(chan struct{})
				f.mu.Unlock()
				if event.NeedsAck {
					if ack, ok := f.answer(event); ack {
						_ = stream.Send(&enginepb.AckBatch{Acks: []*enginepb.EventAck{{Seq: event.Seq, Ok: ok}}})
					}
				}
			}
		}
	}()
	n.t.Cleanup(f.close)
	return f
}

func (f *feed) close() {
	f.cancel()
	<-f.ended
}

// all are the events so far that fit.
func (f *feed) all(fits func(*enginepb.Event) bool) []*enginepb.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*enginepb.Event
	for _, event := range f.events {
		if fits(event) {
			found = append(found, event)
		}
	}
	return found
}

// await returns the n-th event that fits, n from 1.
func (f *feed) await(what string, n int, fits func(*enginepb.Event) bool) *enginepb.Event {
	f.t.Helper()
	timeout := time.After(patience)
	for {
		f.mu.Lock()
		grown := f.grown
		f.mu.Unlock()
		if found := f.all(fits); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-grown:
		case <-timeout:
			f.t.Fatalf("no %s (%d.); seen: %v", what, n, f.all(func(*enginepb.Event) bool { return true }))
		}
	}
}

func stateOf(account string, kind enginepb.Event_State_Kind) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return event.Account == account && event.GetState().GetKind() == kind && event.GetState() != nil
	}
}

// lossOf is that a connection broke, and not that it was slow to answer, as any is on a machine that is busy.
func lossOf(account string) func(*enginepb.Event) bool {
	disconnected := stateOf(account, enginepb.Event_State_DISCONNECTED)
	return func(event *enginepb.Event) bool {
		return disconnected(event) && event.GetState().Detail != "no answer to keep-alive"
	}
}

func receiptOf(id string, kind enginepb.Event_Receipt_Type) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		receipt := event.GetReceipt()
		return receipt != nil && receipt.Type == kind && strings.Contains(strings.Join(receipt.Ids, " "), id)
	}
}

func messageWith(account, text string) func(*enginepb.Event) bool {
	return func(event *enginepb.Event) bool {
		return event.Account == account && event.GetMessage() != nil && event.GetMessage().Text == text
	}
}

// eventually waits for a condition that no event announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
