package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"
)

func TestAGroupHearsEverybody(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	g, err := s.createGroup("Choir", bob, []string{alice, charlie})
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.JoinedGroup](c, "the new group", nil)

	groups, err := c.GetJoinedGroups(t.Context())
	if err != nil || len(groups) != 1 {
		t.Fatalf("%d groups, %v", len(groups), err)
	}
	if groups[0].Name != "Choir" || len(groups[0].Participants) != 3 || groups[0].OwnerPN != jidOf(bob) {
		t.Errorf("the group is %+v", groups[0])
	}
	for _, participant := range groups[0].Participants {
		if participant.PhoneNumber.User == "" || participant.LID.Server != types.HiddenUserServer {
			t.Errorf("participant %+v", participant)
		}
	}

	if _, err = c.SendMessage(t.Context(), g.jid(), text("Alice sings")); err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{bob, charlie} {
		awaitMessages(t, s, number, "the group's message", func(list []message) bool {
			return showing("Alice sings")(list) && list[0].From == alice && list[0].To == g.ID
		})
	}
	awaitEvent(c, "a receipt from the group", func(e *events.Receipt) bool {
		return e.Type == types.ReceiptTypeRead && e.Chat == g.jid()
	})
	for i := range 3 {
		words := fmt.Sprintf("Bob sings %d", i)
		id, err := s.phone(bob).write(t.Context(), g.ID, words)
		if err != nil {
			t.Fatal(err)
		}
		got := awaitEvent(c, words, func(e *events.Message) bool { return e.Info.ID == id && e.Message.GetConversation() != "" })
		if got.Message.GetConversation() != words || got.Info.Chat != g.jid() {
			t.Errorf("Alice hears %q in %s", got.Message.GetConversation(), got.Info.Chat)
		}
	}
}

func TestAStrangerCannotWriteToAGroup(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, charlie)
	g, err := s.createGroup("Two", alice, []string{bob})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.GetGroupInfo(t.Context(), g.jid()); !errors.Is(err, whatsmeow.ErrNotInGroup) {
		t.Errorf("Charlie asks and gets %v", err)
	}
	if groups, err := c.GetJoinedGroups(t.Context()); err != nil || len(groups) != 0 {
		t.Errorf("Charlie sees %v, %v", groups, err)
	}
	if _, err = s.phone(charlie).write(t.Context(), g.ID, "let me in"); err == nil {
		t.Error("Charlie's phone writes to it")
	}
}

func TestMediaIsVerifiedBothWays(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	picture := bytes.Repeat([]byte("pixels "), 5000)
	up, err := c.Upload(t.Context(), picture, whatsmeow.MediaImage)
	if err != nil {
		t.Fatal(err)
	}
	image := &waE2E.ImageMessage{
		URL: &up.URL, DirectPath: &up.DirectPath, MediaKey: up.MediaKey, Mimetype: proto.String("image/png"),
		FileSHA256: up.FileSHA256, FileEncSHA256: up.FileEncSHA256, FileLength: &up.FileLength, Caption: proto.String("Look"),
	}
	if _, err = c.SendMessage(t.Context(), jidOf(bob), &waE2E.Message{ImageMessage: image}); err != nil {
		t.Fatal(err)
	}
	damaged := proto.Clone(image).(*waE2E.ImageMessage)
	damaged.MediaKey = bytes.Repeat([]byte{1}, 32)
	if _, err = c.SendMessage(t.Context(), jidOf(bob), &waE2E.Message{ImageMessage: damaged}); err != nil {
		t.Fatal(err)
	}
	list := awaitMessages(t, s, bob, "both pictures", func(list []message) bool { return len(list) == 2 })
	good, bad := list[0].Media, list[1].Media
	if list[0].Text != "Look" || good.Mimetype != "image/png" || good.Size != len(picture) || good.SHA256 != hexSum(sha256.Sum256(picture)) {
		t.Errorf("Bob sees %q with %+v", list[0].Text, good)
	}
	if bad.Error == "" || bad.SHA256 != "" {
		t.Errorf("a picture with a wrong key shows as %+v", bad)
	}
	if back, err := c.Download(t.Context(), image); err != nil || !bytes.Equal(back, picture) {
		t.Errorf("downloaded %d bytes, %v", len(back), err)
	}
}

func TestMessagesWaitForACompanionThatIsAway(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	c.Disconnect()
	eventually(t, "the sandbox notices", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.companions[address{alice, 1}].live == nil
	})
	for _, words := range []string{"one", "two", "three"} {
		if _, err := s.phone(bob).write(t.Context(), alice, words); err != nil {
			t.Fatal(err)
		}
	}
	c.forget()
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the end of what waited", func(e *events.OfflineSyncCompleted) bool { return e.Count >= 3 })
	for _, words := range []string{"one", "two", "three"} {
		awaitEvent(c, words, func(e *events.Message) bool { return e.Message.GetConversation() == words })
	}
	eventually(t, "all is acknowledged", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.companions[address{alice, 1}].queue) == 0
	})
}

func TestWhatIsNotAcknowledgedComesAgain(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	refuse := c.AddEventHandlerWithSuccessStatus(func(e any) bool {
		_, isMessage := e.(*events.Message)
		return !isMessage // what the handler refuses is not acknowledged
	})
	id, err := s.phone(bob).write(t.Context(), alice, "take this")
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the first try", func(e *events.Message) bool { return e.Info.ID == id })
	c.RemoveEventHandler(refuse)
	c.Disconnect()
	if err = c.Connect(); err != nil {
		t.Fatal(err)
	}
	// The client holds the ratchet's key no more, so the second try cannot be read: what counts here is that it came.
	eventually(t, "the second try is acknowledged", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		own := s.companions[address{alice, 1}]
		return own.active && len(own.queue) == 0
	})
}

func TestCompanionsOfOnePhoneSeeEachOther(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	first := link(t, s, alice)
	if _, err := first.SendMessage(t.Context(), jidOf(bob), text("before the second")); err != nil {
		t.Fatal(err)
	}
	second := link(t, s, alice)
	if first.Store.ID.Device == second.Store.ID.Device {
		t.Fatalf("both are device %d", first.Store.ID.Device)
	}
	eventually(t, "the first knows of the second", func() bool {
		devices, err := first.GetUserDevices(t.Context(), []types.JID{first.Store.LID.ToNonAD()})
		return err == nil && len(devices) == 3
	})
	response, err := first.SendMessage(t.Context(), jidOf(bob), text("for all to see"))
	if err != nil {
		t.Fatal(err)
	}
	copied := awaitEvent(second, "the copy", func(e *events.Message) bool { return e.Info.ID == response.ID })
	if !copied.Info.IsFromMe || copied.Message.GetConversation() != "for all to see" || copied.Info.Chat.User != lidUser(bob) {
		t.Errorf("the copy is %+v", copied.Info)
	}
	id, err := s.phone(alice).write(t.Context(), bob, "from the phone itself")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{first, second} {
		got := awaitEvent(c, "what the phone wrote", func(e *events.Message) bool { return e.Info.ID == id })
		if !got.Info.IsFromMe || got.Message.GetConversation() != "from the phone itself" {
			t.Errorf("it is %+v", got.Info)
		}
	}
}

func TestTwoCompaniesOfClientsTalk(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	a, b := link(t, s, alice), link(t, s, bob)
	for i := range 5 {
		words := fmt.Sprintf("ping %d", i)
		if _, err := a.SendMessage(t.Context(), jidOf(bob), text(words)); err != nil {
			t.Fatal(err)
		}
		awaitEvent(b, words, func(e *events.Message) bool { return e.Message.GetConversation() == words })
		words = fmt.Sprintf("pong %d", i)
		if _, err := b.SendMessage(t.Context(), jidOf(alice), text(words)); err != nil {
			t.Fatal(err)
		}
		awaitEvent(a, words, func(e *events.Message) bool { return e.Message.GetConversation() == words })
	}
}

func TestManyCompanionsAtOnce(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	const count = 20
	var clients []*client
	for i := range count {
		clients = append(clients, link(t, s, fmt.Sprintf("4930%07d", i)))
	}
	done := make(chan error, count)
	for i, c := range clients {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var err error
			for round := 0; round < 5 && err == nil; round++ {
				_, err = c.SendMessage(ctx, jidOf(bob), text(fmt.Sprintf("%d from %d", round, i)))
			}
			done <- err
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	list := awaitMessages(t, s, bob, "all of them", func(list []message) bool { return len(list) == 5*count })
	for _, m := range list {
		if m.Deliveries != 1 {
			t.Errorf("%q came %d times", m.Text, m.Deliveries)
		}
	}
}

func TestPreKeysAreAskedForBeforeTheyRunOut(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	left := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.companions[address{alice, 1}].preKeys)
	}
	uploaded := left()
	for i := range uploaded - minPreKeys + 1 {
		if _, err := s.phone(fmt.Sprintf("4930%07d", i)).write(t.Context(), alice, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the companion uploads more", func() bool { return left() >= uploaded })
	last := fmt.Sprint(uploaded - minPreKeys)
	awaitEvent(c, "the last message", func(e *events.Message) bool { return e.Message.GetConversation() == last })
}

func TestAnOutdatedClientLearnsTheVersion(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	version, err := whatsmeow.GetLatestVersion(t.Context(), c.routed)
	if err != nil || *version != store.GetWAVersion() {
		t.Errorf("it is %v, %v", version, err)
	}
}

func TestWhatAPhoneDoesNotShowIsReceiptedAllTheSame(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	sent, err := c.SendMessage(t.Context(), jidOf(bob), text("helo"))
	if err != nil {
		t.Fatal(err)
	}
	chat := sent.Chat
	for what, change := range map[string]*waE2E.Message{
		"a reaction": c.BuildReaction(chat, *c.Store.ID, sent.ID, "!"),
		"an edit":    c.BuildEdit(chat, sent.ID, text("hello")),
	} {
		done, err := c.SendMessage(t.Context(), chat, change)
		if err != nil {
			t.Fatal(err)
		}
		awaitEvent(c, what, func(e *events.Receipt) bool { return slices.Contains(e.MessageIDs, done.ID) })
	}
	awaitMessages(t, s, bob, "the edit", func(list []message) bool { return len(list) == 1 && list[0].Edited && list[0].Text == "hello" })
	if _, err = c.SendMessage(t.Context(), chat, c.BuildRevoke(chat, types.EmptyJID, sent.ID)); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the deletion", func(list []message) bool { return len(list) == 1 && list[0].Deleted && list[0].Text == "" })
}
