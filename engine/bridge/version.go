package bridge

import (
	"context"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
)

const versionTimeout = 30 * time.Second

// protocolVersion guards the version of WhatsApp's web protocol that this process names at login. whatsmeow keeps it in
// globals without a lock.
type protocolVersion struct {
	engine *Engine

	asking chan struct{} // one question at a time
	asked  time.Time     // when the last one was over; of whoever asks
	using  sync.RWMutex  // whatsmeow's globals
}

// payload is whatsmeow's login payload, made while the version stands still, and the version that it names.
func (v *protocolVersion) payload(device *store.Device) (*waWa6.ClientPayload, store.WAVersionContainer) {
	v.using.RLock()
	defer v.using.RUnlock()
	return device.GetClientPayload(), store.GetWAVersion()
}

func (v *protocolVersion) current() store.WAVersionContainer {
	v.using.RLock()
	defer v.using.RUnlock()
	return store.GetWAVersion()
}

// refresh asks WhatsApp for its version after `refused` was called outdated, and says whether there is a newer one.
// Whoever comes while another asks, takes that answer, and none as well: all accounts are refused at the same time, and would
// wait for each other.
func (v *protocolVersion) refresh(ctx context.Context, refused store.WAVersionContainer) bool {
	came := time.Now()
	select {
	case v.asking <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-v.asking }()
	switch {
	case v.current() != refused:
		return true
	case v.asked.After(came):
		return false
	}
	asking, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	latest, err := whatsmeow.GetLatestVersion(asking, v.engine.http)
	if ctx.Err() == nil { // else it was given up, and says nothing to others
		v.asked = time.Now()
	}
	if err != nil {
		v.engine.log.Warn("the current protocol version could not be asked for", "error", err.Error())
		return false
	}
	if *latest == refused {
		return false
	}
	v.using.Lock()
	store.SetWAVersion(*latest)
	v.using.Unlock()
	v.engine.log.Info("protocol version refreshed", "from", refused.String(), "to", latest.String())
	return true
}
