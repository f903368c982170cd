package bridge

import (
	"sync"
	"time"
)

const (
	redeliverFirst = 2 * time.Second
	redeliverLast  = time.Minute
)

// redelivery makes WhatsApp deliver again what the worker did not store. WhatsApp does so only after a reconnect.
type redelivery struct {
	mu    sync.Mutex
	pause time.Duration
	timer *time.Timer
}

func (r *redelivery) after(a *account, stored bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stored {
		r.pause = 0
		return
	}
	if r.timer != nil {
		return
	}
	r.pause = min(max(2*r.pause, redeliverFirst), redeliverLast)
	r.timer = time.AfterFunc(r.pause, func() {
		r.mu.Lock()
		r.timer = nil
		r.mu.Unlock()
		if a.ctx.Err() == nil && a.online.Load() {
			a.log.Warn("reconnecting for what could not be stored")
			a.client.ResetConnection()
		}
	})
}
