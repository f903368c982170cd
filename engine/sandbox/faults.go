package sandbox

import (
	"strconv"
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
	faultNoPeerAck    faultKind = "no_peer_ack"   // what a companion asks of its own phone arrives, its acknowledgement does not
	faultSlowAck      faultKind = "slow_ack"      // the acknowledgement comes late
	faultUnlink       faultKind = "unlink"        // the phone unlinks its companions
	faultGarble       faultKind = "garble"        // the next link or message arrives damaged
	faultLateReceipts faultKind = "late_receipts" // a phone's receipts come late
	faultRepeat       faultKind = "repeat"        // a message arrives twice
	faultNoPong       faultKind = "no_pong"       // pings are not answered
)

// fault is a fault that waits for its occasion. What is about a message between people concerns its sender's number and its
// recipient's alike, save for garble and repeat, which concern the number at which it arrives.
type fault struct {
	Phone        string    `json:"phone,omitempty"` // "" is every number
	Kind         faultKind `json:"kind"`
	Code         int       `json:"code,omitempty"`
	Milliseconds int       `json:"milliseconds,omitempty"`
	Count        int       `json:"count"` // how many times it still strikes
}

func (f *fault) delay() time.Duration { return time.Duration(f.Milliseconds) * time.Millisecond }

// faults are the faults under way.
type faults struct {
	mu        sync.Mutex
	waiting   []*fault
	awayUntil map[string]time.Time // by number, "" for everybody
}

func newFaults() *faults { return &faults{awayUntil: map[string]time.Time{}} }

// away tells whether new connections are refused: of a number, or with "" all of them.
func (f *faults) away(number string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.awayUntil[number])
}

// add makes a fault strike at its next occasions.
func (f *faults) add(added fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) >= maxWaiting {
		return conflict("%d faults wait already: end them first", maxWaiting)
	}
	f.waiting = append(f.waiting, &added)
	return nil
}

// clear ends all faults.
func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = nil
	clear(f.awayUntil)
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

// onLogin returns why a login is refused, if it is. A client that is not linked yet has no number: what is about all
// phones is about it too.
func (f *faults) onLogin(number string) *failure {
	struck := f.take(faultFailure, number)
	if struck == nil {
		return nil
	}
	refusal := &failure{reason: struck.Code}
	if struck.Code == 402 {
		refusal.code, refusal.expire = banTooManyPeople, defaultBan
		if struck.Milliseconds > 0 {
			refusal.expire = struck.Milliseconds / 1000
		}
	}
	return refusal
}

const (
	banTooManyPeople = 101  // the code of a temporary ban for writing to too many people
	defaultBan       = 3600 // seconds
	maxFaultCount    = 1_000_000
	maxFaultDelay    = 10 * 60 * 1000 // milliseconds
	maxWaiting       = 1000
)

// defaultCodes are the codes of faults that name none.
var defaultCodes = map[faultKind]int{faultReject: codeRestricted, faultFailure: 503, faultStreamError: 503}

// inject makes a fault strike: at once, or at its next occasions.
func (s *Server) inject(f fault) error {
	switch {
	case f.Phone != "" && !validNumber(f.Phone):
		return badRequest("\"phone\" is a number of 7 to 15 digits, or absent for every phone")
	case f.Count < 0 || f.Count > maxFaultCount || f.Milliseconds < 0 || f.Milliseconds > maxFaultDelay:
		return badRequest("\"count\" is 1 to %d, \"milliseconds\" 0 to %d", maxFaultCount, maxFaultDelay)
	case f.Code < 0 || f.Code > 999:
		return badRequest("\"code\" is 1 to 999")
	}
	f.Count = max(f.Count, 1)
	if f.Code == 0 {
		f.Code = defaultCodes[f.Kind]
	}
	switch f.Kind {
	case faultReject, faultNoAck, faultNoPeerAck, faultSlowAck, faultGarble, faultLateReceipts, faultRepeat, faultNoPong:
		return s.faults.add(f)
	case faultFailure:
		if err := s.faults.add(f); err != nil {
			return err
		}
		s.eachLive(f.Phone, func(c *connection) { c.cancel() })
	case faultDrop:
		s.faults.stayAway(f.Phone, f.delay())
		s.eachLive(f.Phone, func(c *connection) { c.cancel() })
	case faultUnlink:
		s.unlinkAll(f.Phone)
	case faultStreamError:
		switch f.Code {
		case 401:
			s.unlinkAll(f.Phone)
		case 409:
			s.eachLive(f.Phone, func(c *connection) { c.streamError("409", "replaced") })
		default:
			s.eachLive(f.Phone, func(c *connection) { c.streamError(strconv.Itoa(f.Code), "") })
		}
	default:
		return badRequest("%q is no kind of fault", f.Kind)
	}
	return nil
}

func (f *faults) stayAway(number string, duration time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awayUntil[number] = time.Now().Add(duration)
}

// eachLive calls a function for each connection: of a number's companions, or with "" for all, those that show a QR
// code included.
func (s *Server) eachLive(number string, do func(*connection)) {
	s.mu.Lock()
	found := map[*connection]struct{}{}
	for who, c := range s.companions {
		if c.live != nil && (number == "" || who.number == number) {
			found[c.live] = struct{}{}
		}
	}
	if number == "" {
		for _, c := range s.refs {
			found[c] = struct{}{}
		}
	}
	s.mu.Unlock()
	for c := range found {
		do(c)
	}
}

func (s *Server) unlinkAll(number string) {
	s.mu.Lock()
	var all []address
	for who := range s.companions {
		if number == "" || who.number == number {
			all = append(all, who)
		}
	}
	s.mu.Unlock()
	for _, who := range all {
		s.unlink(who, true)
	}
}
