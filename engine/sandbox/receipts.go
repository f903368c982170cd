package sandbox

import (
	"context"
	"slices"
	"strconv"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/session"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// maxRetries is how often a phone asks for a message that it cannot read, and encrypts one again.
const maxRetries = 5

// sendReceipts tells the sender's devices that a message arrived and was read, as far as the phone is set to.
func (p *phone) sendReceipts(m *parcel) {
	kinds := map[string][]string{receiptsDelivered: {""}, receiptsRead: {"", "read"}}[p.current().Receipts]
	if len(kinds) == 0 {
		return
	}
	send := func() {
		for _, kind := range kinds {
			p.server.receipt(address{p.number, 0}, m.from.number, m.group, m.id, kind)
		}
	}
	if struck := p.server.faults.take(faultLateReceipts, p.number, m.from.number); struck != nil {
		time.AfterFunc(struck.delay(), send)
		return
	}
	send()
}

// receipt tells all devices of a number of a receipt: "" is delivered.
func (s *Server) receipt(from address, to string, g *group, id, kind string) {
	s.stats.receipts.Add(1)
	s.phone(to).receipted(g, from.number, id, kind)
	for _, device := range s.devicesOf(to)[1:] {
		s.deliver(device, receiptStanza(from, g, id, kind))
	}
}

func receiptStanza(from address, g *group, id, kind string) waBinary.Node {
	attrs := waBinary.Attrs{"id": id, "t": unixNow(), "type": kind}
	if g != nil {
		attrs["from"], attrs["participant"] = g.jid(), from.lid()
	} else {
		attrs["from"] = from.lid()
	}
	return waBinary.Node{Tag: "receipt", Attrs: attrs}
}

// receipted notes a receipt for a message that this phone or one of its companions sent.
func (p *phone) receipted(g *group, from, id, kind string) {
	name := map[string]string{"": receiptsDelivered, "read": receiptsRead, "played": receiptsRead}[kind]
	if name == "" {
		return
	}
	to := from
	if g != nil {
		to = g.ID
	}
	p.mu.Lock()
	m := p.byKey[(&message{ID: id, From: p.number, To: to}).key()]
	if m == nil || m.Receipt == name || m.Receipt == receiptsRead {
		p.mu.Unlock()
		return
	}
	m.Receipt = name
	changed := *m
	p.mu.Unlock()
	p.publish(changed)
}

// handleReceipt serves a receipt of a companion: it acknowledges the message, and is passed on to the sender.
func (c *connection) handleReceipt(node *waBinary.Node) {
	s, id, kind := c.server, stringAttr(node, "id"), stringAttr(node, "type")
	to := jidAttr(node, "to")
	if kind != "retry" { // which an acknowledgement follows
		s.acknowledged(c.companion, queueKey("message", id, to, node.Attrs["participant"], ""))
	}
	c.send(waBinary.Node{Tag: "ack", Attrs: waBinary.Attrs{
		"class": "receipt", "id": id, "from": node.Attrs["to"], "participant": node.Attrs["participant"], "type": kind, "t": unixNow(),
	}})
	g := s.group(to.User)
	sender, ok := addressOf(to)
	if g != nil {
		sender, ok = addressOf(jidAttr(node, "participant"))
	}
	if !ok {
		return
	}
	switch kind {
	case "retry":
		s.retry(c.companion, sender, g, node)
	case "", "read", "played":
		ids := []string{id}
		list := node.GetChildByTag("list")
		for _, item := range list.GetChildren() {
			ids = append(ids, stringAttr(&item, "id"))
		}
		for _, id := range ids {
			s.receipt(address{c.companion.number, 0}, sender.number, g, id, kind)
		}
	case "inactive":
		// Delivered to a companion that is not looked at: the sender's ticks do not change.
	}
}

// askAgain sends a retry receipt for a message that cannot be read, with keys for a new session.
func (p *phone) askAgain(m *parcel) {
	if len(p.retries) > maxSent {
		clear(p.retries)
	}
	p.retries[m.id]++
	count := p.retries[m.id]
	if count > maxRetries || m.from.device == 0 {
		return
	}
	device := p.device
	own := bundle{
		registrationID: device.RegistrationID, identity: device.IdentityKey.Pub[:], signedID: device.SignedPreKey.KeyID,
		signedKey: device.SignedPreKey.Pub[:], signature: device.SignedPreKey.Signature[:],
	}
	nodes := own.nodes()
	node := receiptStanza(address{p.number, 0}, m.group, m.id, "retry")
	if m.from.number == p.number && m.chat != "" && m.group == nil {
		node.Attrs["recipient"] = address{m.chat, 0}.lid()
	}
	node.Content = []waBinary.Node{
		{Tag: "retry", Attrs: waBinary.Attrs{"count": strconv.Itoa(count), "id": m.id, "t": m.at, "v": "1"}},
		nodes[0],
		{Tag: "keys", Content: append([]waBinary.Node{{Tag: "type", Content: []byte{ecc.DjbType}}}, nodes[2:]...)},
	}
	p.server.deliver(m.from, node)
}

// retry passes a retry receipt on to the device whose message could not be read.
func (s *Server) retry(from, to address, g *group, node *waBinary.Node) {
	if to.device == 0 {
		p := s.phone(to.number)
		p.actor.post(func() { p.encryptAgain(from, g, node) })
		return
	}
	forwarded := receiptStanza(from, g, stringAttr(node, "id"), "retry")
	if recipient, ok := node.Attrs["recipient"]; ok {
		forwarded.Attrs["recipient"] = recipient
	}
	forwarded.Content = node.Content
	s.deliver(to, forwarded)
}

// encryptAgain answers a retry receipt: the message goes once more, in a new session.
func (p *phone) encryptAgain(to address, g *group, node *waBinary.Node) {
	retry := node.GetChildByTag("retry")
	sent := p.sent[stringAttr(&retry, "id")]
	count, _ := strconv.Atoi(stringAttr(&retry, "count"))
	if sent == nil || count > maxRetries {
		p.server.log.Info("a phone cannot repeat a message", "phone", p.number, "device", to, "id", stringAttr(&retry, "id"))
		return
	}
	recipient := to.lid().SignalAddress()
	delete(p.memory.sessions, recipient.String())
	registration := node.GetChildByTag("registration")
	if keys, ok := node.GetOptionalChildByTag("keys"); ok {
		if b, ok := parseBundle(&registration, &keys); ok {
			identity := keys.GetChildByTag("device-identity")
			raw, _ := identity.Content.([]byte)
			err := p.server.verifyDevice(to, raw, b.identity)
			if err == nil {
				builder := session.NewBuilderFromSignal(p.device, recipient, serializer)
				err = builder.ProcessBundle(context.Background(), b.signal(to.device))
			}
			if err != nil {
				p.server.log.Info("the keys of a retry receipt are refused", "phone", p.number, "device", to, "error", err)
				return
			}
		}
	}
	plain := sent.plain
	switch {
	case g != nil:
		// What follows a protobuf is merged into it.
		key, _ := proto.Marshal(&waE2E.Message{SenderKeyDistributionMessage: p.senderKey(g)})
		plain = slices.Concat(plain, key)
	case to.number == p.number && sent.parcel.category != "peer":
		plain = forOwnDevice(sent.parcel.chat, plain)
	}
	enc, err := p.encrypt(to, plain)
	if err != nil {
		p.server.log.Warn("a phone cannot encrypt for a device", "phone", p.number, "device", to, "error", err)
		return
	}
	enc.Attrs["count"] = strconv.Itoa(count)
	again := sent.parcel
	again.encs = []waBinary.Node{enc}
	p.server.hand(to, again)
}
