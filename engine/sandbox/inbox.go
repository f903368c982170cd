package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/libsignal/groups"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/session"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"google.golang.org/protobuf/proto"
)

var serializer = store.SignalProtobufSerializer

// message is a message as a phone shows it.
type message struct {
	ID         string     `json:"id"`
	From       string     `json:"from"` // digits
	To         string     `json:"to"`   // digits, or the id of a group
	Text       string     `json:"text"`
	Media      *mediaInfo `json:"media"`
	At         time.Time  `json:"at"`
	Deliveries int        `json:"deliveries"` // how many times it arrived; 0 for what this phone wrote
	Receipt    string     `json:"receipt,omitempty"`
	Edited     bool       `json:"edited,omitempty"`
	Deleted    bool       `json:"deleted,omitempty"`
	Expires    uint32     `json:"disappearsAfterSeconds,omitempty"`
}

func (m *message) key() string { return m.From + "|" + m.To + "|" + m.ID }

// receive takes a parcel that is addressed to this phone.
func (p *phone) receive(m parcel) {
	p.actor.postWhenRoom(func() { p.open(m) })
}

// open decrypts a parcel. What cannot be read is asked for again, what can be is shown and receipted.
func (p *phone) open(m parcel) {
	content := &waE2E.Message{}
	for i := range m.encs {
		plain, err := p.decrypt(&m, &m.encs[i])
		if err == nil {
			part := &waE2E.Message{}
			if err = proto.Unmarshal(plain, part); err == nil {
				p.takeSenderKey(&m, part)
				proto.Merge(content, part)
			}
		}
		if err != nil {
			p.server.stats.undecryptable.Add(1)
			p.server.log.Info("a phone cannot read a message", "phone", p.number, "from", m.from, "id", m.id, "error", err)
			p.askAgain(&m)
			return
		}
	}
	delete(p.retries, m.id)
	p.read(&m, content)
}

// decrypt opens one <enc>, after checking that who begins a session is who it says.
func (p *phone) decrypt(m *parcel, enc *waBinary.Node) ([]byte, error) {
	ctx := context.Background()
	content, _ := enc.Content.([]byte)
	sender := m.from.lid().SignalAddress()
	cipher := session.NewCipher(session.NewBuilderFromSignal(p.device, sender, serializer), sender)
	var plain []byte
	switch stringAttr(enc, "type") {
	case "pkmsg":
		parsed, err := protocol.NewPreKeySignalMessageFromBytes(content, serializer.PreKeySignalMessage, serializer.SignalMessage)
		if err != nil {
			return nil, err
		}
		key := parsed.IdentityKey().PublicKey().PublicKey()
		if err = p.server.verifyDevice(m.from, m.identity, key[:]); err != nil {
			return nil, err
		}
		if plain, err = cipher.DecryptMessage(ctx, parsed); err != nil {
			return nil, err
		}
	case "msg":
		parsed, err := protocol.NewSignalMessageFromBytes(content, serializer.SignalMessage)
		if err != nil {
			return nil, err
		}
		if plain, err = cipher.Decrypt(ctx, parsed); err != nil {
			return nil, err
		}
	case "skmsg":
		if m.group == nil {
			return nil, errors.New("a sender key outside a group")
		}
		parsed, err := protocol.NewSenderKeyMessageFromBytes(content, serializer.SenderKeyMessage)
		if err != nil {
			return nil, err
		}
		name := protocol.NewSenderKeyName(m.group.jid().String(), sender)
		builder := groups.NewGroupSessionBuilder(p.device, serializer)
		if plain, err = groups.NewGroupCipher(builder, name, p.device).Decrypt(ctx, parsed); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("encryption of type %q", stringAttr(enc, "type"))
	}
	return unpad(plain)
}

// verifyDevice checks the chain from an account to one of its companions: the phone has signed the companion's
// identity, and the companion that of the phone (ADV, "authenticated device verification").
func (s *Server) verifyDevice(from address, raw, identity []byte) error {
	if from.device == 0 {
		return nil
	}
	// A companion repeats it with each message until it is answered, and two signatures cost more than all the rest.
	sum := sha256.Sum256(slices.Concat(raw, identity))
	s.mu.Lock()
	c := s.companions[from]
	known := c != nil && c.verified == sum
	s.mu.Unlock()
	if known {
		return nil
	}
	var signed waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal(raw, &signed); err != nil || len(raw) == 0 {
		return errors.New("a session without a device identity")
	}
	account := s.phone(from.number).device.IdentityKey.Pub[:]
	if !bytes.Equal(signed.GetAccountSignatureKey(), account) {
		return errors.New("a device identity of another account")
	}
	details := signed.GetDetails()
	if !signedBy(account, signed.GetAccountSignature(), whatsmeow.AdvAccountSignaturePrefix, details, identity) {
		return errors.New("the account's signature over the device is wrong")
	}
	if !signedBy(identity, signed.GetDeviceSignature(), whatsmeow.AdvDeviceSignaturePrefix, details, identity, account) {
		return errors.New("the device's signature is wrong")
	}
	if c != nil {
		s.mu.Lock()
		c.verified = sum
		s.mu.Unlock()
	}
	return nil
}

func (p *phone) takeSenderKey(m *parcel, part *waE2E.Message) {
	raw := part.GetSenderKeyDistributionMessage().GetAxolotlSenderKeyDistributionMessage()
	if raw == nil || m.group == nil {
		return
	}
	parsed, err := protocol.NewSenderKeyDistributionMessageFromBytes(raw, serializer.SenderKeyDistributionMessage)
	if err == nil {
		name := protocol.NewSenderKeyName(m.group.jid().String(), m.from.lid().SignalAddress())
		err = groups.NewGroupSessionBuilder(p.device, serializer).Process(context.Background(), name, parsed)
	}
	if err != nil {
		p.server.log.Info("a sender key cannot be taken", "phone", p.number, "from", m.from, "error", err)
	}
}

// unpad removes n bytes of value n from the end.
func unpad(plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, errors.New("empty plaintext")
	}
	count := int(plain[len(plain)-1])
	if count == 0 || count > len(plain) || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(count)}, count)) {
		return nil, errors.New("wrong padding")
	}
	return plain[:len(plain)-count], nil
}

// read acts on the content of a message.
func (p *phone) read(m *parcel, content *waE2E.Message) {
	shown := message{ID: m.id, From: m.from.number, To: m.chat, At: parseUnix(m.at).UTC()}
	own := m.from.number == p.number
	if sent := content.GetDeviceSentMessage(); sent != nil {
		if !own {
			p.server.log.Info("a copy for own devices came from a stranger", "phone", p.number, "from", m.from)
			return
		}
		content = sent.GetMessage()
	}
	content = unwrap(content)
	if own && m.category == categoryPeer {
		p.servePeer(m, content)
		return
	}
	if change := content.GetProtocolMessage(); change != nil {
		p.applyChange(&shown, change)
	} else if text, attachment, ok := visible(content); ok {
		shown.Text, shown.Expires = text, expiration(content)
		if attachment != nil {
			shown.Media = p.server.media.inspect(attachment)
		}
		p.show(shown)
	} // else a reaction or a poll, of which this phone shows nothing
	if !own {
		p.sendReceipts(m)
	}
}

// show adds a message, or counts one more arrival of a message that is there already.
func (p *phone) show(arrived message) {
	p.mu.Lock()
	existing := p.byKey[arrived.key()]
	if existing != nil {
		existing.Deliveries++
		arrived = *existing
	} else {
		arrived.Deliveries = 1
		kept := arrived // receipts will change it
		p.keep(&kept)
	}
	p.mu.Unlock()
	p.publish(arrived)
}

// keep adds a message. The caller holds p.mu.
func (p *phone) keep(m *message) {
	if len(p.messages) >= maxMessages {
		delete(p.byKey, p.messages[0].key())
		p.messages[0] = nil
		p.messages = p.messages[1:]
	}
	p.messages = append(p.messages, m)
	p.byKey[m.key()] = m
}

func (p *phone) publish(m message) {
	p.server.events.publish("message", struct {
		Phone string `json:"phone"`
		message
	}{p.number, m})
}

// history returns the phone's messages in the order of first arrival.
func (p *phone) history() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]message, len(p.messages))
	for i, m := range p.messages {
		list[i] = *m
	}
	return list
}

// mediaInfo is what a phone shows of an attachment, once it has verified it.
type mediaInfo struct {
	Mimetype string `json:"mimetype"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"`
	FileName string `json:"fileName,omitempty"`
	Seconds  uint32 `json:"seconds,omitempty"` // of a video or sound, where the message tells it
	Error    string `json:"error,omitempty"`   // why it cannot be opened

	source attachment
}

func hexSum(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
