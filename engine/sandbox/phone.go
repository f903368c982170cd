package sandbox

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.mau.fi/whatsmeow/store"
)

const (
	// maxPhones is how many phones are kept in memory. Beyond it those idle longest are dropped.
	maxPhones = 20_000
	// maxMessages is how many messages a phone keeps.
	maxMessages = 5_000
	// maxSent is how many of its sent messages a phone can encrypt once more when a companion asks for it.
	maxSent = 500
)

// Receipts that a phone sends for what it is sent.
const (
	receiptsNone      = "none"
	receiptsDelivered = "delivered"
	receiptsRead      = "read"
)

// phoneSettings is what can be set about a phone.
type phoneSettings struct {
	Number     string `json:"number"`
	Name       string `json:"name"`
	Receipts   string `json:"receipts"`
	Registered bool   `json:"registered"`
	Passkey    bool   `json:"passkey"` // scanning alone does not link a companion to it
	// Disappearing holds the timers of chats in which messages disappear, in seconds, by the other number.
	Disappearing map[string]uint32 `json:"disappearing,omitempty"`
}

// phone is a simulated phone: device 0 of its number. What concerns its Signal state runs in its actor, one task
// after the other; the rest is guarded by mu.
type phone struct {
	server  *Server
	number  string
	device  *store.Device
	memory  *signalStore
	actor   *actor
	used    time.Time // guarded by Server.mu
	retries map[string]int
	sent    map[string]*sentMessage
	sentIDs []string
	skdm    map[string]map[address]struct{} // which devices have this phone's sender key, by group

	mu       sync.Mutex
	messages []*message
	byKey    map[string]*message
}

// phone returns the phone of a number, which exists as soon as it is named.
func (s *Server) phone(number string) *phone {
	s.mu.Lock()
	p := s.phones[number]
	if p != nil {
		p.used = time.Now()
	}
	s.mu.Unlock()
	if p != nil {
		return p
	}
	p = &phone{
		server: s, number: number, actor: newActor(s.log), retries: map[string]int{}, sent: map[string]*sentMessage{},
		skdm: map[string]map[address]struct{}{}, byKey: map[string]*message{},
	}
	p.device, p.memory = newPhoneDevice(s.seed, number) // costs half a millisecond: not under the lock

	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.phones[number]; other != nil {
		return other
	}
	p.used = time.Now()
	s.phones[number] = p
	if len(s.phones) > maxPhones {
		s.dropIdlePhones()
	}
	return p
}

// dropIdlePhones drops a tenth of the phones. The caller holds s.mu.
func (s *Server) dropIdlePhones() {
	all := make([]*phone, 0, len(s.phones))
	for _, p := range s.phones {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *phone) int { return a.used.Compare(b.used) })
	for _, p := range all[:len(all)/10] {
		delete(s.phones, p.number)
		delete(s.watchers, p.number)
	}
}

// current returns the phone's settings.
func (p *phone) current() phoneSettings { return p.server.settingsOf(p.number) }

func (s *Server) settingsOf(number string) phoneSettings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settingsLocked(number)
}

func (s *Server) settingsLocked(number string) phoneSettings {
	if settings, ok := s.settings[number]; ok {
		return settings
	}
	return phoneSettings{
		Number: number, Name: "Phone " + number[len(number)-4:], Receipts: receiptsRead, Registered: true,
	}
}

// change changes the phone's settings.
func (p *phone) change(edit func(*phoneSettings)) error {
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := s.settingsLocked(p.number)
	edit(&settings)
	if err := s.save(record{Phone: &settings}); err != nil {
		return err
	}
	s.settings[p.number] = settings
	s.events.publish("phone", settings)
	return nil
}

// do runs a task in the phone's actor and waits for it.
func (p *phone) do(ctx context.Context, task func()) error {
	done := make(chan struct{})
	p.actor.post(func() {
		defer close(done)
		task()
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxTasks is how many messages wait for a phone before those who send more have to wait.
const maxTasks = 1000

// actor runs tasks one after the other, in a goroutine that lives only while there are some.
type actor struct {
	log     *slog.Logger
	mu      sync.Mutex
	room    sync.Cond
	tasks   []func()
	running bool
}

func newActor(log *slog.Logger) *actor {
	a := &actor{log: log}
	a.room.L = &a.mu
	return a
}

func (a *actor) post(task func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(task)
}

// postWhenRoom holds back who floods the actor. An actor must not call it: two could wait for each other.
func (a *actor) postWhenRoom(task func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.tasks) >= maxTasks {
		a.room.Wait()
	}
	a.add(task)
}

// add appends a task. The caller holds a.mu.
func (a *actor) add(task func()) {
	a.tasks = append(a.tasks, task)
	if !a.running {
		a.running = true
		go a.run()
	}
}

func (a *actor) run() {
	for {
		a.mu.Lock()
		if len(a.tasks) == 0 {
			a.running = false
			a.mu.Unlock()
			return
		}
		batch := a.tasks
		a.tasks = nil
		a.room.Broadcast()
		a.mu.Unlock()
		for _, task := range batch {
			a.attempt(task)
		}
	}
}

// attempt runs a task. What a client sends may make a library panic: that must cost one message, not the sandbox.
func (a *actor) attempt(task func()) {
	defer func() {
		if problem := recover(); problem != nil {
			a.log.Error("a phone's task failed", "problem", problem, "stack", string(debug.Stack()))
		}
	}()
	task()
}
