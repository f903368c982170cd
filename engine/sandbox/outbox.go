package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// sentMessage is what a phone needs to encrypt a message once more. `plain` is a waE2E.Message, as far as it is one.
type sentMessage struct {
	parcel parcel
	plain  []byte
}

// write sends a text from the phone to a number or a group, and returns the message's id once the server has it.
func (p *phone) write(ctx context.Context, to, text string) (string, error) {
	m, err := p.parcelFor(to)
	if err != nil {
		return "", err
	}
	content := p.compose(&m, text)
	plain, err := proto.Marshal(content)
	if err != nil {
		return "", err
	}
	shown := message{ID: m.id, From: p.number, To: m.chat, Text: text, At: parseUnix(m.at).UTC(), Expires: expiration(content)}
	return m.id, p.send(ctx, m, plain, shown)
}

// parcelFor begins a message to a number or a group.
func (p *phone) parcelFor(to string) (parcel, error) {
	s := p.server
	m := parcel{id: newID(), kind: "text", from: address{p.number, 0}, chat: to, at: unixNow()}
	if !p.current().Registered {
		return m, conflict("this phone is not registered with WhatsApp")
	}
	if m.group = s.group(to); m.group != nil {
		if m.chat = m.group.ID; !m.group.mayWrite(p.number) {
			return m, conflict("%s may not write to this group", p.number)
		}
	} else if !validNumber(to) {
		return m, badRequest("\"to\" must be a number of 7 to 15 digits or the id of a group that exists")
	} else if to == p.number {
		return m, badRequest("a phone cannot write to itself")
	} else if !s.settingsOf(to).Registered {
		return m, conflict("%s is not registered with WhatsApp", to)
	}
	return m, nil
}

// send posts a message and keeps it as it is shown.
func (p *phone) send(ctx context.Context, m parcel, plain []byte, shown message) error {
	var err error
	if stopped := p.do(ctx, func() {
		kept := shown // receipts will change it, while other phones read theirs
		p.mu.Lock()
		p.keep(&kept)
		p.mu.Unlock()
		p.publish(shown)
		err = p.post(m, plain, func(other *phone) { other.arrive(m, shown) })
	}); stopped != nil {
		return stopped
	}
	return err
}

// compose makes the content of a text, with the timer of the chat if its messages disappear.
func (p *phone) compose(m *parcel, text string) *waE2E.Message {
	seconds := p.current().Disappearing[m.chat]
	if m.group != nil {
		seconds = m.group.Ephemeral
	}
	if seconds == 0 {
		return &waE2E.Message{Conversation: proto.String(text)}
	}
	return &waE2E.Message{ExtendedTextMessage: &waE2E.ExtendedTextMessage{
		Text: proto.String(text), ContextInfo: &waE2E.ContextInfo{Expiration: proto.Uint32(seconds)},
	}}
}

// setTimer makes the messages of a chat with another number disappear after so many seconds, 0 for never.
func (p *phone) setTimer(ctx context.Context, to string, seconds uint32) error {
	m := parcel{id: newID(), kind: "text", from: address{p.number, 0}, chat: to, at: unixNow()}
	in := message{From: p.number, To: to}
	content := &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type: waE2E.ProtocolMessage_EPHEMERAL_SETTING.Enum(), EphemeralExpiration: proto.Uint32(seconds),
		EphemeralSettingTimestamp: proto.Int64(time.Now().Unix()),
	}}
	plain, err := proto.Marshal(content)
	if err != nil {
		return err
	}
	if stopped := p.do(ctx, func() {
		p.setDisappearing(&in, seconds)
		err = p.post(m, plain, func(other *phone) { other.setDisappearing(&in, seconds) })
	}); stopped != nil {
		return stopped
	}
	return err
}

// post sends a message to everybody who is to have it: phones get it as it is, by a function, companions encrypted.
func (p *phone) post(m parcel, plain []byte, give func(*phone)) error {
	s := p.server
	p.remember(m, plain)
	devices := slices.Concat(s.devicesOf(m.chat), s.devicesOf(p.number))
	if m.group != nil {
		devices = s.groupDevices(m.group)
	}
	var common []waBinary.Node
	var senderKey []byte
	if m.group != nil {
		var err error
		if common, senderKey, err = p.encryptGroup(&m, plain, devices); err != nil {
			return err
		}
	}
	for _, device := range devices {
		if device.device == 0 {
			if device.number != p.number {
				give(s.phone(device.number))
			}
			continue
		}
		direct := plain
		switch {
		case m.group != nil && !p.needsSenderKey(m.group.ID, device):
			direct = nil
		case m.group != nil:
			direct = senderKey
		case device.number == p.number:
			direct = forOwnDevice(m.chat, plain)
		}
		copied := m
		copied.encs = nil
		if direct != nil {
			enc, err := p.encrypt(device, direct)
			if err != nil {
				s.log.Warn("a phone cannot encrypt for a device", "phone", p.number, "device", device, "error", err)
				continue
			}
			copied.encs = []waBinary.Node{enc}
		}
		copied.encs = append(copied.encs, common...)
		s.hand(device, copied)
		if m.group != nil {
			p.skdm[m.group.ID][device] = struct{}{}
		}
	}
	return nil
}

// arrive takes a message from another phone of the sandbox, in plain.
func (p *phone) arrive(m parcel, shown message) {
	p.actor.post(func() {
		shown.Receipt = ""
		p.show(shown)
		p.sendReceipts(&m)
	})
}

// forOwnDevice wraps a message for the sender's own devices: a waE2E.Message with a deviceSentMessage. It is put together
// by hand because the message need not be one that can be parsed.
func forOwnDevice(chat string, plain []byte) []byte {
	const deviceSentMessage, destinationJID, sentMessage = 31, 1, 2
	sent := protowire.AppendTag(nil, destinationJID, protowire.BytesType)
	sent = protowire.AppendString(sent, address{chat, 0}.lid().String())
	sent = protowire.AppendTag(sent, sentMessage, protowire.BytesType)
	sent = protowire.AppendBytes(sent, plain)
	return protowire.AppendBytes(protowire.AppendTag(nil, deviceSentMessage, protowire.BytesType), sent)
}

// remember keeps a sent message for retry receipts.
func (p *phone) remember(m parcel, plain []byte) {
	if len(p.sentIDs) >= maxSent {
		delete(p.sent, p.sentIDs[0])
		p.sentIDs = p.sentIDs[1:]
	}
	p.sentIDs = append(p.sentIDs, m.id)
	p.sent[m.id] = &sentMessage{m, plain}
}

// encrypt makes the <enc> of a message for one companion, beginning a session if there is none.
func (p *phone) encrypt(to address, plain []byte) (waBinary.Node, error) {
	ctx := context.Background()
	recipient := to.lid().SignalAddress()
	builder := session.NewBuilderFromSignal(p.device, recipient, serializer)
	if exists, _ := p.device.ContainsSession(ctx, recipient); !exists {
		b, ok := p.server.bundle(to)
		if !ok {
			return waBinary.Node{}, fmt.Errorf("%s has no keys", to)
		}
		if err := builder.ProcessBundle(ctx, b.signal(to.device)); err != nil {
			return waBinary.Node{}, err
		}
	}
	sealed, err := session.NewCipher(builder, recipient).Encrypt(ctx, pad(plain))
	if err != nil {
		return waBinary.Node{}, err
	}
	attrs := waBinary.Attrs{"v": "2", "type": "msg"}
	if sealed.Type() == protocol.PREKEY_TYPE {
		attrs["type"] = "pkmsg"
	}
	return waBinary.Node{Tag: "enc", Attrs: attrs, Content: sealed.Serialize()}, nil
}

// encryptGroup makes the <enc> that all members share, and the sender key that opens it. The sender key is made anew
// when a device that had it is no longer there.
func (p *phone) encryptGroup(m *parcel, plain []byte, devices []address) (common []waBinary.Node, senderKey []byte, err error) {
	ctx, group := context.Background(), m.group.jid().String()
	name := protocol.NewSenderKeyName(group, p.device.LID.SignalAddress())
	for had := range p.skdm[m.group.ID] {
		if !slices.Contains(devices, had) {
			delete(p.skdm, m.group.ID)
			delete(p.memory.senderKeys, group+" "+name.Sender().String())
			break
		}
	}
	if p.skdm[m.group.ID] == nil {
		p.skdm[m.group.ID] = map[address]struct{}{}
	}
	builder := groups.NewGroupSessionBuilder(p.device, serializer)
	distribution, err := builder.Create(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := groups.NewGroupCipher(builder, name, p.device).Encrypt(ctx, pad(plain))
	if err != nil {
		return nil, nil, err
	}
	common = []waBinary.Node{{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": "skmsg"}, Content: sealed.SignedSerialize()}}
	senderKey, err = proto.Marshal(&waE2E.Message{SenderKeyDistributionMessage: &waE2E.SenderKeyDistributionMessage{
		GroupID: proto.String(group), AxolotlSenderKeyDistributionMessage: distribution.Serialize(),
	}})
	return common, senderKey, err
}

func (p *phone) needsSenderKey(group string, device address) bool {
	_, has := p.skdm[group][device]
	return !has
}

// pad adds n bytes of value n, n from 1 to 15.
func pad(plain []byte) []byte {
	var random [1]byte
	_, _ = rand.Read(random[:])
	count := random[0]%15 + 1
	return slices.Concat(plain, bytes.Repeat([]byte{count}, int(count)))
}

// sendPeer sends a protocol message to one of the phone's own companions.
func (p *phone) sendPeer(to address, content *waE2E.ProtocolMessage) {
	m := parcel{id: newID(), kind: "text", category: categoryPeer, from: address{p.number, 0}, at: unixNow()}
	plain, err := proto.Marshal(&waE2E.Message{ProtocolMessage: content})
	var enc waBinary.Node
	if err == nil {
		p.remember(m, plain)
		enc, err = p.encrypt(to, plain)
	}
	if err != nil {
		p.server.log.Warn("a phone cannot encrypt for its companion", "phone", p.number, "device", to, "error", err)
		return
	}
	m.encs = []waBinary.Node{enc}
	p.server.hand(to, m)
}
