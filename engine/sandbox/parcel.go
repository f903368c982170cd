package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// parcel is a message on its way to one device.
type parcel struct {
	id       string
	kind     string // text, media, reaction, poll
	category string // "peer" between devices of one account
	edit     string
	from     address
	chat     string  // the other number, or the group's id: what a copy for an own device is about
	group    *group  // nil for a direct message
	at       string  // unix seconds
	pushName *string // instead of the sender's
	version  string  // of what is encrypted, instead of its own
	encs     []waBinary.Node
	identity []byte // the sender's ADVSignedDeviceIdentity, with a message that begins a session
}

// hand gives a parcel to a device: to the phone itself, or to a companion by way of its queue.
func (s *Server) hand(to address, m parcel) {
	if s.faults.take(faultGarble, to.number) != nil {
		m.encs = garbled(m.encs)
	}
	times := 1
	if s.faults.take(faultRepeat, to.number) != nil {
		times = 2
	}
	s.stats.delivered.Add(1)
	for range times {
		if to.device == 0 {
			s.phone(to.number).receive(m)
		} else {
			s.deliver(to, m.stanza(s, to))
		}
	}
}

// garbled damages a byte of each ciphertext: at two thirds of its length, which is in the ciphertext proper or in the
// signature, whichever kind it is.
func garbled(encs []waBinary.Node) []waBinary.Node {
	damaged := slices.Clone(encs)
	for i := range damaged {
		if content, ok := damaged[i].Content.([]byte); ok && len(content) > 0 {
			content = slices.Clone(content)
			content[len(content)*2/3] ^= 1
			damaged[i].Content = content
		}
	}
	return damaged
}

// stanza is the parcel as a companion gets it.
func (m *parcel) stanza(s *Server, to address) waBinary.Node {
	name := s.settingsOf(m.from.number).Name
	if m.pushName != nil {
		name = *m.pushName
	}
	attrs := waBinary.Attrs{
		"id": m.id, "t": m.at, "type": m.kind, "category": m.category, "edit": m.edit, "notify": name,
	}
	switch {
	case m.group != nil:
		attrs["from"] = m.group.jid()
		attrs["participant"] = m.from.lid()
		attrs["participant_pn"] = m.from.pn()
		attrs["addressing_mode"] = string(types.AddressingModeLID)
	case m.from.number == to.number:
		attrs["from"] = m.from.lid()
		if m.chat != "" {
			attrs["recipient"] = address{m.chat, 0}.lid()
			attrs["peer_recipient_pn"] = address{m.chat, 0}.pn()
		}
	default:
		attrs["from"] = m.from.lid()
		attrs["sender_pn"] = m.from.pn()
	}
	content := slices.Clone(m.encs)
	if m.version != "" {
		for i := range content {
			content[i].Attrs = maps.Clone(content[i].Attrs)
			content[i].Attrs["v"] = m.version
		}
	}
	if m.identity != nil {
		content = append(content, waBinary.Node{Tag: "device-identity", Content: m.identity})
	}
	return waBinary.Node{Tag: "message", Attrs: attrs, Content: content}
}

// participantHash is the hash of a list of devices that both sides compare (protocol: "phash").
func participantHash(devices []types.JID) string {
	texts := make([]string, len(devices))
	for i, device := range devices {
		texts[i] = device.ADString()
	}
	slices.Sort(texts)
	sum := sha256.Sum256([]byte(strings.Join(texts, "")))
	return "2:" + base64.RawStdEncoding.EncodeToString(sum[:6])
}

func lids(devices []address) []types.JID {
	jids := make([]types.JID, len(devices))
	for i, device := range devices {
		jids[i] = device.lid()
	}
	return jids
}
