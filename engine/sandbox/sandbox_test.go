package sandbox

import (
	"slices"
	"testing"

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
