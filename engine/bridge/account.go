package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"golang.org/x/sync/semaphore"
)

// errLease: this process may not act for the account any more.
var errLease = errors.New("the lease of this account has run out here")

const goodbye = 2 * time.Second

// loginPatience is how long an account may be without a login before it is connected anew, whatever whatsmeow waits for.
// A connection that WhatsApp cuts at the end of the handshake leaves whatsmeow with a dead socket and without an event.
var loginPatience = 45 * time.Second

// account is one linked WhatsApp account while it is open here.
type account struct {
	id     string
	engine *Engine
	client *whatsmeow.Client
	guard  *guard
	memory *memory
	keeper *keeper
	log    *slog.Logger
	ctx    context.Context // ends with the account
	cancel context.CancelFunc
	wire   context.Context // whatsmeow's own; ends once it is disconnected
	cut    context.CancelFunc
	turn   chan struct{} // one send at a time; unlike whatsmeow's own lock it can be given up

	unstored *semaphore.Weighted // one for each receipt that the worker has yet to store, all of it for anything else

	observe func(event any) // sees all events too; set before connecting

	online  atomic.Bool // connected and answering
	active  atomic.Bool // its events go to the worker; false while it is being paired
	asked   atomic.Bool // a connection is wanted that no attempt has begun to make
	dialing atomic.Bool
	parked  atomic.Bool                              // disconnected until it is opened again
	tried   atomic.Int64                             // leaseClock when it went offline, or was last dialled
	named   atomic.Pointer[store.WAVersionContainer] // the protocol version of the last login

	settings settings

	mu    sync.Mutex
	jid   types.JID
	lease lease
}

// newAccount prepares a client for a device, stored or new. It does not connect.
func (e *Engine) newAccount(id string, device *store.Device, held lease) *account {
	ctx, cancel := context.WithCancel(e.ctx)
	wire, cut := context.WithCancel(context.Background())
	a := &account{
		id:     id,
		engine: e,
		guard:  newGuard(),
		memory: newMemory(),
		log:    e.log.With("account", id),
		ctx:    ctx,
		cancel: cancel,
		wire:   wire,
		cut:    cut,
		turn:   make(chan struct{}, 1),
		jid:    device.GetJID(),
		lease:  held,

		unstored: semaphore.NewWeighted(mostReceipts),
	}
	a.keeper = &keeper{database: e.database, guard: a.guard, memory: a.memory, lease: a.leased, aside: a.aside, settings: a.fetchSettings, log: a.log}
	a.keeper.adopt(device)
	a.client = e.newClient(wire, device, a.log)
	a.client.GetClientPayload = func() *waWa6.ClientPayload {
		a.keeper.pairing.Store(false)
		a.memory.discard() // whoever else wrote for the account was connected for it, between two logins of this client
		payload, version := e.version.payload(device)
		a.named.Store(&version)
		return payload
	}
	a.client.AddEventHandlerWithSuccessStatus(a.handle)
	return a
}

// connect dials in the background until it succeeds or the account ends. After that whatsmeow reconnects by itself.
// Asked while a dial is under way, whose connection WhatsApp may just have refused, it dials once more.
func (a *account) connect() {
	a.asked.Store(true)
	if !a.dialing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for {
			for a.asked.Load() {
				a.dial()
			}
			a.dialing.Store(false)
			if !a.asked.Load() || !a.dialing.CompareAndSwap(false, true) {
				return
			}
		}
	}()
}

func (a *account) dial() {
	a.tried.Store(int64(leaseNow()))
	a.client.Disconnect() // of a connection that WhatsApp has refused a socket may be left
	for pause := time.Second; ; pause = min(2*pause, 8*time.Second) {
		a.asked.Store(false) // what was asked until now is this attempt
		err := a.client.ConnectContext(a.wire)
		if err == nil || errors.Is(err, whatsmeow.ErrAlreadyConnected) || errors.Is(err, store.ErrDeviceDeleted) {
			return
		}
		if a.ctx.Err() != nil {
			a.asked.Store(false)
			return
		}
		a.log.Warn("could not connect", "error", err.Error())
		a.offline(err.Error())
		select {
		case <-a.ctx.Done():
			a.asked.Store(false)
			return
		case <-time.After(pause):
		}
	}
}

// overdue says whether the account should long be online.
func (a *account) overdue() bool {
	return !a.online.Load() && !a.parked.Load() && leaseNow()-time.Duration(a.tried.Load()) > loginPatience
}

// end disconnects for good. Handlers that wait for an ack give up, and WhatsApp will deliver their events again.
func (a *account) end() {
	a.online.Store(false)
	a.active.Store(false)
	a.cancel()
	a.engine.work.Go(func() {
		// Disconnecting waits for a dial or a handshake under way, which the end of its context cuts short. To end a
		// connection by its context would race with whatsmeow's own goodbye.
		impatient := time.AfterFunc(goodbye, a.cut)
		defer impatient.Stop()
		a.client.Disconnect()
		a.cut()
	})
}

// handle receives all that whatsmeow reports. False: not acknowledged to WhatsApp. whatsmeow would take a panic for
// success.
func (a *account) handle(event any) (ok bool) {
	defer func() {
		if problem := recover(); problem != nil {
			a.log.Error("a handler panicked", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			ok = false
		}
	}()
	ok = a.active.Load() && a.routed(event)
	if a.observe != nil {
		a.observe(event)
	}
	return ok
}

// routed passes an event on. What makes that panic is put aside: it would again, each time WhatsApp delivers it.
func (a *account) routed(event any) (ok bool) {
	defer func() {
		if problem := recover(); problem != nil {
			a.log.Error("an event made its handler panic", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			ok = a.store(panicked(event, problem))
		}
	}()
	return a.route(event)
}

func (a *account) renew(epoch int64, validFor time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lease.epoch > epoch || a.lease.expired() {
		return false
	}
	a.lease = newLease(epoch, validFor)
	return true
}

// holds says whether the account is held under this very epoch, now.
func (a *account) holds(epoch int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lease.epoch == epoch && !a.lease.expired()
}

func (a *account) leaseExpired() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lease.expired()
}

// leased is the fence as the stores see it.
func (a *account) leased() error {
	if a.leaseExpired() || a.ctx.Err() != nil {
		return errLease
	}
	return nil
}

// become makes a client that was paired just now the account of its device.
func (a *account) become(jid types.JID, held lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jid, a.lease = jid, held
}

// device is the JID of the linked device.
func (a *account) device() types.JID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.jid
}
