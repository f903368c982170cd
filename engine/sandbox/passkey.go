package sandbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.mau.fi/util/random"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/proto/waCompanionReg"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
	"google.golang.org/protobuf/proto"
)

// The party and the page for which passkeys of WhatsApp are made (Web Authentication, W3C).
const (
	relyingParty = "whatsapp.com"
	passkeyPage  = "https://web.whatsapp.com"
	userPresent  = 0x01 // flags of authenticator data
	userVerified = 0x04
)

// passkeyLink is a companion that was scanned by a phone with a passkey: the server asks for an assertion made with it,
// then phone and companion agree on a key under which the companion tells its secret. The protocol is as whatsmeow's
// pair-passkey.go speaks it.
type passkeyLink struct {
	phone     *phone
	challenge []byte
	ref       string
	handoff   []byte // key of the proof that the companion is the one whose code was scanned

	identity   waCompanionReg.CompanionEphemeralIdentity
	prologue   []byte // the serialized identity, to which the companion commits with a nonce
	commitment []byte
	ephemeral  *keys.KeyPair // of the phone
	revealed   bool          // the companion has told its nonce
	outcome    chan passkeyOutcome
}

type passkeyOutcome struct {
	secret []byte // the ADV secret
	err    error
}

// askPasskey lets the companion that was scanned show that its user holds the phone's passkey. It returns the secret
// that authenticates the link: with its use of the passkey a companion changes the one in its code.
func (s *Server) askPasskey(ctx context.Context, p *phone, c *connection, scanned []byte) ([]byte, error) {
	link := &passkeyLink{
		phone: p, challenge: []byte(rand.Text()), ref: rand.Text(), ephemeral: keys.NewKeyPair(),
		handoff: hkdfutil.SHA256(scanned, nil, []byte("shortcake-passkey-handoff-v1"), 32),
		outcome: make(chan passkeyOutcome, 1),
	}
	options, err := json.Marshal(types.WebAuthnPublicKey{
		Challenge: link.challenge, RelyingPartID: relyingParty, UserVerification: "required",
		Timeout:          int(confirmTimeout.Milliseconds()),
		AllowCredentials: []types.AllowedCredential{{ID: p.credentialID(), Type: "public-key", Transports: []string{"internal"}}},
	})
	if err != nil {
		return nil, err
	}
	c.pairing.mu.Lock()
	busy := c.pairing.passkey != nil || c.pairing.attempt != nil || c.pairing.done
	if !busy {
		c.pairing.passkey = link
	}
	c.pairing.mu.Unlock()
	if busy {
		return nil, &linkError{"this code was scanned already"}
	}
	defer func() {
		c.pairing.mu.Lock()
		c.pairing.passkey = nil
		c.pairing.mu.Unlock()
	}()
	c.send(notification(types.ServerJID, "passkey_prologue_request", waBinary.Node{Tag: "passkey_request_options", Content: options}))
	ctx, done := context.WithTimeout(ctx, confirmTimeout)
	defer done()
	select {
	case outcome := <-link.outcome:
		return outcome.secret, outcome.err
	case <-ctx.Done():
		return nil, &linkError{"the companion did not use the passkey in time"}
	}
}

// handlePasskey serves the companion's side of a link with a passkey. False: the stanza is about something else.
func (c *connection) handlePasskey(node *waBinary.Node) bool {
	c.pairing.mu.Lock()
	link := c.pairing.passkey
	c.pairing.mu.Unlock()
	children := node.GetChildren()
	if link == nil || len(children) != 1 {
		return false
	}
	content, _ := children[0].Content.([]byte)
	var err error
	var answer, then []waBinary.Node
	switch children[0].Tag {
	case "ref":
		answer = []waBinary.Node{{Tag: "ref", Content: []byte(link.ref)}}
	case "passkey_prologue":
		then, err = link.begin(&children[0])
	case "companion_nonce":
		err = link.reveal(content)
	case "encrypted_pairing_request":
		var secret []byte
		if secret, err = link.open(content, &c.pairing.companion); err == nil {
			link.end(secret, nil)
		}
	default:
		return false
	}
	if err != nil {
		c.refuse(node, codeForbidden, "forbidden")
		link.end(nil, &linkError{"the passkey did not link the companion: " + err.Error()})
		return true
	}
	c.reply(node, answer...)
	for _, next := range then {
		c.send(next)
	}
	return true
}

// end gives whoever waits the outcome. The first counts.
func (l *passkeyLink) end(secret []byte, err error) {
	select {
	case l.outcome <- passkeyOutcome{secret, err}:
	default:
	}
}

// begin checks the assertion, and that it comes from the companion that was scanned, and answers with the phone's key.
func (l *passkeyLink) begin(node *waBinary.Node) ([]waBinary.Node, error) {
	part := func(tag string) []byte {
		child := node.GetChildByTag(tag)
		content, _ := child.Content.([]byte)
		return content
	}
	var assertion types.WebAuthnResponse
	if err := json.Unmarshal(part("webauthn_assertion"), &assertion); err != nil {
		return nil, errors.New("the assertion cannot be read")
	}
	if !bytes.Equal(part("credential_id"), assertion.RawID) {
		return nil, errors.New("the assertion is of another credential")
	}
	if err := l.phone.verifyAssertion(l.challenge, &assertion); err != nil {
		return nil, err
	}
	sealed := part("prologue_payload")
	proof := hmac.New(sha256.New, l.handoff)
	proof.Write(sealed)
	if !hmac.Equal(proof.Sum(nil), part("pairing_handoff_proof")) {
		return nil, errors.New("the companion is not the one that was scanned")
	}
	var prologue waCompanionReg.ProloguePayload
	if err := proto.Unmarshal(sealed, &prologue); err != nil {
		return nil, errors.New("the prologue cannot be read")
	}
	l.prologue, l.commitment = prologue.GetCompanionEphemeralIdentity(), prologue.GetCommitment().GetHash()
	if err := proto.Unmarshal(l.prologue, &l.identity); err != nil || len(l.identity.GetPublicKey()) != 32 || l.identity.GetRef() != l.ref {
		return nil, errors.New("the companion's identity is wrong")
	}
	own, err := proto.Marshal(&waCompanionReg.PrimaryEphemeralIdentity{PublicKey: l.ephemeral.Pub[:], Nonce: random.Bytes(32)})
	if err != nil {
		return nil, err
	}
	return []waBinary.Node{notification(types.ServerJID, "crsc_continuation", waBinary.Node{Tag: "primary_ephemeral_identity", Content: own})}, nil
}

// reveal checks the nonce with which the companion has committed itself to its key before it knew the phone's.
func (l *passkeyLink) reveal(nonce []byte) error {
	committed := sha256.Sum256(slices.Concat(l.prologue, nonce))
	if l.prologue == nil || !bytes.Equal(committed[:], l.commitment) {
		return errors.New("the companion committed itself to another key")
	}
	l.revealed = true
	return nil
}

// open reads what the companion tells under the agreed key.
func (l *passkeyLink) open(content []byte, companion *companionRecord) ([]byte, error) {
	var sealed waCompanionReg.EncryptedPairingRequest
	if err := proto.Unmarshal(content, &sealed); err != nil || !l.revealed {
		return nil, errors.New("the pairing request comes too early or cannot be read")
	}
	shared, err := curve25519.X25519(l.ephemeral.Priv[:], l.identity.GetPublicKey())
	if err != nil {
		return nil, err
	}
	salt := fmt.Sprintf("Companion Pairing %d with ref %s", l.identity.GetDeviceType(), l.ref)
	key := hkdfutil.SHA256(shared, []byte(salt), []byte("Pairing Information Encryption Key"), 32)
	opened, err := gcmutil.Decrypt(key, sealed.GetIV(), sealed.GetEncryptedPayload(), nil)
	if err != nil {
		return nil, errors.New("the pairing request does not decrypt")
	}
	var request waCompanionReg.PairingRequest
	if err := proto.Unmarshal(opened, &request); err != nil {
		return nil, errors.New("the pairing request cannot be read")
	}
	if !bytes.Equal(request.GetCompanionPublicKey(), companion.Noise) || !bytes.Equal(request.GetCompanionIdentityKey(), companion.Identity) {
		return nil, errors.New("the pairing request holds other keys")
	}
	return request.GetAdvSecret(), nil
}

// The phone's passkey follows from the seed as its other keys do.
func (p *phone) passkey() ed25519.PrivateKey {
	secret := p.server.seed.secret("passkey " + p.number)
	return ed25519.NewKeyFromSeed(secret[:])
}

func (p *phone) credentialID() []byte {
	id := sha256.Sum256(p.passkey().Public().(ed25519.PublicKey))
	return id[:16]
}

// clientData is what a browser signs along with an assertion.
type clientData struct {
	Type      string `json:"type"`
	Challenge string `json:"challenge"`
	Origin    string `json:"origin"`
}

// assert is what the phone answers to options, as an authenticator does when its user agrees.
func (p *phone) assert(options *types.WebAuthnPublicKey) (*types.WebAuthnResponse, error) {
	data, err := json.Marshal(clientData{"webauthn.get", base64.RawURLEncoding.EncodeToString(options.Challenge), passkeyPage})
	if err != nil {
		return nil, err
	}
	party := sha256.Sum256([]byte(options.RelyingPartID))
	authenticator := append(party[:], userPresent|userVerified, 0, 0, 0, 0)
	return &types.WebAuthnResponse{
		ID: base64.RawURLEncoding.EncodeToString(p.credentialID()), RawID: p.credentialID(), Type: "public-key",
		Response: types.WebAuthnResponseData{
			ClientDataJSON: data, AuthenticatorData: authenticator,
			Signature: ed25519.Sign(p.passkey(), signedPart(authenticator, data)),
		},
	}, nil
}

// signedPart is what an assertion's signature is over.
func signedPart(authenticator, data []byte) []byte {
	hash := sha256.Sum256(data)
	return slices.Concat(authenticator, hash[:])
}

// verifyAssertion checks an assertion as the relying party does.
func (p *phone) verifyAssertion(challenge []byte, assertion *types.WebAuthnResponse) error {
	response := assertion.Response
	var data clientData
	if err := json.Unmarshal(response.ClientDataJSON, &data); err != nil || data.Type != "webauthn.get" {
		return errors.New("the assertion's client data cannot be read")
	}
	party := sha256.Sum256([]byte(relyingParty))
	authenticator := []byte(response.AuthenticatorData)
	switch {
	case !bytes.Equal(assertion.RawID, p.credentialID()):
		return errors.New("the phone has no such credential")
	case data.Challenge != base64.RawURLEncoding.EncodeToString(challenge):
		return errors.New("the assertion answers another challenge")
	case len(authenticator) < 37 || !bytes.Equal(authenticator[:32], party[:]) || authenticator[32]&userVerified == 0:
		return errors.New("the assertion is for another party, or its user was not verified")
	case !ed25519.Verify(p.passkey().Public().(ed25519.PublicKey), signedPart(authenticator, response.ClientDataJSON), response.Signature):
		return errors.New("the assertion's signature is wrong")
	}
	return nil
}
