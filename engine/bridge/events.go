package bridge

import (
	"context"
	"iter"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"chatwren/engine/enginepb"
)

// spare is how many events that need no ack are kept for a worker that does not listen. The oldest go first.
const spare = 1024

// The bounds of a batch of events: in bytes, unless one alone has more, and in number.
const (
	largestBatch = 256 << 10
	longestBatch = 256
)

// hub passes the events of all accounts to the worker, in order, and the worker's acks back to whoever waits for them.
type hub struct {
	mu      sync.Mutex
	seq     uint64
	queue   []*delivery          // not sent on the current stream
	pending map[uint64]*delivery // await their ack, sent or not
	stream  chan struct{}        // closed when a newer stream takes over
	more    chan struct{}        // signals the stream that the queue has grown
	closed  bool
}

type delivery struct {
	event *enginepb.Event
	acked chan bool // has room for the one answer; nil: nobody waits for it
}

func newHub() *hub {
	return &hub{pending: make(map[uint64]*delivery), more: make(chan struct{}, 1)}
}

// offer passes on an event of which the caller awaits that the worker has stored it.
func (h *hub) offer(event *enginepb.Event) *delivery {
	event.NeedsAck = true
	return h.add(event, make(chan bool, 1))
}

// await returns when the worker has stored what was offered. False: it has not, or ctx has ended.
func (h *hub) await(ctx context.Context, d *delivery) bool {
	select {
	case ok := <-d.acked:
		return ok
	case <-ctx.Done():
		h.withdraw(d)
		return false
	}
}

// post passes on an event and does not wait.
func (h *hub) post(event *enginepb.Event) { h.add(event, nil) }

func (h *hub) add(event *enginepb.Event, acked chan bool) *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	event.Seq = h.seq
	d := &delivery{event: event, acked: acked}
	h.makeRoom(event)
	h.queue = append(h.queue, d)
	if event.NeedsAck {
		h.pending[event.Seq] = d
	}
	h.signal()
	return d
}

// makeRoom keeps the queue bounded while nobody listens. Messages and receipts are bounded, since each account waits for its
// last message and for its last mostReceipts; of the states of an account that comes and goes, and of its names, only the newest says anything.
func (h *hub) makeRoom(event *enginepb.Event) {
	superseded := func(d *delivery) bool { return false }
	switch {
	case comesAndGoes(event):
		superseded = ofAccount(event.Account, comesAndGoes)
	case isNewName(event):
		superseded = ofAccount(event.Account, isNewName)
	case !event.NeedsAck:
		idle := 0
		for _, d := range h.queue {
			if !d.event.NeedsAck {
				idle++
			}
		}
		if idle >= spare {
			first := true
			superseded = func(d *delivery) bool {
				drop := first && !d.event.NeedsAck
				first = first && !drop
				return drop
			}
		}
	}
	h.queue = slices.DeleteFunc(h.queue, func(d *delivery) bool {
		if superseded(d) {
			delete(h.pending, d.event.Seq)
			return true
		}
		return false
	})
}

func comesAndGoes(event *enginepb.Event) bool {
	kind := event.GetState().GetKind()
	return kind == enginepb.Event_State_CONNECTED || kind == enginepb.Event_State_DISCONNECTED
}

func isNewName(event *enginepb.Event) bool { return event.GetPushName() != nil }

// ofAccount fits the deliveries of an account's events of a kind.
func ofAccount(account string, kind func(*enginepb.Event) bool) func(*delivery) bool {
	return func(d *delivery) bool { return d.event.Account == account && kind(d.event) }
}

func (h *hub) signal() {
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *hub) withdraw(d *delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pending, d.event.Seq)
	h.queue = slices.DeleteFunc(h.queue, func(other *delivery) bool { return other == d })
}

func (h *hub) ack(seq uint64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.pending[seq]
	if d == nil {
		return // withdrawn meanwhile: it will come again
	}
	if d.acked == nil && !ok {
		return // nobody waits; the next stream repeats it
	}
	delete(h.pending, seq)
	if d.acked != nil {
		d.acked <- ok
	}
}

// attach begins a stream: it ends the one before and queues all that awaits an ack.
func (h *hub) attach() (replaced <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != nil && !h.closed {
		close(h.stream)
	}
	h.stream = make(chan struct{})
	if h.closed {
		close(h.stream)
		return h.stream
	}
	h.queue = slices.DeleteFunc(h.queue, func(d *delivery) bool { return d.event.NeedsAck })
	for _, d := range h.pending {
		h.queue = append(h.queue, d)
	}
	slices.SortFunc(h.queue, func(a, b *delivery) int { return int(int64(a.event.Seq) - int64(b.event.Seq)) })
	h.signal()
	return h.stream
}

// take empties the queue for the stream that `replaced` belongs to.
func (h *hub) take(replaced <-chan struct{}) []*delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-replaced:
		h.signal() // the signal was meant for the newer stream
		return nil
	default:
	}
	taken := h.queue
	h.queue = nil
	return taken
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != nil && !h.closed {
		close(h.stream)
	}
	h.closed = true
}

// batches are the events of deliveries in their order, in each some of them or a single large one.
func batches(deliveries []*delivery) iter.Seq[*enginepb.EventBatch] {
	return func(yield func(*enginepb.EventBatch) bool) {
		batch, size := &enginepb.EventBatch{}, 0
		for _, d := range deliveries {
			more := proto.Size(d.event)
			if len(batch.Events) > 0 && (size+more > largestBatch || len(batch.Events) == longestBatch) {
				if !yield(batch) {
					return
				}
				batch, size = &enginepb.EventBatch{}, 0
			}
			batch.Events, size = append(batch.Events, d.event), size+more
		}
		if len(batch.Events) > 0 {
			yield(batch)
		}
	}
}

// Events is one stream of the worker.
func (s *door) Events(stream grpc.BidiStreamingServer[enginepb.AckBatch, enginepb.EventBatch]) error {
	hub := s.engine.hub
	replaced := hub.attach()
	ended := make(chan error, 1)
	go func() {
		for {
			batch, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, ack := range batch.Acks {
				hub.ack(ack.Seq, ack.Ok)
			}
		}
	}()
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-ended:
			return nil
		case <-replaced:
			return status.Error(codes.Aborted, "a newer stream of events took over")
		case <-hub.more:
		}
		for batch := range batches(hub.take(replaced)) {
			if err := stream.Send(batch); err != nil {
				return err
			}
		}
	}
}
