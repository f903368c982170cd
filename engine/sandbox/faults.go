package sandbox

import (
	"sync"
	"time"
)

// A faultKind is a way in which the sandbox misbehaves on request.
type faultKind string

const (
	faultReject       faultKind = "reject"        // the server answers a message with an error code
	faultFailure      faultKind = "failure"       // the next login is refused with a reason
	faultStreamError  faultKind = "stream_error"  // live connections get a stream error
	faultDrop         faultKind = "drop"          // live connections are cut; new ones too while milliseconds last
	faultNoAck        faultKind = "no_ack"        // a message is delivered, its acknowledgement is not
	faultSlowAck      faultKind = "slow_ack"      // the acknowledgement comes late
	faultUnlink       faultKind = "unlink"        // the phone unlinks its companions
	faultGarble       faultKind = "garble"        // the next link or message arrives damaged
	faultLateReceipts faultKind = "late_receipts" // a phone's receipts come late
	faultRepeat       faultKind = "repeat"        // a message arrives twice
	faultNoPong       faultKind = "no_pong"       // pings are not answered
)

// fault is a fault that waits for its occasion.
type fault struct {
	Phone        string    `json:"phone,omitempty"` // the number it concerns; "" is every one
	Kind         faultKind `json:"kind"`
	Code         int       `json:"code,omitempty"`
	Milliseconds int       `json:"milliseconds,omitempty"`
	Count        int       `json:"count"` // how many times it still strikes
}

func (f *fault) delay() time.Duration { return time.Duration(f.Milliseconds) * time.Millisecond }

// faults are the faults under way.
type faults struct {
	mu      sync.Mutex
	waiting []*fault
}

func newFaults() *faults { return &faults{} }

// add makes a fault strike at its next occasions.
func (f *faults) add(added fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, &added)
}

// clear ends all faults.
func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = nil
}

// list returns the faults that still wait.
func (f *faults) list() []fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]fault, 0, len(f.waiting))
	for _, waiting := range f.waiting {
		list = append(list, *waiting)
	}
	return list
}

// take uses up one strike of a fault that concerns one of the numbers. It returns nil if there is none.
func (f *faults) take(kind faultKind, numbers ...string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, waiting := range f.waiting {
		if waiting.Kind != kind || !concerns(waiting.Phone, numbers) {
			continue
		}
		if waiting.Count--; waiting.Count <= 0 {
			f.waiting = append(f.waiting[:i:i], f.waiting[i+1:]...)
		}
		struck := *waiting
		return &struck
	}
	return nil
}

func concerns(phone string, numbers []string) bool {
	if phone == "" {
		return true
	}
	for _, number := range numbers {
		if number == phone {
			return true
		}
	}
	return false
}

// onLogin returns why a login is refused, if it is.
func (f *faults) onLogin(number string) *failure {
	struck := f.take(faultFailure, number)
	if struck == nil {
		return nil
	}
	refusal := &failure{reason: struck.Code}
	if struck.Code == 402 {
		refusal.code, refusal.expire = 101, struck.Milliseconds/1000
	}
	return refusal
}
