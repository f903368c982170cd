package sandbox

import (
	"slices"
	"strconv"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// categoryPeer is of what a phone and its companions tell each other, and people never see.
const categoryPeer = "peer"

// Codes with which the server refuses a message.
const (
	codeForbidden = 403
	codeNotFound  = 404
	// codeRestricted is what WhatsApp answers to a message that it will not carry to a stranger.
	codeRestricted = 463
)

// handleMessage routes a message that a companion sends to the devices it is encrypted for, and acknowledges it.
func (c *connection) handleMessage(node *waBinary.Node) {
	s, to := c.server, jidAttr(node, "to")
	s.stats.messages.Add(1)
	m := parcel{
		id: stringAttr(node, "id"), kind: stringAttr(node, "type"), category: stringAttr(node, "category"),
		edit: stringAttr(node, "edit"), from: c.companion, at: unixNow(),
	}
	identity := node.GetChildByTag("device-identity")
	m.identity, _ = identity.Content.([]byte)

	if m.category == categoryPeer {
		code, hash := c.routeDirect(node, m)
		if s.faults.take(faultNoPeerAck, c.companion.number) == nil {
			c.acknowledge(node, code, hash)
		}
		return
	}
	numbers := []string{c.companion.number}
	if target, ok := addressOf(to); ok {
		numbers = append(numbers, target.number)
	}
	if struck := s.faults.take(faultReject, numbers...); struck != nil {
		s.stats.rejected.Add(1)
		c.acknowledge(node, struck.Code, "")
		return
	}
	var code int
	var hash string
	if to.Server == types.GroupServer {
		code, hash = c.routeGroup(node, m)
	} else {
		code, hash = c.routeDirect(node, m)
	}
	if code != 0 {
		s.stats.rejected.Add(1)
	}
	if s.faults.take(faultNoAck, numbers...) != nil {
		return
	}
	if struck := s.faults.take(faultSlowAck, numbers...); struck != nil {
		time.AfterFunc(struck.delay(), func() { c.acknowledge(node, code, hash) })
		return
	}
	c.acknowledge(node, code, hash)
}

// acknowledge answers a message: with an error code, or with the hash of the devices it should have gone to if the
// sender's list is stale.
func (c *connection) acknowledge(node *waBinary.Node, code int, hash string) {
	attrs := waBinary.Attrs{
		"class": "message", "id": stringAttr(node, "id"), "from": node.Attrs["to"], "t": unixNow(), "phash": hash,
	}
	if code != 0 {
		attrs["error"] = strconv.Itoa(code)
	}
	c.send(waBinary.Node{Tag: "ack", Attrs: attrs})
}

// routeDirect hands a direct message to each device that it is encrypted for.
func (c *connection) routeDirect(node *waBinary.Node, m parcel) (code int, hash string) {
	s := c.server
	target, ok := addressOf(jidAttr(node, "to"))
	if !ok {
		return codeNotFound, ""
	}
	if !s.settingsOf(target.number).Registered {
		return codeNotFound, ""
	}
	if encs := node.GetChildrenByTag("enc"); len(encs) > 0 {
		// For one device: a message sent again after a retry receipt, or one between devices of an account.
		m.encs, m.chat = encs, target.number
		if recipient, ok := addressOf(jidAttr(node, "recipient")); ok {
			m.chat = recipient.number
		}
		s.hand(target, m)
		return 0, ""
	}
	participants := node.GetChildByTag("participants")
	reached := []address{c.companion}
	for _, child := range participants.GetChildren() {
		device, ok := addressOf(jidAttr(&child, "jid"))
		if !ok || device.number != target.number && device.number != c.companion.number {
			continue
		}
		copied := m
		copied.chat, copied.encs = target.number, child.GetChildrenByTag("enc")
		reached = append(reached, device)
		s.hand(device, copied)
	}
	return 0, staleHash(slices.Concat(s.devicesOf(target.number), s.devicesOf(c.companion.number)), reached)
}

// routeGroup hands a group message to each device: the sender key encrypted for it, and the message itself.
func (c *connection) routeGroup(node *waBinary.Node, m parcel) (code int, hash string) {
	s := c.server
	m.group = s.group(jidAttr(node, "to").User)
	if m.group == nil {
		return codeNotFound, ""
	}
	if !m.group.mayWrite(c.companion.number) {
		return codeForbidden, ""
	}
	m.chat = m.group.ID
	common := node.GetChildrenByTag("enc")
	if participant, ok := addressOf(jidAttr(node, "participant")); ok {
		m.encs = common // sent again, for one device
		s.hand(participant, m)
		return 0, ""
	}
	participants := node.GetChildByTag("participants")
	reached := []address{c.companion}
	for _, child := range participants.GetChildren() {
		device, ok := addressOf(jidAttr(&child, "jid"))
		if !ok || !m.group.has(device.number) {
			continue
		}
		copied := m
		copied.encs = append(child.GetChildrenByTag("enc"), common...)
		reached = append(reached, device)
		s.hand(device, copied)
	}
	return 0, staleHash(s.groupDevices(m.group), reached)
}

// staleHash returns the hash of the devices that should have been reached, if one was not.
func staleHash(expected, reached []address) string {
	for _, device := range expected {
		if !slices.Contains(reached, device) {
			return participantHash(lids(expected))
		}
	}
	return ""
}
