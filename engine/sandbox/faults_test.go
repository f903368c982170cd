package sandbox

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types/events"
)

// strike injects a fault that must be accepted.
func strike(t *testing.T, s *Server, f fault) {
	t.Helper()
	if err := s.inject(f); err != nil {
		t.Fatal(err)
	}
}

func TestARejectedMessageReachesNobody(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	strike(t, s, fault{Kind: faultReject, Phone: bob})
	if _, err := c.SendMessage(t.Context(), jidOf(charlie), text("to Charlie")); err != nil {
		t.Errorf("another recipient: %v", err)
	}
	_, err := c.SendMessage(t.Context(), jidOf(bob), text("refused"))
	if !errors.Is(err, whatsmeow.ErrServerReturnedError) || !strings.Contains(err.Error(), "463") {
		t.Errorf("it is %v", err)
	}
	if _, err = c.SendMessage(t.Context(), jidOf(bob), text("accepted")); err != nil {
		t.Errorf("the next: %v", err)
	}
	awaitMessages(t, s, bob, "the second alone", showing("accepted"))
}

func TestALostAcknowledgementLeavesTheOutcomeUnknown(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	strike(t, s, fault{Kind: faultNoAck, Phone: alice})
	again := whatsmeow.SendRequestExtra{ID: c.GenerateMessageID(), Timeout: 300 * time.Millisecond}
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("once"), again); !errors.Is(err, whatsmeow.ErrMessageTimedOut) {
		t.Errorf("it is %v", err)
	}
	awaitEvent(c, "the receipt settles it", func(e *events.Receipt) bool { return e.MessageIDs[0] == again.ID })
	again.Timeout = patience
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("once"), again); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "shown once, arrived twice", func(list []message) bool {
		return showing("once")(list) && list[0].Deliveries == 2
	})
}

func TestASlowAcknowledgementComes(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	const delay = 400
	strike(t, s, fault{Kind: faultSlowAck, Phone: alice, Milliseconds: delay})
	start := time.Now()
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("patience")); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < delay*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestARefusedLoginSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		told func(*client)
	}{
		{401, func(c *client) {
			awaitEvent(c, "401", func(e *events.LoggedOut) bool { return e.OnConnect && e.Reason == events.ConnectFailureLoggedOut })
		}},
		{403, func(c *client) {
			awaitEvent(c, "403", func(e *events.LoggedOut) bool { return e.Reason == events.ConnectFailureMainDeviceGone })
		}},
		{406, func(c *client) {
			awaitEvent(c, "406", func(e *events.LoggedOut) bool { return e.Reason == events.ConnectFailureUnknownLogout })
		}},
		{402, func(c *client) {
			awaitEvent(c, "402", func(e *events.TemporaryBan) bool {
				return e.Code == events.TempBanSentToTooManyPeople && e.Expire == time.Minute
			})
		}},
		{405, func(c *client) { awaitEvent[*events.ClientOutdated](c, "405", nil) }},
		{409, func(c *client) { awaitEvent(c, "409", func(e *events.ConnectFailure) bool { return e.Reason == 409 }) }},
		{463, func(c *client) { awaitEvent(c, "463", func(e *events.ConnectFailure) bool { return e.Reason == 463 }) }},
		{503, func(c *client) { awaitEvent[*events.Connected](c, "503", nil) }},
		{500, func(c *client) { awaitEvent[*events.Connected](c, "500", nil) }},
	} {
		t.Run(strconv.Itoa(c.code), func(t *testing.T) {
			t.Parallel()
			s := startSandbox(t, t.TempDir())
			linked := link(t, s, alice)
			linked.forget()
			strike(t, s, fault{Kind: faultFailure, Phone: alice, Code: c.code, Milliseconds: 60_000})
			c.told(linked)
		})
	}
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	for code, told := range map[int]func(*client){
		503: func(c *client) { awaitEvent[*events.Connected](c, "503", nil) },
		500: func(c *client) { awaitEvent[*events.Connected](c, "500", nil) },
		515: func(c *client) { awaitEvent[*events.Connected](c, "515", nil) },
		409: func(c *client) { awaitEvent[*events.StreamReplaced](c, "409", nil) },
		401: func(c *client) { awaitEvent(c, "401", func(e *events.LoggedOut) bool { return !e.OnConnect }) },
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			s := startSandbox(t, t.TempDir())
			c := link(t, s, alice)
			c.forget()
			strike(t, s, fault{Kind: faultStreamError, Phone: alice, Code: code})
			told(c)
		})
	}
}

func TestACutConnectionComesBack(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	c.forget()
	strike(t, s, fault{Kind: faultDrop, Phone: alice})
	awaitEvent[*events.Disconnected](c, "the cut", nil)
	awaitEvent[*events.Connected](c, "the return", nil)

	c.forget()
	strike(t, s, fault{Kind: faultDrop, Milliseconds: 1000})
	awaitEvent[*events.Disconnected](c, "the server is away", nil)
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("nobody hears")); err == nil {
		t.Error("it was sent while the server was away")
	}
	awaitEvent[*events.Connected](c, "the server is back", nil)
}

func TestACutInTheQRPhaseEndsIt(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	shown := awaitEvent[*events.QR](c, "the codes", nil)
	strike(t, s, fault{Kind: faultDrop})
	awaitEvent[*events.Disconnected](c, "the cut", nil)
	if _, err := s.scan(t.Context(), s.phone(alice), shown.Codes[0]); err == nil {
		t.Error("a code of the lost connection was scanned")
	}
}

func TestADamagedLinkIsRefusedByTheCompanion(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	strike(t, s, fault{Kind: faultGarble, Phone: alice})
	_, err := s.scan(t.Context(), s.phone(alice), c.showCode())
	if err == nil || !strings.Contains(err.Error(), "hmac-mismatch") {
		t.Errorf("it is %v", err)
	}
	awaitEvent[*events.PairError](c, "the companion's side", nil)
	if len(s.devicesOf(alice)) != 1 {
		t.Error("it is linked")
	}
}

func TestDamagedMessagesHealByRetryReceipts(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("whole")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the first", showing("whole"))
	strike(t, s, fault{Kind: faultGarble, Phone: bob})
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("damaged on its way to the phone")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the phone asks again", showing("whole", "damaged on its way to the phone"))
	if s.stats.undecryptable.Load() == 0 {
		t.Error("the damage was not noticed")
	}

	strike(t, s, fault{Kind: faultGarble, Phone: alice})
	id, err := s.phone(bob).write(t.Context(), alice, "damaged on its way to the companion")
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "it cannot be read", func(e *events.UndecryptableMessage) bool { return e.Info.ID == id })
	awaitEvent(c, "the second try", func(e *events.Message) bool { return e.Info.ID == id && e.RetryCount > 0 })
	awaitEvent(c, "the copy of the own phone", func(e *events.Message) bool { return e.Info.ID == id && e.UnavailableRequestID != "" })

	g, err := s.createGroup("Choir", bob, []string{alice})
	if err != nil {
		t.Fatal(err)
	}
	strike(t, s, fault{Kind: faultGarble, Phone: alice})
	id, err = s.phone(bob).write(t.Context(), g.ID, "damaged in a group")
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the group's second try", func(e *events.Message) bool {
		return e.Info.ID == id && e.Message.GetConversation() == "damaged in a group" && e.RetryCount > 0
	})
	strike(t, s, fault{Kind: faultGarble, Phone: bob})
	if _, err = c.SendMessage(t.Context(), g.jid(), text("damaged on its way to a member")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the member asks again", func(list []message) bool {
		return list[len(list)-1].Text == "damaged on its way to a member"
	})
}

func TestDamageBetweenTwoCompanionsHeals(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	a, b := link(t, s, alice), link(t, s, bob)
	if _, err := a.SendMessage(t.Context(), jidOf(bob), text("first")); err != nil {
		t.Fatal(err)
	}
	awaitEvent(b, "the first", func(e *events.Message) bool { return e.Message.GetConversation() == "first" })
	strike(t, s, fault{Kind: faultGarble, Phone: bob, Count: 2}) // Bob's phone and his companion
	sent, err := a.SendMessage(t.Context(), jidOf(bob), text("second"))
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(b, "the second, once more", func(e *events.Message) bool { return e.Info.ID == sent.ID && e.RetryCount > 0 })
	awaitMessages(t, s, bob, "on the phone too", showing("first", "second"))
}

func TestLateReceiptsAndRepeatedMessages(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	const delay = 400
	strike(t, s, fault{Kind: faultLateReceipts, Phone: bob, Milliseconds: delay})
	start := time.Now()
	sent, err := c.SendMessage(t.Context(), jidOf(bob), text("how are you?"))
	if err != nil {
		t.Fatal(err)
	}
	awaitEvent(c, "the late receipt", func(e *events.Receipt) bool { return e.MessageIDs[0] == sent.ID })
	if took := time.Since(start); took < delay*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	strike(t, s, fault{Kind: faultRepeat, Phone: bob})
	if _, err = c.SendMessage(t.Context(), jidOf(bob), text("twice")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the repeated one", func(list []message) bool {
		return len(list) == 2 && list[1].Text == "twice"
	})
}

func TestUnansweredPings(t *testing.T) {
	t.Parallel()
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	strike(t, s, fault{Kind: faultNoPong, Phone: alice})
	awaitEvent[*events.KeepAliveTimeout](c, "no answer", nil)
	awaitEvent[*events.KeepAliveRestored](c, "an answer", nil)
}

func TestFaultsEnd(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	c := link(t, s, alice)
	strike(t, s, fault{Kind: faultReject, Count: 100})
	s.faults.clear()
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("free")); err != nil {
		t.Error(err)
	}
	for _, bad := range []fault{{Kind: "flood"}, {Kind: faultReject, Phone: "12"}, {Kind: faultDrop, Milliseconds: -1}} {
		if s.inject(bad) == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
