package sandbox

import (
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

// A link with a passkey is made by an assertion of this phone, for this challenge, for WhatsApp, and by nothing else.
func TestLinkingWithAPasskey(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	p := s.phone(alice)
	if err := p.change(func(settings *phoneSettings) { settings.Passkey = true }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		by      *phone
		options func(*types.WebAuthnPublicKey)
		edit    func(*types.WebAuthnResponse)
		refusal string // empty: it is linked
	}{
		{name: "as it should be", by: p},
		{name: "another phone", by: s.phone(bob), refusal: "no such credential"},
		{name: "another challenge", by: p, options: func(o *types.WebAuthnPublicKey) { o.Challenge = []byte("old") }, refusal: "another challenge"},
		{name: "another party", by: p, options: func(o *types.WebAuthnPublicKey) { o.RelyingPartID = "example.com" }, refusal: "another party"},
		{name: "signature", by: p, edit: func(r *types.WebAuthnResponse) { r.Response.Signature[0] ^= 1 }, refusal: "signature is wrong"},
	} {
		client := newClient(t, s.WhatsAppAddress(), newClientDevice())
		code := client.showCode()
		scanned := make(chan error, 1)
		go func() {
			_, err := s.scan(t.Context(), p, code)
			scanned <- err
		}()
		options := awaitEvent[*events.PairPasskeyRequest](client, c.name, nil).PublicKey
		if c.options != nil {
			c.options(options)
		}
		assertion, err := c.by.assert(options)
		if err != nil {
			t.Fatal(err)
		}
		if c.edit != nil {
			c.edit(assertion)
		}
		if err := client.SendPasskeyResponse(t.Context(), assertion); (err != nil) != (c.refusal != "") {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.refusal != "" {
			if err := <-scanned; err == nil || !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		awaitEvent[*events.PairPasskeyConfirmation](client, c.name, nil)
		if err := client.SendPasskeyConfirmation(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-scanned; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		awaitEvent[*events.Connected](client, c.name, nil)
	}
}
