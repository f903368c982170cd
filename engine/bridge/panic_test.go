package bridge

import (
	"fmt"
	"log/slog"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"
)

// TestWhatMakesAHandlerPanicIsPutAside has an account without a client, which its handlers do not survive.
func TestWhatMakesAHandlerPanicIsPutAside(t *testing.T) {
	t.Parallel()
	source := types.MessageSource{Chat: types.NewJID("1", types.HiddenUserServer), Sender: types.NewJID("1", types.HiddenUserServer)}
	content := &waE2E.Message{Conversation: proto.String("hi")}
	for kind, event := range map[string]any{
		"message":           &events.Message{Info: types.MessageInfo{MessageSource: source, ID: "A"}, Message: content, RawMessage: content},
		"*events.GroupInfo": &events.GroupInfo{},
	} {
		for stored, times := range map[bool]int{true: 1, false: offers} {
			t.Run(fmt.Sprint(kind, " stored ", stored), func(t *testing.T) {
				t.Parallel()
				a := &account{
					id: "a", engine: &Engine{hub: newHub()}, log: slog.New(slog.DiscardHandler), ctx: t.Context(),
					unstored: semaphore.NewWeighted(mostReceipts),
				}
				a.active.Store(true)
				done := make(chan bool)
				go func() { done <- a.handle(event) }()
				replaced := a.engine.hub.attach()
				for answered := 0; answered < times; {
					<-a.engine.hub.more
					for _, d := range a.engine.hub.take(replaced) {
						answered++
						aside := d.event.GetUnreadable()
						if aside.GetKind() != kind || kind == "message" && len(aside.Raw) == 0 {
							t.Errorf("it is put aside as %v", d.event)
						}
						a.engine.hub.ack(d.event.Seq, stored)
					}
				}
				if ok := <-done; ok != stored {
					t.Errorf("acknowledged to WhatsApp: %v", ok)
				}
			})
		}
	}
}
