package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/types"

	"chatwren/engine/enginepb"
)

// ownership is what the engine remembers of an account, open or not, for as long as it runs.
type ownership struct {
	changing sync.Mutex // held while the account is opened, closed, paired or logged out

	// under Engine.mu
	epoch   int64 // the highest that it was opened with: nothing older is obeyed
	open    *account
	pairing *pairing
}

func (e *Engine) ownership(id string) *ownership {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.accounts[id]
	if o == nil {
		o = &ownership{}
		e.accounts[id] = o
	}
	return o
}

// account is the open account of this id, or nil, and the highest epoch seen.
func (e *Engine) account(id string) (open *account, epoch int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.accounts[id]; o != nil {
		return o.open, o.epoch
	}
	return nil, 0
}

func (e *Engine) openAccounts() []*account {
	e.mu.Lock()
	defer e.mu.Unlock()
	open := make([]*account, 0, len(e.accounts))
	for _, o := range e.accounts {
		if o.open != nil {
			open = append(open, o.open)
		}
	}
	return open
}

// claim raises an account's epoch. False: a newer one was seen.
func (e *Engine) claim(o *ownership, epoch int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.epoch > epoch {
		return false
	}
	o.epoch = epoch
	return true
}

// admit makes an account the open one of its id, in place of another.
func (e *Engine) admit(o *ownership, a *account) {
	e.mu.Lock()
	before := o.open
	o.open = a
	e.mu.Unlock()
	a.active.Store(true)
	if before != nil {
		before.end()
	}
}

// begin makes a pairing the one of its account. False: another runs.
func (e *Engine) begin(o *ownership, p *pairing) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.pairing != nil {
		return false
	}
	o.pairing = p
	return true
}

// endPairing ends the pairing of an account that runs, and returns when a device that it has saved is in the database, and
// none will come.
func (e *Engine) endPairing(ctx context.Context, o *ownership) error {
	e.mu.Lock()
	p := o.pairing
	e.mu.Unlock()
	if p == nil {
		return nil
	}
	p.stop()
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dismiss ends an account if it is still the open one of its id.
func (e *Engine) dismiss(a *account) bool {
	e.mu.Lock()
	o := e.accounts[a.id]
	mine := o != nil && o.open == a
	if mine {
		o.open = nil
	}
	e.mu.Unlock()
	if mine {
		a.end()
	}
	return mine
}

// fence ends an account whose lease ran out.
func (e *Engine) fence(a *account) {
	if e.dismiss(a) {
		a.log.Warn("the lease ran out: disconnected")
		e.hub.post(stateEvent(a.id, &enginepb.Event_State{Kind: enginepb.Event_State_FENCED}))
	}
}

// open keeps a linked account connected under an epoch. Repeated, it renews the lease and connects again after a state
// that ended the connection.
func (e *Engine) open(ctx context.Context, id string, jid types.JID, epoch int64, validFor time.Duration) (enginepb.OpenResponse_Result, error) {
	o := e.ownership(id)
	o.changing.Lock()
	defer o.changing.Unlock()
	if !e.claim(o, epoch) {
		return enginepb.OpenResponse_FENCED, nil
	}
	if a, _ := e.account(id); a != nil && a.device() == jid && a.renew(epoch, validFor) {
		if a.parked.Swap(false) {
			a.connect()
		}
		return enginepb.OpenResponse_OPENED, nil
	}
	held := newLease(epoch, validFor) // before the database is asked: the time that it takes counts
	device, err := e.database.container.GetDevice(ctx, jid)
	if err != nil {
		return 0, fmt.Errorf("device: %w", err)
	}
	if device == nil {
		if a, _ := e.account(id); a != nil {
			e.dismiss(a)
		}
		return enginepb.OpenResponse_NO_DEVICE, nil
	}
	a := e.newAccount(id, device, held)
	e.admit(o, a)
	a.connect()
	return enginepb.OpenResponse_OPENED, nil
}

// renew extends a lease. False: the account is not open here under this epoch or an older one.
func (e *Engine) renew(id string, epoch int64, validFor time.Duration) bool {
	a, highest := e.account(id)
	if a == nil || highest > epoch || !a.renew(epoch, validFor) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.accounts[id]
	o.epoch = max(o.epoch, epoch)
	return o.open == a
}

// close disconnects an account, unless it is open under a newer epoch.
func (e *Engine) close(id string, epoch int64) {
	o := e.ownership(id)
	o.changing.Lock()
	defer o.changing.Unlock()
	if a, highest := e.account(id); a != nil && highest <= epoch {
		e.dismiss(a)
	}
}
