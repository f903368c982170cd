package sandbox

import (
	waBinary "go.mau.fi/whatsmeow/binary"
)

// handlePresence notes that a companion is there, or answers its subscription to a phone's presence: phones are
// always there.
func (c *connection) handlePresence(node *waBinary.Node) {
	who, ok := addressOf(jidAttr(node, "to"))
	if stringAttr(node, "type") == "subscribe" && ok {
		c.send(waBinary.Node{Tag: "presence", Attrs: waBinary.Attrs{"from": who.lid()}})
	}
}

// handleChatState passes on that a companion's user is typing, to the page and to the other number's companions.
func (c *connection) handleChatState(node *waBinary.Node) {
	to, ok := addressOf(jidAttr(node, "to"))
	children := node.GetChildren()
	if ok && len(children) == 1 {
		c.server.chatState(c.companion.number, to.number, children[0].Tag == "composing")
	}
}

// chatState tells that one number is typing to another, or has stopped.
func (s *Server) chatState(from, to string, typing bool) {
	state := map[bool]string{true: "composing", false: "paused"}[typing]
	s.events.publish("typing", map[string]any{"from": from, "to": to, "typing": typing})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, device := range s.devicesLocked(to)[1:] {
		if c := s.companions[device]; c.active { // it is of the moment: nobody gets it later
			c.live.send(waBinary.Node{
				Tag: "chatstate", Attrs: waBinary.Attrs{"from": address{from, 0}.lid()}, Content: []waBinary.Node{{Tag: state}},
			})
		}
	}
}
