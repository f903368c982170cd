package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waAdv"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/proto/waWa6"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"
)

const (
	refCount = 6
	// The first code is valid for firstRef, each further one for nextRef: what clients show them for.
	firstRef = 60 * time.Second
	nextRef  = 20 * time.Second
	// confirmTimeout bounds the wait for the companion's answer to <pair-success>.
	confirmTimeout = 30 * time.Second
)

// pairing is a connection that shows QR codes and waits for a phone to scan one.
type pairing struct {
	companion companionRecord // without its number and device
	refs      []string
	startedAt time.Time

	mu        sync.Mutex
	attempt   *pairingAttempt // at most one phone at a time
	phoneCode *phoneCode
	passkey   *passkeyLink
	done      bool
}

// pairingAttempt is a phone that has scanned, and waits for the companion's signature.
type pairingAttempt struct {
	iq      string // id of <pair-success>
	who     address
	details []byte // serialized ADVDeviceIdentity
	account []byte // public identity of the phone
	result  chan error
}

// A linkError says why a phone cannot link; it is fit to be shown.
type linkError struct{ message string }

func (e *linkError) Error() string { return e.message }

// startPairing checks what a companion registers with, and offers it codes to show.
func (s *Server) startPairing(ctx context.Context, c *connection, static [32]byte, data *waWa6.ClientPayload_DevicePairingRegistrationData) error {
	r, err := parseRegistration(static, data)
	if err != nil {
		return err
	}
	p := &pairing{companion: *r, startedAt: time.Now()}
	children := make([]waBinary.Node, 0, refCount)
	for range refCount {
		ref := "2@" + rand.Text()
		p.refs = append(p.refs, ref)
		children = append(children, waBinary.Node{Tag: "ref", Content: []byte(ref)})
	}
	c.pairing = p
	s.mu.Lock()
	for _, ref := range p.refs {
		s.refs[ref] = c
	}
	s.mu.Unlock()
	// As WhatsApp does when the codes have run out.
	timer := time.AfterFunc(firstRef+(refCount-1)*nextRef+confirmTimeout, c.cancel)
	context.AfterFunc(ctx, func() { timer.Stop() })
	c.send(waBinary.Node{
		Tag:     "iq",
		Attrs:   waBinary.Attrs{"from": types.ServerJID, "type": "set", "id": newID(), "xmlns": "md"},
		Content: []waBinary.Node{{Tag: "pair-device", Content: children}},
	})
	return nil
}

func parseRegistration(static [32]byte, data *waWa6.ClientPayload_DevicePairingRegistrationData) (*companionRecord, error) {
	identity, key, signature := data.GetEIdent(), data.GetESkeyVal(), data.GetESkeySig()
	if len(identity) != 32 || len(key) != 32 || len(signature) != 64 || len(data.GetERegid()) != 4 || len(data.GetESkeyID()) != 3 {
		return nil, errors.New("the registration lacks a key")
	}
	if !signedBy(identity, signature, []byte{ecc.DjbType}, key) {
		return nil, errors.New("the signature of the signed prekey is wrong")
	}
	var props waCompanionReg.DeviceProps
	if err := proto.Unmarshal(data.GetDeviceProps(), &props); err != nil {
		return nil, fmt.Errorf("device properties: %w", err)
	}
	return &companionRecord{
		Noise:           static[:],
		Identity:        identity,
		RegistrationID:  binary.BigEndian.Uint32(data.GetERegid()),
		SignedPreKeyID:  binary.BigEndian.Uint32(append([]byte{0}, data.GetESkeyID()...)),
		SignedPreKey:    key,
		SignedPreKeySig: signature,
		Platform:        props.GetOs(),
	}, nil
}

// signedBy verifies an XEdDSA signature over the concatenation of the parts.
func signedBy(public, signature []byte, parts ...[]byte) bool {
	return len(public) == 32 && len(signature) == 64 &&
		ecc.VerifySignature(ecc.NewDjbECPublicKey([32]byte(public)), slices.Concat(parts...), [64]byte(signature))
}

// endPairing forgets the codes of a connection that has ended.
func (s *Server) endPairing(c *connection) {
	s.mu.Lock()
	for _, ref := range c.pairing.refs {
		delete(s.refs, ref)
	}
	s.mu.Unlock()
	s.forgetPhoneCode(c)
	c.pairing.finish(nil, &linkError{"the companion hung up before the link was made"})
}

// finish ends the attempt under way, or only that one if it is given.
func (p *pairing) finish(only *pairingAttempt, result error) {
	p.mu.Lock()
	attempt := p.attempt
	if attempt == nil || only != nil && attempt != only {
		p.mu.Unlock()
		return
	}
	p.attempt = nil
	p.done = p.done || result == nil
	p.mu.Unlock()
	attempt.result <- result
}

// validRef tells whether the client still shows the code with this index.
func (p *pairing) validRef(index int, now time.Time) bool {
	return now.Sub(p.startedAt) < firstRef+time.Duration(index)*nextRef
}

// scan links the companion that shows this QR code to a phone. It returns once the link is made or has failed.
func (s *Server) scan(ctx context.Context, p *phone, qr string) (address, error) {
	_, data, found := strings.Cut(strings.TrimSpace(qr), "#")
	if !found {
		data = strings.TrimSpace(qr) // the older form, without the address
	}
	parts := strings.Split(data, ",")
	if len(parts) < 4 {
		return address{}, badRequest("this is not the text of a linking code, which has at least four parts with commas between them")
	}
	var keys [3][]byte
	for i := range keys {
		key, err := base64.StdEncoding.DecodeString(parts[i+1])
		if err != nil || len(key) != 32 {
			return address{}, badRequest("this is not the text of a linking code: part %d is no key of 32 bytes", i+2)
		}
		keys[i] = key
	}
	s.mu.Lock()
	c := s.refs[parts[0]]
	s.mu.Unlock()
	if c == nil {
		return address{}, &linkError{"no companion waits for this code: it is stale, or it belongs to another server"}
	}
	if !c.pairing.validRef(slices.Index(c.pairing.refs, parts[0]), time.Now()) {
		return address{}, &linkError{"this code has expired: scan the one that is shown now"}
	}
	if !hmac.Equal(keys[0], c.pairing.companion.Noise) || !hmac.Equal(keys[1], c.pairing.companion.Identity) {
		return address{}, &linkError{"this code was tampered with: its keys are not those of the companion"}
	}
	secret := keys[2]
	if p.current().Passkey {
		var err error
		if secret, err = s.askPasskey(ctx, p, c, secret); err != nil {
			return address{}, err
		}
	}
	return s.link(ctx, p, c, secret)
}

// link offers a companion the phone's signature over its identity, authenticated by the secret that only the two
// share, and waits for the companion's own signature.
func (s *Server) link(ctx context.Context, p *phone, c *connection, advSecret []byte) (address, error) {
	if !p.current().Registered {
		return address{}, &linkError{"this phone is not registered with WhatsApp"}
	}
	account := p.device.IdentityKey
	attempt := &pairingAttempt{iq: newID(), account: account.Pub[:], result: make(chan error, 1)}
	var ok bool
	if attempt.who, ok = s.reserveDevice(p.number); !ok {
		return address{}, &linkError{fmt.Sprintf("this phone has %d companions already: unlink one", maxCompanions)}
	}

	c.pairing.mu.Lock()
	busy := c.pairing.attempt != nil || c.pairing.done
	if !busy {
		c.pairing.attempt = attempt
	}
	c.pairing.mu.Unlock()
	if busy {
		return address{}, &linkError{"this code was scanned already"}
	}
	defer c.pairing.finish(attempt, errors.New("abandoned"))

	box, err := p.signCompanion(attempt, c.pairing.companion.Identity, advSecret)
	if err != nil {
		return address{}, err
	}
	if s.faults.take(faultGarble, p.number) != nil {
		box[len(box)-1] ^= 1 // the HMAC is the last field
	}
	c.send(waBinary.Node{
		Tag:   "iq",
		Attrs: waBinary.Attrs{"from": types.ServerJID, "type": "set", "id": attempt.iq, "xmlns": "md", "t": unixNow()},
		Content: []waBinary.Node{{Tag: "pair-success", Content: []waBinary.Node{
			{Tag: "device-identity", Content: box},
			{Tag: "device", Attrs: waBinary.Attrs{"jid": attempt.who.pn(), "lid": attempt.who.lid()}},
			{Tag: "platform", Attrs: waBinary.Attrs{"name": "android"}},
		}}},
	})
	ctx, done := context.WithTimeout(ctx, confirmTimeout)
	defer done()
	select {
	case err = <-attempt.result:
		return attempt.who, err
	case <-ctx.Done():
		return address{}, &linkError{"the companion did not confirm the link in time"}
	}
}

// signCompanion makes the ADVSignedDeviceIdentityHMAC that the phone gives to a companion.
func (p *phone) signCompanion(attempt *pairingAttempt, companion, advSecret []byte) ([]byte, error) {
	var err error
	attempt.details, err = proto.Marshal(&waAdv.ADVDeviceIdentity{
		RawID:       proto.Uint32(p.device.RegistrationID),
		Timestamp:   proto.Uint64(uint64(time.Now().Unix())),
		KeyIndex:    proto.Uint32(uint32(attempt.who.device)),
		AccountType: waAdv.ADVEncryptionType_E2EE.Enum(),
		DeviceType:  waAdv.ADVEncryptionType_E2EE.Enum(),
	})
	if err != nil {
		return nil, err
	}
	signature := ecc.CalculateSignature(ecc.NewDjbECPrivateKey(*p.device.IdentityKey.Priv),
		slices.Concat(whatsmeow.AdvAccountSignaturePrefix, attempt.details, companion))
	signed, err := proto.Marshal(&waAdv.ADVSignedDeviceIdentity{
		Details:             attempt.details,
		AccountSignatureKey: attempt.account,
		AccountSignature:    signature[:],
	})
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, advSecret)
	mac.Write(signed)
	return proto.Marshal(&waAdv.ADVSignedDeviceIdentityHMAC{Details: signed, HMAC: mac.Sum(nil)})
}

// handlePairing serves a stanza of a connection that is not linked yet.
func (c *connection) handlePairing(node *waBinary.Node) {
	if node.Tag != "iq" {
		return
	}
	switch stringAttr(node, "type") {
	case "result", "error":
		c.handlePairingAnswer(node)
	default:
		if reg, ok := node.GetOptionalChildByTag("link_code_companion_reg"); ok {
			c.handleLinkCode(node, &reg)
		} else if !c.handlePasskey(node) {
			c.reply(node) // pings
		}
	}
}

func (c *connection) handlePairingAnswer(node *waBinary.Node) {
	c.pairing.mu.Lock()
	attempt := c.pairing.attempt
	c.pairing.mu.Unlock()
	if attempt == nil || attempt.iq != stringAttr(node, "id") {
		return
	}
	if stringAttr(node, "type") == "error" {
		child := node.GetChildByTag("error")
		c.pairing.finish(attempt, &linkError{c.server.refusal(attempt.who.number, stringAttr(&child, "text"))})
		return
	}
	child := node.GetChildByTag("pair-device-sign", "device-identity")
	content, _ := child.Content.([]byte)
	err := attempt.verify(content, c.pairing.companion.Identity)
	if err == nil {
		r := c.pairing.companion
		r.companionKey, r.LinkedAt = companionKey{attempt.who.number, attempt.who.device}, time.Now().UTC()
		err = c.server.addCompanion(r)
	}
	if err == nil {
		c.streamError(restartCode, "")
	}
	c.pairing.finish(attempt, err)
}

// refusal says of a companion that refused a phone what the sandbox knows: to the phone it says the same whatever Chatwren's
// cause.
func (s *Server) refusal(number, said string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := fmt.Sprintf("the companion refused the link (%s): its own side says why (GET /api/whatsapp/status)", said)
	if linked := len(s.linked[number]); linked > 0 {
		why += fmt.Sprintf(". +%s has %d linked already, and only one user of a Chatwren may link a number: "+
			"scan with another phone, or unlink that one first", number, linked)
	}
	return why
}

// verify checks the companion's signature, which binds it to the phone.
func (a *pairingAttempt) verify(content, companion []byte) error {
	var signed waAdv.ADVSignedDeviceIdentity
	if err := proto.Unmarshal(content, &signed); err != nil {
		return &linkError{"the companion's answer cannot be read"}
	}
	if !hmac.Equal(signed.GetDetails(), a.details) {
		return &linkError{"the companion signed other details than those it was given"}
	}
	if !signedBy(companion, signed.GetDeviceSignature(), whatsmeow.AdvDeviceSignaturePrefix, a.details, companion, a.account) {
		return &linkError{"the companion's signature is wrong"}
	}
	return nil
}

// reserveDevice takes the next device number of a phone, unless it has too many companions.
func (s *Server) reserveDevice(number string) (address, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.linked[number]) >= maxCompanions {
		return address{}, false
	}
	device := s.nextDevice[number] + 1
	for device > maxDevice || s.companions[address{number, device}] != nil {
		if device++; device > maxDevice {
			device = 1
		}
	}
	s.nextDevice[number] = device
	return address{number, device}, true
}

const (
	maxDevice     = 250 // the highest device number: a JID holds it in one byte
	maxCompanions = 32  // of one phone; WhatsApp allows fewer, tests want to relink without tidying up
)

// addCompanion makes a link durable.
func (s *Server) addCompanion(r companionRecord) error {
	s.mu.Lock()
	if err := s.save(record{Companion: &r}); err != nil {
		s.mu.Unlock()
		return err
	}
	who := r.address()
	s.companions[who] = newCompanion(r)
	s.linked[who.number] = append(removeDevice(s.linked[who.number], who.device), who.device)
	slices.Sort(s.linked[who.number])
	s.mu.Unlock()
	s.log.Info("companion linked", "companion", who, "platform", r.Platform)
	s.events.publish("companion", s.companionEvent(who))
	s.devicesChanged(who)
	s.phone(who.number).welcome(who)
	return nil
}

func (s *Server) companionEvent(who address) any {
	return map[string]string{"number": who.number, "device": strconv.Itoa(int(who.device))}
}
