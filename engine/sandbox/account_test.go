package sandbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

func TestACodeTypedOnThePhoneLinks(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	c.showCode()
	code, err := c.PairPhone(t.Context(), alice, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.typeCode(t.Context(), s.phone(bob), code); err == nil {
		t.Error("the code of another number was taken")
	}
	if _, err = s.typeCode(t.Context(), s.phone(alice), strings.ToLower(code)); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.Connected](c, "after pairing", nil)
	if c.Store.ID.User != alice {
		t.Errorf("it is linked to %s", c.Store.ID)
	}
}

func TestAWrongCodeDoesNotLink(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	c.showCode()
	if _, err := c.PairPhone(t.Context(), alice, true, whatsmeow.PairClientChrome, "Chrome (Linux)"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.typeCode(t.Context(), s.phone(alice), "1111-1111"); err == nil {
		t.Fatal("a wrong code links")
	}
	if devices := s.devicesOf(alice); len(devices) != 1 {
		t.Errorf("there are %v", devices)
	}
	code, err := c.PairPhone(t.Context(), alice, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.typeCode(t.Context(), s.phone(alice), code); err != nil {
		t.Errorf("the next code does not link: %v", err)
	}
}

func TestAppStateReachesTheCompanionAndComesBack(t *testing.T) {
	directory := t.TempDir()
	s := startSandbox(t, directory)
	c := link(t, s, alice)
	awaitEvent(c, "the first name", func(e *events.PushNameSetting) bool { return e.Action.GetName() == "Phone 0001" })
	for _, name := range appstate.AllPatchNames {
		awaitEvent(c, string(name), func(e *events.AppStateSyncComplete) bool { return e.Name == name })
	}
	if err := s.phone(alice).rename("Alice"); err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the new name", func(e *events.PushNameSetting) bool { return e.Action.GetName() == "Alice" })
	s.phone(alice).saveContact(bob, "Bob Builder")
	awaitEvent(c, "a contact", func(e *events.Contact) bool {
		return e.JID == jidOf(bob) && e.Action.GetFullName() == "Bob Builder" && e.Action.GetFirstName() == "Bob"
	})
	if err := c.SendAppState(t.Context(), appstate.BuildSettingPushName("Alice at work")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the phone takes the companion's name", func() bool { return s.settingsOf(alice).Name == "Alice at work" })
	c.Disconnect()
	s.Close()

	s = startSandbox(t, directory)
	again := newClient(t, s.WhatsAppAddress(), c.Store)
	if err := again.Connect(); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.Connected](again, "the login after the restart", nil)
	if err := s.phone(alice).rename("Alice at home"); err != nil {
		t.Fatal(err)
	}
	awaitEvent(again, "a name on top of what survived", func(e *events.PushNameSetting) bool { return e.Action.GetName() == "Alice at home" })
}

func TestANewCompanionIsToldTheHistory(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	id, err := s.phone(bob).write(t.Context(), alice, "long ago")
	if err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, alice, "the message", showing("long ago"))
	c := link(t, s, alice)
	history := awaitEvent(c, "the chats", func(e *events.HistorySync) bool { return len(e.Data.GetConversations()) > 0 })
	chat := history.Data.GetConversations()[0]
	jid, err := types.ParseJID(chat.GetID())
	if err != nil || jid.User != lidUser(bob) || len(chat.GetMessages()) != 1 {
		t.Fatalf("the history is %v", chat)
	}
	past, err := c.ParseWebMessage(jid, chat.GetMessages()[0].GetMessage())
	if err != nil || past.Info.ID != id || past.Message.GetConversation() != "long ago" {
		t.Errorf("the message is %+v, %v", past, err)
	}
	awaitEvent(c, "the names", func(e *events.HistorySync) bool { return len(e.Data.GetPushnames()) == 1 })
}

func TestTypingIsSeenOnBothSides(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	s.chatState(bob, alice, true)
	seen := awaitEvent[*events.ChatPresence](c, "Bob types", nil)
	if seen.State != types.ChatPresenceComposing || seen.Sender.User != lidUser(bob) {
		t.Errorf("it is %+v", seen)
	}
	watched, stop := s.events.watch()
	defer stop()
	if err := c.SendChatPresence(t.Context(), address{bob, 0}.lid(), types.ChatPresenceComposing, ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); ; {
		select {
		case e := <-watched:
			if e.kind == "typing" && strings.Contains(string(e.data), `"from":"`+alice) {
				return
			}
		case <-deadline:
			t.Fatal("nobody sees Alice type")
		}
	}
}

func TestMessagesOfAChatDisappear(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	if err := c.SetDisappearingTimer(t.Context(), address{bob, 0}.lid(), whatsmeow.DisappearingTimer24Hours, time.Time{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Bob's phone takes the timer", func() bool { return s.settingsOf(bob).Disappearing[alice] == 86400 })
	id, err := s.phone(bob).write(t.Context(), alice, "gone tomorrow")
	if err != nil {
		t.Fatal(err)
	}
	got := awaitEvent(c, "the message", func(e *events.Message) bool { return e.Info.ID == id })
	if got.Message.GetExtendedTextMessage().GetContextInfo().GetExpiration() != 86400 {
		t.Errorf("it is %v", got.Message)
	}
	if err = s.phone(bob).setTimer(t.Context(), alice, 0); err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the end of the timer", func(e *events.Message) bool {
		change := e.Message.GetProtocolMessage()
		return change != nil && change.GetEphemeralExpiration() == 0 && !e.Info.IsFromMe
	})
}

func TestChangesOfAGroupAreTold(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	g, err := s.createGroup("Choir", alice, []string{bob})
	if err != nil {
		t.Fatal(err)
	}
	name, words, yes := given("Orchestra"), given("We meet on Mondays"), true
	for what, change := range map[string]struct {
		change groupChange
		told   func(*events.GroupInfo) bool
	}{
		"name":     {groupChange{Name: &name}, func(e *events.GroupInfo) bool { return e.Name != nil && e.Name.Name == string(name) }},
		"topic":    {groupChange{Description: &words}, func(e *events.GroupInfo) bool { return e.Topic != nil && e.Topic.Topic == string(words) }},
		"announce": {groupChange{Announce: &yes}, func(e *events.GroupInfo) bool { return e.Announce != nil && e.Announce.IsAnnounce }},
		"join":     {groupChange{Add: []string{charlie}}, func(e *events.GroupInfo) bool { return slices.Equal(e.Join, []types.JID{address{charlie, 0}.lid()}) }},
		"promote":  {groupChange{Promote: []string{bob}}, func(e *events.GroupInfo) bool { return len(e.Promote) == 1 }},
	} {
		if _, err = s.changeGroup(g.ID, change.change); err != nil {
			t.Fatal(err)
		}
		awaitEvent(c, what, change.told)
	}
	if _, err = s.phone(charlie).write(t.Context(), g.ID, "may I?"); err == nil {
		t.Error("a member writes where only admins may")
	}
	if _, err = c.SendMessage(t.Context(), g.jid(), text("to all of you")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, charlie, "who joined hears it", showing("to all of you"))
	if _, err = c.UpdateGroupParticipants(t.Context(), g.jid(), []types.JID{address{charlie, 0}.lid()}, whatsmeow.ParticipantChangeRemove); err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "Charlie leaves", func(e *events.GroupInfo) bool { return len(e.Leave) == 1 })
	if s.group(g.ID).has(charlie) {
		t.Error("Charlie is still there")
	}
}

func TestAClientMakesAGroup(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	info, err := c.CreateGroup(t.Context(), whatsmeow.ReqCreateGroup{Name: "Made here", Participants: []types.JID{jidOf(bob)}})
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "Made here" || len(info.Participants) != 2 {
		t.Errorf("it is %+v", info)
	}
	if err = c.LeaveGroup(t.Context(), info.JID); err != nil {
		t.Fatal(err)
	}
	if s.group(info.JID.User).has(alice) {
		t.Error("Alice is still there")
	}
}
