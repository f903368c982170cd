package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// eventHub passes what happens on to those who watch.
type eventHub struct {
	mu       sync.Mutex
	watchers map[chan event]struct{}
}

type event struct {
	kind string
	data []byte
}

// eventBacklog is how many events wait for a watcher. One that falls further behind is cut off: it reconnects and
// reads the state afresh.
const eventBacklog = 512

func newEventHub() *eventHub { return &eventHub{watchers: map[chan event]struct{}{}} }

// publish tells the watchers. It never blocks, and costs next to nothing when nobody watches.
func (h *eventHub) publish(kind string, data any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) == 0 {
		return
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		return
	}
	for watcher := range h.watchers {
		select {
		case watcher <- event{kind, encoded}:
		default:
			delete(h.watchers, watcher)
			close(watcher)
		}
	}
}

func (h *eventHub) watch() (events <-chan event, stop func()) {
	watcher := make(chan event, eventBacklog)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[watcher] = struct{}{}
	return watcher, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, watcher)
	}
}

// serveEvents streams what happens as server-sent events.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	events, stop := s.events.watch()
	defer stop()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	heartbeat := time.NewTicker(15 * time.Second)
	defer heartbeat.Stop()
	text := ": watching\n\n"
	for {
		if _, err := fmt.Fprint(w, text); err != nil || control.Flush() != nil {
			return
		}
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			text = fmt.Sprintf("event: %s\ndata: %s\n\n", e.kind, e.data)
		case <-heartbeat.C:
			text = ": still here\n\n"
		case <-r.Context().Done():
			return
		}
	}
}
