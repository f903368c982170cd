package sandbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

const (
	alice   = "4915770000001"
	bob     = "5511970000002"
	charlie = "919800000003"
)

func text(content string) *waE2E.Message { return &waE2E.Message{Conversation: proto.String(content)} }

func TestATextGoesBothWaysAndIsRead(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)

	sent, err := c.SendMessage(t.Context(), jidOf(bob), text("Hello, Bob"))
	if err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "what Alice wrote", showing("Hello, Bob"))
	for _, kind := range []types.ReceiptType{types.ReceiptTypeDelivered, types.ReceiptTypeRead} {
		awaitEvent(c, string(kind), func(e *events.Receipt) bool {
			return e.Type == kind && slices.Contains(e.MessageIDs, sent.ID)
		})
	}

	id, err := s.phone(bob).write(t.Context(), alice, "Hello, Alice")
	if err != nil {
		t.Fatal(err)
	}
	answer := awaitEvent(c, "Bob's answer", func(e *events.Message) bool { return e.Info.ID == id })
	if got := answer.Message.GetConversation(); got != "Hello, Alice" {
		t.Errorf("Alice reads %q", got)
	}
	if pn := answer.Info.SenderAlt.ToNonAD(); pn != jidOf(bob) {
		t.Errorf("it comes from %s", pn)
	}
	if err = c.MarkRead(t.Context(), []types.MessageID{id}, answer.Info.Timestamp, answer.Info.Chat, answer.Info.Sender); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "Alice's receipt", func(list []message) bool { return len(list) == 2 && list[1].Receipt == receiptsRead })
	awaitMessages(t, s, alice, "Alice's own phone", func(list []message) bool {
		return showing("Hello, Bob", "Hello, Alice")(list) && list[0].From == alice && list[0].To == bob
	})
}

func TestACodeThatNobodyShowsCannotBeScanned(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	code := c.showCode()
	c.Disconnect()
	eventually(t, "the sandbox notices", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.refs) == 0
	})
	for _, qr := range []string{code, "nonsense", "https://wa.me/settings/linked_devices#a,b,c,d,e"} {
		if _, err := s.scan(t.Context(), s.phone(alice), qr); err == nil {
			t.Errorf("%q was scanned", qr)
		}
	}
}

func TestACodeExpires(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	first := c.showCode()
	s.mu.Lock()
	for _, conn := range s.refs {
		conn.pairing.startedAt = time.Now().Add(-firstRef)
	}
	s.mu.Unlock()
	if _, err := s.scan(t.Context(), s.phone(alice), first); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a code that is no longer shown: %v", err)
	}
	s.mu.Lock()
	var second string
	for ref, conn := range s.refs {
		if slices.Index(conn.pairing.refs, ref) == 1 {
			second = ref
		}
	}
	s.mu.Unlock()
	_, keys, _ := strings.Cut(first, ",")
	if _, err := s.scan(t.Context(), s.phone(alice), second+","+keys); err != nil {
		t.Errorf("the code that is shown now, in the older form: %v", err)
	}
}

func TestATamperedCodeIsRefused(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	shown := newClient(t, s.WhatsAppAddress(), newClientDevice()).showCode()
	other := newClient(t, s.WhatsAppAddress(), newClientDevice()).showCode()
	ref, _, _ := strings.Cut(shown, ",")
	_, keys, _ := strings.Cut(other, ",")
	if _, err := s.scan(t.Context(), s.phone(alice), ref+","+keys); err == nil || !strings.Contains(err.Error(), "tampered") {
		t.Errorf("a code with the keys of another companion: %v", err)
	}
}

func TestAllIsInMemoryWithoutADirectory(t *testing.T) {
	options := Options{WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0"}
	first, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if len(first.RootKey()) != 32 || slices.Equal(first.RootKey(), second.RootKey()) {
		t.Error("two sandboxes share a root key")
	}
}
