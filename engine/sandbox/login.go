package sandbox

import (
	"crypto/subtle"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// login checks that a client is the companion it claims to be, by its static Noise key, and makes this its live
// connection. An older connection of the same companion is told that it was replaced.
func (s *Server) login(conn *connection, who address, static [32]byte) *failure {
	if refusal := s.faults.onLogin(who.number); refusal != nil {
		return refusal
	}
	s.mu.Lock()
	c := s.companions[who]
	if c == nil || subtle.ConstantTimeCompare(c.Noise, static[:]) != 1 {
		s.mu.Unlock()
		return &failure{reason: 401}
	}
	old := c.live
	c.live, c.active = conn, false
	conn.companion = who
	conn.send(waBinary.Node{Tag: "success", Attrs: waBinary.Attrs{
		"t": unixNow(), "props": "1", "lid": who.lid(), "location": "sandbox",
	}})
	s.mu.Unlock()
	if old != nil {
		old.streamError("409", "replaced")
	}
	s.log.Info("companion connected", "companion", who)
	s.events.publish("companion", s.companionEvent(who))
	return nil
}

// logout notes that a connection has ended.
func (s *Server) logout(conn *connection) {
	s.mu.Lock()
	if c := s.companions[conn.companion]; c != nil && c.live == conn {
		c.live, c.active = nil, false
	}
	s.mu.Unlock()
	s.log.Info("companion disconnected", "companion", conn.companion)
	s.events.publish("companion", s.companionEvent(conn.companion))
}

// unlink removes a companion, as the phone does from its list of linked devices and a companion does by logging out.
// It reports whether there was one.
func (s *Server) unlink(who address, byPhone bool) bool {
	s.mu.Lock()
	c := s.companions[who]
	if c == nil {
		s.mu.Unlock()
		return false
	}
	delete(s.companions, who)
	s.linked[who.number] = removeDevice(s.linked[who.number], who.device)
	live := c.live
	s.save(record{Unlinked: &companionKey{who.number, who.device}})
	s.mu.Unlock()
	if byPhone && live != nil {
		live.streamError("401", "device_removed")
	}
	s.log.Info("companion unlinked", "companion", who, "by_phone", byPhone)
	s.events.publish("companion", s.companionEvent(who))
	s.devicesChanged(who)
	return true
}

func removeDevice(devices []uint16, device uint16) []uint16 {
	kept := make([]uint16, 0, len(devices))
	for _, candidate := range devices {
		if candidate != device {
			kept = append(kept, candidate)
		}
	}
	return kept
}

// devicesOf lists the devices of a number: the phone, then its companions in ascending order.
func (s *Server) devicesOf(number string) []address {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devicesLocked(number)
}

func (s *Server) devicesLocked(number string) []address {
	devices := []address{{number, 0}}
	for _, device := range s.linked[number] {
		devices = append(devices, address{number, device})
	}
	return devices
}

// devicesChanged tells those who may have cached the list of devices of a number, to which this one was added or from
// which it was removed: the number's other companions, which get the list, and those that asked for it, which forget
// theirs.
func (s *Server) devicesChanged(changed address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number := changed.number
	devices := s.devicesLocked(number)
	pns := make([]types.JID, 0, len(devices))
	children := make([]waBinary.Node, 0, len(devices))
	for _, device := range devices {
		pns = append(pns, device.pn())
		children = append(children, waBinary.Node{Tag: "device", Attrs: waBinary.Attrs{"jid": device.pn()}})
	}
	own := waBinary.Node{Tag: "devices", Attrs: waBinary.Attrs{"dhash": participantHash(pns)}, Content: children}
	for _, device := range devices[1:] {
		if device != changed {
			s.deliverLocked(s.companions[device], notification(address{number, 0}.pn(), "account_sync", own))
		}
	}
	watchers := s.watchers[number]
	delete(s.watchers, number)
	for who := range watchers {
		if c := s.companions[who]; c != nil && who.number != number {
			s.deliverLocked(c, notification(address{number, 0}.lid(), "devices", waBinary.Node{Tag: "update"}))
		}
	}
}

// notification is a <notification> with an id of its own.
func notification(from types.JID, kind string, children ...waBinary.Node) waBinary.Node {
	return waBinary.Node{
		Tag:     "notification",
		Attrs:   waBinary.Attrs{"from": from, "type": kind, "id": newID(), "t": unixNow()},
		Content: children,
	}
}
