package sandbox

import (
	"errors"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

func TestLinksSurviveARestart(t *testing.T) {
	directory := t.TempDir()
	s := startSandbox(t, directory)
	c := link(t, s, alice)
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("before")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the first", showing("before"))
	id, err := s.phone(bob).write(t.Context(), alice, "an answer, so that the session is settled")
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the answer", func(e *events.Message) bool { return e.Info.ID == id })
	g, err := s.createGroup("Choir", bob, []string{alice})
	if err != nil {
		t.Fatal(err)
	}
	if err = s.phone(charlie).change(func(p *phoneSettings) { p.Registered = false }); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	s.Close()

	s = startSandbox(t, directory)
	again := newClient(t, s.WhatsAppAddress(), c.Store)
	if err = again.Connect(); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.Connected](again, "the login after the restart", nil)
	if _, err = again.SendMessage(t.Context(), jidOf(bob), text("after")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the message in a session that the phone has lost", showing("after"))
	id, err = s.phone(bob).write(t.Context(), alice, "and back")
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(again, "the answer in a new session", func(e *events.Message) bool { return e.Info.ID == id })
	if _, err = again.SendMessage(t.Context(), g.jid(), text("to the choir")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the group's message", func(list []message) bool { return list[len(list)-1].Text == "to the choir" })
	if _, err = again.SendMessage(t.Context(), jidOf(charlie), text("are you there?")); err == nil || !strings.Contains(err.Error(), "no LID found") {
		t.Errorf("a message to nobody: %v", err)
	}
}

func TestACompanionLogsOut(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	if err := link(t, s, alice).Logout(t.Context()); !errors.Is(err, errKept) {
		t.Fatal(err)
	}
	if devices := s.devicesOf(alice); len(devices) != 1 {
		t.Errorf("after the logout: %v", devices)
	}
	if again := link(t, s, alice); again.Store.ID.Device != 2 {
		t.Errorf("the next companion is device %d", again.Store.ID.Device)
	}
}

func TestAPhoneUnlinksACompanion(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	if !s.unlink(address{alice, 1}, true) {
		t.Fatal("there was nothing to unlink")
	}
	if gone := awaitEvent[*events.LoggedOut](c, "the companion is told", nil); gone.OnConnect {
		t.Error("it was told at login")
	}
}

func TestARefusedLinkSaysWhy(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	refused := func() string {
		c := newClient(t, s.WhatsAppAddress(), newClientDevice())
		c.PrePairCallback = func(types.JID, string, string) bool { return false }
		_, err := s.scan(t.Context(), s.phone(alice), c.showCode())
		if err == nil {
			t.Fatal("it was linked")
		}
		return err.Error()
	}
	if why := refused(); !strings.Contains(why, "/api/whatsapp/status") || strings.Contains(why, "already") {
		t.Error(why)
	}
	link(t, s, alice)
	if why := refused(); !strings.Contains(why, "linked already") {
		t.Error(why)
	}
}

func TestAForeignKeyDoesNotLogIn(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	thief := newClientDevice()
	thief.ID, thief.LID, thief.Account = c.Store.ID, c.Store.LID, c.Store.Account
	stranger := newClient(t, s.WhatsAppAddress(), thief)
	if err := stranger.Connect(); err != nil {
		t.Fatal(err)
	}
	refused := awaitEvent[*events.LoggedOut](stranger, "the refusal", nil)
	if !refused.OnConnect || refused.Reason != events.ConnectFailureLoggedOut {
		t.Errorf("it is %+v", refused)
	}
}

func TestASecondLoginReplacesTheFirst(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	twin := newClient(t, s.WhatsAppAddress(), c.Store)
	if err := twin.Connect(); err != nil {
		t.Fatal(err)
	}
	awaitEvent[*events.StreamReplaced](c, "the first is told", nil)
	awaitEvent[*events.Connected](twin, "the second is in", nil)
}
