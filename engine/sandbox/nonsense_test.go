package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

func TestNonsenseOfAClientCostsNothing(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	g, err := s.createGroup("Choir", alice, []string{bob})
	if err != nil {
		t.Fatal(err)
	}
	to := address{bob, 0}.lid()
	garbage := []waBinary.Node{}
	for _, kind := range []string{"pkmsg", "msg", "skmsg", "", "unheard"} {
		for _, content := range []any{nil, []byte{}, []byte{0x33}, bytes.Repeat([]byte{0x33}, 200), []waBinary.Node{{Tag: "x"}}} {
			garbage = append(garbage, waBinary.Node{Tag: "enc", Attrs: waBinary.Attrs{"v": "2", "type": kind}, Content: content})
		}
	}
	nodes := []waBinary.Node{
		{Tag: "message"}, {Tag: "receipt"}, {Tag: "ack"}, {Tag: "iq"}, {Tag: "presence"}, {Tag: "chatstate"}, {Tag: "unheard"},
		{Tag: "message", Attrs: waBinary.Attrs{"to": to, "id": "A"}},
		{Tag: "message", Attrs: waBinary.Attrs{"to": types.ServerJID, "id": "A"}, Content: garbage[:1]},
		{Tag: "message", Attrs: waBinary.Attrs{"to": types.NewJID("1", types.GroupServer), "id": "A"}},
		{Tag: "message", Attrs: waBinary.Attrs{"to": g.jid(), "id": "A", "participant": to}, Content: garbage},
		{Tag: "receipt", Attrs: waBinary.Attrs{"to": to, "id": "A", "type": "retry"}},
		{Tag: "receipt", Attrs: waBinary.Attrs{"to": g.jid(), "id": "A", "type": "read"}},
	}
	for _, enc := range garbage {
		nodes = append(nodes, waBinary.Node{Tag: "message", Attrs: waBinary.Attrs{"to": to, "id": "B"}, Content: []waBinary.Node{enc}})
	}
	for _, space := range []string{"encrypt", "usync", "passive", "md", "w:g2", "w:m", "privacy", "w:sync:app:state", "unheard"} {
		for _, target := range []any{types.ServerJID, types.GroupServerJID, g.jid(), to} {
			for _, tag := range []string{"usync", "key", "list", "query", "create", "leave", "add", "sync", "subject", "remove-companion-device"} {
				child := waBinary.Node{Tag: tag, Content: []waBinary.Node{
					{Tag: "user"}, {Tag: "key"}, {Tag: "participant"}, {Tag: "group"},
					{Tag: "collection", Attrs: waBinary.Attrs{"name": "regular", "version": "99"}, Content: []waBinary.Node{{Tag: "patch", Content: []byte{1}}}},
				}}
				nodes = append(nodes, waBinary.Node{
					Tag: "iq", Attrs: waBinary.Attrs{"id": "C", "type": "set", "xmlns": space, "to": target}, Content: []waBinary.Node{child},
				})
			}
		}
	}
	for _, node := range nodes {
		if err := c.DangerousInternals().SendNode(t.Context(), node); err != nil {
			t.Fatalf("%v: %v", node, err)
		}
	}
	if _, err := c.SendMessage(t.Context(), jidOf(charlie), text("still here")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, charlie, "a message after all that", showing("still here"))
}

func TestNonsenseBeforeTheHandshakeCostsNothing(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	for _, frame := range [][]byte{
		{}, {1}, []byte("GET / HTTP/1.1\r\n\r\n"), {'W', 'A', 6, 3}, {'W', 'A', 6, 3, 0, 0, 0}, {'W', 'A', 6, 3, 0, 0, 2, 0xff, 0xff},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		ws, _, err := websocket.Dial(ctx, "ws://"+s.WhatsAppAddress()+"/ws/chat", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err = ws.Write(ctx, websocket.MessageBinary, frame); err != nil {
			t.Fatal(err)
		}
		_ = ws.CloseNow()
		cancel()
	}
	if response, err := http.Get("http://" + s.WhatsAppAddress() + "/phones"); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("the phones are on the protocol's listener: %v, %v", response, err)
	}
	link(t, s, alice)
}
