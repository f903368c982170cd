package sandbox

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/gcmutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"
	"go.mau.fi/whatsmeow/util/keys"
	"golang.org/x/crypto/curve25519"
)

const (
	codeLength = 8
	// codeRounds is how often PBKDF2 hashes a code.
	codeRounds = 131_072
	// wrappedLength is a key under a code: 32 bytes of salt, 16 of counter, 32 of key.
	wrappedLength = 80
)

// phoneCode is a companion that shows a code for its user to type on the phone, and what the two agree on.
type phoneCode struct {
	number  string
	ref     []byte
	wrapped []byte // the companion's ephemeral public key, encrypted with the code

	typed     bool          // on the phone: there is one try
	ephemeral *keys.KeyPair // of the phone, once a code was typed
	peer      []byte        // the companion's ephemeral public key, if the code was right
	secret    chan []byte   // the ADV secret, nil if the code was wrong
}

// handleLinkCode serves the companion's side of linking with a code.
func (c *connection) handleLinkCode(node, reg *waBinary.Node) {
	bytesOf := func(tag string) []byte {
		child := reg.GetChildByTag(tag)
		content, _ := child.Content.([]byte)
		return content
	}
	switch stringAttr(reg, "stage") {
	case "companion_hello":
		who, ok := addressOf(jidAttr(reg, "jid"))
		wrapped := bytesOf("link_code_pairing_wrapped_companion_ephemeral_pub")
		noise := bytesOf("companion_server_auth_key_pub")
		if !ok || len(wrapped) != wrappedLength || !bytes.Equal(noise, c.pairing.companion.Noise) {
			c.refuse(node, 400, "bad-request")
			return
		}
		code := &phoneCode{number: who.number, ref: []byte(rand.Text()), wrapped: wrapped, secret: make(chan []byte, 1)}
		c.server.forgetPhoneCode(c)
		c.pairing.mu.Lock()
		c.pairing.phoneCode = code
		c.pairing.mu.Unlock()
		c.server.mu.Lock()
		c.server.phoneCodes[who.number] = c
		c.server.mu.Unlock()
		c.reply(node, waBinary.Node{
			Tag: "link_code_companion_reg", Attrs: waBinary.Attrs{"stage": "companion_hello"},
			Content: []waBinary.Node{{Tag: "link_code_pairing_ref", Content: code.ref}},
		})
	case "companion_finish":
		c.pairing.mu.Lock()
		code := c.pairing.phoneCode
		if code == nil || code.ephemeral == nil || !bytes.Equal(bytesOf("link_code_pairing_ref"), code.ref) {
			c.pairing.mu.Unlock()
			c.refuse(node, 400, "bad-request")
			return
		}
		c.pairing.mu.Unlock()
		secret, err := c.server.openKeyBundle(code, bytesOf("link_code_pairing_wrapped_key_bundle"), c.pairing.companion.Identity)
		if err != nil {
			c.server.log.Info("a code was wrong", "phone", code.number, "error", err)
			c.refuse(node, codeForbidden, "forbidden")
		} else {
			c.reply(node)
		}
		select {
		case code.secret <- secret:
		default:
		}
	default:
		c.refuse(node, 400, "bad-request")
	}
}

// forgetPhoneCode forgets the code that a connection shows, if it shows one.
func (s *Server) forgetPhoneCode(c *connection) {
	c.pairing.mu.Lock()
	code := c.pairing.phoneCode
	c.pairing.phoneCode = nil
	c.pairing.mu.Unlock()
	if code == nil {
		return
	}
	s.mu.Lock()
	if s.phoneCodes[code.number] == c {
		delete(s.phoneCodes, code.number)
	}
	s.mu.Unlock()
}

// typeCode links the companion that shows this code for the phone's number.
func (s *Server) typeCode(ctx context.Context, p *phone, typed string) (address, error) {
	typed = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(typed))
	if len(typed) != codeLength {
		return address{}, badRequest("a code has %d letters and digits", codeLength)
	}
	s.mu.Lock()
	c := s.phoneCodes[p.number]
	s.mu.Unlock()
	if c == nil {
		return address{}, &linkError{"no companion waits for a code on this phone: it is stale, or for another number"}
	}
	c.pairing.mu.Lock()
	code := c.pairing.phoneCode
	busy := code == nil || code.typed
	if !busy {
		code.typed = true
	}
	c.pairing.mu.Unlock()
	if busy {
		return address{}, &linkError{"a code was typed for this companion already: let it show a new one"}
	}
	if err := s.greetCompanion(c, p, code, typed); err != nil {
		return address{}, err
	}
	ctx, done := context.WithTimeout(ctx, confirmTimeout)
	defer done()
	select {
	case secret := <-code.secret:
		s.forgetPhoneCode(c)
		if secret == nil {
			return address{}, &linkError{"this is not the code that the companion shows"}
		}
		return s.link(ctx, p, c, secret)
	case <-ctx.Done():
		return address{}, &linkError{"the companion did not answer in time"}
	}
}

// greetCompanion opens the companion's key with the code and sends it the phone's, under the same code. With a wrong
// code both hold keys of nobody, which shows when the companion's answer does not decrypt.
func (s *Server) greetCompanion(c *connection, p *phone, code *phoneCode, typed string) error {
	peer, err := underCode(typed, code.wrapped[:32], code.wrapped[32:48], code.wrapped[48:])
	if err != nil {
		return err
	}
	ephemeral, salt := keys.NewKeyPair(), make([]byte, 48)
	if _, err = rand.Read(salt); err != nil {
		return err
	}
	own, err := underCode(typed, salt[:32], salt[32:], ephemeral.Pub[:])
	if err != nil {
		return err
	}
	c.pairing.mu.Lock()
	code.ephemeral, code.peer = ephemeral, peer
	c.pairing.mu.Unlock()
	c.send(notification(types.ServerJID, "link_code_companion_reg", waBinary.Node{
		Tag: "link_code_companion_reg", Attrs: waBinary.Attrs{"stage": "primary_hello"},
		Content: []waBinary.Node{
			{Tag: "link_code_pairing_wrapped_primary_ephemeral_pub", Content: slices.Concat(salt, own)},
			{Tag: "primary_identity_pub", Content: p.device.IdentityKey.Pub[:]},
			{Tag: "link_code_pairing_ref", Content: code.ref},
		},
	}))
	return nil
}

// underCode encrypts or decrypts a key with a code.
func underCode(code string, salt, counter, key []byte) ([]byte, error) {
	derived, err := pbkdf2.Key(sha256.New, code, salt, codeRounds, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	result := make([]byte, len(key))
	cipher.NewCTR(block, counter).XORKeyStream(result, key)
	return result, nil
}

// openKeyBundle reads what the companion sends under the agreed key: its identity, the phone's, and a random. From
// these follows the secret that authenticates the link.
func (s *Server) openKeyBundle(code *phoneCode, bundle, companion []byte) ([]byte, error) {
	const saltLength, nonceLength = 32, 12
	if len(bundle) < saltLength+nonceLength {
		return nil, errors.New("the key bundle is too short")
	}
	shared, err := curve25519.X25519(code.ephemeral.Priv[:], code.peer)
	if err != nil {
		return nil, err
	}
	salt, nonce, sealed := bundle[:saltLength], bundle[saltLength:saltLength+nonceLength], bundle[saltLength+nonceLength:]
	key := hkdfutil.SHA256(shared, salt, []byte("link_code_pairing_key_bundle_encryption_key"), 32)
	opened, err := gcmutil.Decrypt(key, nonce, sealed, nil)
	if err != nil || len(opened) != 96 {
		return nil, errors.New("the key bundle does not decrypt")
	}
	own := s.phone(code.number).device.IdentityKey
	if !bytes.Equal(opened[:32], companion) || !bytes.Equal(opened[32:64], own.Pub[:]) {
		return nil, errors.New("the key bundle holds other identities")
	}
	identities, err := curve25519.X25519(own.Priv[:], companion)
	if err != nil {
		return nil, err
	}
	return hkdfutil.SHA256(slices.Concat(shared, identities, opened[64:]), nil, []byte("adv_secret"), 32), nil
}
