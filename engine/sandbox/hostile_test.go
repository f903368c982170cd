package sandbox

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

func TestAHostilePhoneSendsWhatItIsTold(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	api := PhonesClient{"http://" + s.PhonesAddress()}
	do := func(method, path string, in any) {
		t.Helper()
		if err := api.Do(t.Context(), method, path, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	c := link(t, s, alice)
	g, err := s.createGroup("Choir", bob, []string{alice})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := proto.Marshal(text("hi \xff\x00"))
	if err != nil {
		t.Fatal(err)
	}
	id := "A\x00\n" + strings.Repeat("B", 3000)
	for _, to := range []string{alice, g.ID} {
		do("POST", "/phones/"+bob+"/messages", map[string]any{
			"to": to, "raw": plain, "id": id, "timestamp": 99999999999999, "type": "media",
			"pushName": map[string]any{"base64": []byte("B\xffb")},
		})
		got := awaitEvent(c, to, func(e *events.Message) bool {
			return e.Info.ID == id && e.Info.IsGroup == (to == g.ID) && e.Message.GetConversation() == "hi \xff\x00"
		})
		if got.Info.Timestamp.Unix() != 99999999999999 ||
			got.Info.PushName != "B\xffb" || got.Info.Type != "media" {
			t.Errorf("it arrived at %s from %q as %q", got.Info.Timestamp, got.Info.PushName, got.Info.Type)
		}
	}
	do("POST", "/phones/"+alice+"/messages", map[string]any{"to": bob, "raw": plain, "id": "own"})
	own := awaitEvent(c, "a copy for the own device", func(e *events.Message) bool { return e.Info.ID == "own" })
	if !own.Info.IsFromMe || own.Message.GetConversation() != "hi \xff\x00" {
		t.Errorf("the copy is %+v", own)
	}

	do("POST", "/phones/"+bob+"/receipts", map[string]any{
		"to": alice, "ids": []any{"x\x00", 7, map[string]any{"base64": base64.StdEncoding.EncodeToString([]byte{0xff})}},
		"type": "read", "timestamp": "-1",
	})
	receipt := awaitEvent(c, "the receipt", func(e *events.Receipt) bool { return e.Timestamp.Unix() == -1 })
	if !slices.Equal(receipt.MessageIDs, []string{"x\x00", "7", "\xff"}) || receipt.Type != types.ReceiptTypeRead {
		t.Errorf("the receipt is %+v", receipt)
	}

	name := map[string]any{"base64": []byte("a\x00\xff")}
	do("PATCH", "/groups/"+g.ID, map[string]any{"name": name})
	awaitEvent(c, "the group's name", func(e *events.GroupInfo) bool { return e.Name != nil && e.Name.Name == "a\x00\xff" })
	do("PATCH", "/phones/"+alice, map[string]any{"name": "a\x00c"})
	awaitEvent(c, "the own name", func(e *events.PushNameSetting) bool { return e.Action.GetName() == "a\x00c" })

	do("POST", "/phones/"+bob+"/messages", map[string]any{"to": alice, "raw": bytes.Repeat([]byte{0xff}, 100)})
	huge, err := proto.Marshal(text(strings.Repeat("h", 8<<20)))
	if err != nil {
		t.Fatal(err)
	}
	do("POST", "/phones/"+bob+"/messages", map[string]any{"to": alice, "raw": huge, "id": "huge"})
	awaitEvent(c, "a message of 8 MiB after noise", func(e *events.Message) bool { return e.Info.ID == "huge" })
	do("POST", "/phones/"+bob+"/messages", map[string]string{"to": alice, "text": "still here"})
	awaitEvent(c, "a text after all that", func(e *events.Message) bool { return e.Message.GetConversation() == "still here" })
}
