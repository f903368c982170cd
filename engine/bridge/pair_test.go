package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

type pairStream = grpc.BidiStreamingClient[enginepb.PairRequest, enginepb.PairEvent]

// startPair begins a pairing under epoch 1 and returns it with its codes.
func (n *node) startPair(account, phone string) (pairStream, []*enginepb.PairEvent_Codes_Code) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	n.t.Cleanup(cancel)
	stream, err := n.Pair(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := stream.Send(startPairing(account, 1, phone)); err != nil {
		n.t.Fatal(err)
	}
	return stream, next(n.t, stream).GetCodes().GetCodes()
}

func next(t testing.TB, stream pairStream) *enginepb.PairEvent {
	t.Helper()
	event, err := stream.Recv()
	if err != nil {
		t.Fatal("pairing: ", err)
	}
	return event
}

// tryScan lets a phone scan a code, and ignores that the link may fail.
func tryScan(t *testing.T, number, code string) {
	request, err := http.NewRequest(http.MethodPost, "http://"+world.sandbox.PhonesAddress()+"/phones/"+number+"/scan",
		strings.NewReader(`{"qr": "`+code+`"}`))
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

func TestCodesComeAtOnceWithTheirTimes(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	stream, list := n.startPair(newAccountID(), "")
	if len(list) != 6 {
		t.Fatalf("%d codes", len(list))
	}
	for i, code := range list {
		want := 20 * time.Second
		if i == 0 {
			want = time.Minute
		}
		got := time.Duration(code.ValidForMs) * time.Millisecond
		if got > want || got < want-5*time.Second || code.Text == "" {
			t.Errorf("code %d is valid for %v", i, got)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

func TestPairingThatIsNotConfirmedSavesNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	number, account := newNumber(), newAccountID()
	stream, list := n.startPair(account, "")
	go tryScan(t, number, list[1].Text)
	question := next(t, stream).GetConfirm()
	if !strings.HasPrefix(question.GetJid(), number+":") {
		t.Fatalf("question: %v", question)
	}
	if err := stream.Send(confirmPairing(false)); err != nil {
		t.Fatal(err)
	}
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_REFUSED {
		t.Errorf("outcome: %v", failure)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the outcome: %v", err)
	}
	if n.deviceStored(question.Jid) {
		t.Error("the device was saved")
	}
}

func TestPairingThatFailsItsVerification(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	number := newNumber()
	stream, list := n.startPair(newAccountID(), "")
	fault(t, number, "garble", map[string]any{"count": 1})
	go tryScan(t, number, list[0].Text)
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_PROTOCOL {
		t.Errorf("outcome: %v", failure)
	}
}

func TestServerEndsThePairing(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	stream, _ := n.startPair(newAccountID(), "")
	server.close()
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_TIMEOUT {
		t.Errorf("outcome: %v", failure)
	}
}

func TestPairingWithoutAServer(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	server.close()
	n := startNode(t, overAddress(server.address()))
	stream, err := n.Pair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(startPairing(newAccountID(), 1, "")); err != nil {
		t.Fatal(err)
	}
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_DISCONNECTED {
		t.Errorf("outcome: %v", failure)
	}
}

// The first login after a pairing may fail: the pairing begins it once more.
func TestFirstLoginIsTriedAgain(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	number := newNumber()
	fault(t, number, "failure", map[string]any{"code": 503, "count": 1})
	alice := n.pair(number)
	n.mustSend(alice, newNumber(), "linked all the same")
}

// After a pairing the server falls silent where the first login should be: the engine tries once more, and gives up a
// pairing that gets nowhere. Not in parallel: it is in a hurry.
func TestFirstLoginThatIsNotAnswered(t *testing.T) {
	bridge.Hurry(t, time.Hour, 6*time.Second)
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	alice := linked{id: newAccountID(), number: newNumber()}
	pair := func(silent int) *enginepb.PairEvent {
		t.Helper()
		stream, list := n.startPair(alice.id, "")
		go tryScan(t, alice.number, list[0].Text)
		alice.jid = next(t, stream).GetConfirm().GetJid()
		server.silenceNext(silent)
		if err := stream.Send(confirmPairing(true)); err != nil {
			t.Fatal(err)
		}
		return next(t, stream)
	}
	if failure := pair(2).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_DISCONNECTED || failure.Detail != "no login in time" {
		t.Errorf("a pairing without a login: %v", failure)
	}
	n.mustLogOut(alice)
	if success := pair(1).GetSuccess(); success == nil {
		t.Fatal("the first login was not tried again")
	}
	n.mustSend(alice, newNumber(), "linked all the same")
}

// If WhatsApp refuses the new device at its first login, the phone may list it all the same.
func TestFirstLoginIsRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice := linked{id: newAccountID(), number: newNumber()}
	stream, list := n.startPair(alice.id, "")
	fault(t, alice.number, "failure", map[string]any{"code": 409, "count": 1})
	go tryScan(t, alice.number, list[0].Text)
	alice.jid = next(t, stream).GetConfirm().GetJid()
	if err := stream.Send(confirmPairing(true)); err != nil {
		t.Fatal(err)
	}
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_PROTOCOL {
		t.Errorf("outcome: %v", failure)
	}
	n.mustLogOut(alice)
}

// Whatever ends a pairing between the phone's "linked" and the first login: the device can still be logged out.
func TestPairingThatEndsBeforeItsFirstLogin(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	for name, end := range map[string]func(n *node, cancel func()) *node{
		"by the caller": func(n *node, cancel func()) *node {
			cancel()
			return n
		},
		"by the logout": func(n *node, _ func()) *node { return n },
		"by the end of the engine": func(n *node, _ func()) *node {
			n.stop()
			return startNode(t)
		},
	} {
		n := startNode(t, overAddress(server.address()))
		alice := linked{id: newAccountID(), number: newNumber()}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		stream, err := n.Pair(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(startPairing(alice.id, 1, "")); err != nil {
			t.Fatal(err)
		}
		go tryScan(t, alice.number, next(t, stream).GetCodes().GetCodes()[0].Text)
		alice.jid = next(t, stream).GetConfirm().GetJid()
		server.silenceNext(1)
		if err := stream.Send(confirmPairing(true)); err != nil {
			t.Fatal(err)
		}
		// Else that login, when it comes, replaces the connection of the logout.
		eventually(t, name+": WhatsApp has its login", func() bool { return online(t, alice.number) })
		n = end(n, cancel)
		n.mustLogOut(alice)
		response, err := n.Logout(t.Context(), &enginepb.LogoutRequest{Account: alice.id, Jid: alice.jid, Epoch: 1})
		if err != nil || !response.NoDevice {
			t.Errorf("%s: logged out again: %v, %v", name, response, err)
		}
	}
}

// A device that was confirmed and never saved is none.
func TestPairingThatEndsAsItIsConfirmed(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	account, number := newAccountID(), newNumber()
	stream, list := n.startPair(account, "")
	go tryScan(t, number, list[0].Text)
	jid := next(t, stream).GetConfirm().GetJid()
	response, err := n.Logout(t.Context(), &enginepb.LogoutRequest{Account: account, Jid: jid, Epoch: 1})
	if err != nil || !response.NoDevice {
		t.Errorf("logout: %v, %v", response, err)
	}
	if failure := next(t, stream).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_DISCONNECTED {
		t.Errorf("outcome: %v", failure)
	}
	if n.deviceStored(jid) || companions(t, number) != 0 {
		t.Error("the device was saved")
	}
}

// The device is saved, and the connection breaks before WhatsApp has confirmed that it heard so: whatever WhatsApp knows, the
// keys stay until the device is logged out. Not in parallel: it holds up whoever saves keys.
func TestPairingThatCannotBeConfirmed(t *testing.T) {
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	alice := linked{id: newAccountID(), number: newNumber()}
	stream, list := n.startPair(alice.id, "")
	go tryScan(t, alice.number, list[0].Text)
	alice.jid = next(t, stream).GetConfirm().GetJid()
	held, err := world.admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Rollback() }()
	if _, err := held.Exec("LOCK TABLE whatsmeow.whatsmeow_identity_keys"); err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(confirmPairing(true)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device is saved, and the phone's key is being", func() (waits bool) {
		if err := world.admin.QueryRow(`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock' AND query LIKE '%whatsmeow_identity_keys%')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	server.close()
	if failure := next(t, stream).GetFailure(); failure == nil {
		t.Error("it was linked")
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "whatsmeow gives up", func() bool { return strings.Contains(n.logs.String(), "Failed to pair device") })
	if !n.deviceStored(alice.jid) {
		t.Error("the keys are forgotten")
	}
	server.open()
	n.mustLogOut(alice)
}

// mustLogOut logs a device out, after which nothing of it is left: neither here nor on the phone.
func (n *node) mustLogOut(l linked) {
	n.t.Helper()
	response, err := n.Logout(n.t.Context(), &enginepb.LogoutRequest{Account: l.id, Jid: l.jid, Epoch: 1})
	if err != nil || !response.ToldWhatsapp {
		n.t.Errorf("logout: %v, %v", response, err)
	}
	if n.deviceStored(l.jid) {
		n.t.Error("its keys are still there")
	}
	eventually(n.t, "the phone has no companion", func() bool { return companions(n.t, l.number) == 0 })
}

func TestPairingByPhoneCode(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	number, account := newNumber(), newAccountID()
	stream, _ := n.startPair(account, number)
	code := next(t, stream).GetPhoneCode()
	if len(code.GetText()) != 9 || code.Text[4] != '-' || code.ValidForMs < 100_000 {
		t.Fatalf("code: %v", code)
	}
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		phones(t, http.MethodPost, "/phones/"+number+"/paircode", map[string]any{"code": code.Text}, nil)
	}()
	if next(t, stream).GetConfirm() == nil {
		t.Fatal("no question")
	}
	if err := stream.Send(confirmPairing(true)); err != nil {
		t.Fatal(err)
	}
	success := next(t, stream).GetSuccess()
	<-typed
	if !strings.HasPrefix(success.GetJid(), number+":") || !strings.HasSuffix(success.GetLid(), "@lid") {
		t.Fatalf("outcome: %v", success)
	}
	n.mustSend(linked{id: account}, newNumber(), "linked by code")
}

// A phone with a passkey is linked only by whoever can use it.
func TestPairingWithAPasskey(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	number, other, account := newNumber(), newNumber(), newAccountID()
	phones(t, http.MethodPatch, "/phones/"+number, map[string]any{"passkey": true}, nil)
	begin := func() (pairStream, json.RawMessage) {
		t.Helper()
		stream, list := n.startPair(account, "")
		go tryScan(t, number, list[0].Text)
		options := next(t, stream).GetPasskeyRequest().GetOptionsJson()
		if !json.Valid(options) {
			t.Fatalf("options: %q", options)
		}
		return stream, options
	}
	answer := func(stream pairStream, assertion []byte) *enginepb.PairEvent {
		t.Helper()
		if err := stream.Send(&enginepb.PairRequest{Request: &enginepb.PairRequest_PasskeyResponse_{
			PasskeyResponse: &enginepb.PairRequest_PasskeyResponse{AssertionJson: assertion},
		}}); err != nil {
			t.Fatal(err)
		}
		return next(t, stream)
	}
	asserted := func(number string, options json.RawMessage) (assertion json.RawMessage) {
		t.Helper()
		phones(t, http.MethodPost, "/phones/"+number+"/passkey", options, &assertion)
		return assertion
	}

	stream, options := begin()
	if failure := answer(stream, asserted(other, options)).GetFailure(); failure.GetKind() != enginepb.PairEvent_Failure_PROTOCOL {
		t.Errorf("with the passkey of another phone: %v", failure)
	}
	stream, options = begin()
	if question := answer(stream, asserted(number, options)).GetConfirm(); !strings.HasPrefix(question.GetJid(), number+":") {
		t.Fatalf("question: %v", question)
	}
	if err := stream.Send(confirmPairing(true)); err != nil {
		t.Fatal(err)
	}
	if success := next(t, stream).GetSuccess(); !strings.HasPrefix(success.GetJid(), number+":") {
		t.Fatalf("outcome: %v", success)
	}
	n.mustSend(linked{id: account}, newNumber(), "linked with a passkey")
}

func TestMalformedPairings(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	for name, request := range map[string]*enginepb.PairRequest{
		"no start":   confirmPairing(true),
		"no account": startPairing("", 1, ""),
		"phone":      startPairing(newAccountID(), 1, "+49 151"),
	} {
		stream, err := n.Pair(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Logging out of an account that is open, of one that is not, and of devices that nobody claims. Not in parallel: the
// devices of other tests are such devices.
func TestLogout(t *testing.T) {
	n := startNode(t)
	opened, closed, orphan, kept := n.pair(newNumber()), n.pair(newNumber()), n.pair(newNumber()), n.pair(newNumber())
	for _, l := range []linked{closed, orphan} {
		if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: l.id, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []linked{opened, closed} {
		n.mustLogOut(l)
	}
	known := slices.DeleteFunc(n.storedDevices(), func(jid string) bool { return jid == orphan.jid })
	response, err := n.LogoutOrphans(t.Context(), &enginepb.LogoutOrphansRequest{KnownJids: known})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(response.LoggedOut, orphan.jid) || slices.Contains(response.LoggedOut, kept.jid) {
		t.Errorf("logged out: %v", response)
	}
	eventually(t, "the phone has no companion", func() bool { return companions(t, orphan.number) == 0 })
	n.mustSend(kept, newNumber(), "still linked")
}

// A server that falls silent where the login should be is asked once more, before the keys are given up.
func TestLogoutIsToldThoughTheFirstLoginIsNotAnswered(t *testing.T) {
	t.Parallel()
	server := gateToSandbox(t)
	n := startNode(t, overAddress(server.address()))
	alice := n.pair(newNumber())
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	server.silenceNext(1)
	n.mustLogOut(alice)
}

// Nor are they given up when a login is refused for a while.
func TestLogoutIsToldThoughTheFirstLoginIsRefused(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice := n.pair(newNumber())
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	fault(t, alice.number, "failure", map[string]any{"code": 402, "count": 1})
	n.mustLogOut(alice)
}

func companions(t testing.TB, number string) int { return len(devices(t, number)) }

// online tells whether one of a phone's companions has logged in.
func online(t testing.TB, number string) bool {
	return slices.ContainsFunc(devices(t, number), func(one device) bool { return one.Online })
}

// device is a companion as a phone lists it.
type device struct{ Online bool }

func devices(t testing.TB, number string) []device {
	t.Helper()
	var list []struct {
		Number     string
		Companions []device
	}
	phones(t, http.MethodGet, "/phones", nil, &list)
	for _, phone := range list {
		if phone.Number == number {
			return phone.Companions
		}
	}
	return nil
}

func (n *node) storedDevices() (jids []string) {
	n.t.Helper()
	rows, err := world.admin.Query("SELECT jid FROM whatsmeow.whatsmeow_device")
	if err != nil {
		n.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var jid string
		if err := rows.Scan(&jid); err != nil {
			n.t.Fatal(err)
		}
		jids = append(jids, jid)
	}
	return jids
}
