package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/types/events"
)

func TestThePhonesAreDrivenByHTTP(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	api := PhonesClient{"http://" + s.PhonesAddress()}
	do := func(method, path string, in, out any) {
		t.Helper()
		if err := api.Do(t.Context(), method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, s.WhatsAppAddress(), newClientDevice())
	var linked struct{ Number string }
	do("POST", "/phones/"+alice+"/scan", map[string]string{"qr": c.showCode()}, &linked)
	if linked.Number != alice {
		t.Errorf("linked: %+v", linked)
	}
	awaitEvent[*events.Connected](c, "after pairing", nil)

	var made struct{ ID string }
	do("POST", "/groups", map[string]any{"name": "Choir", "owner": bob, "participants": []string{alice}}, &made)
	if !strings.HasSuffix(made.ID, "@g.us") {
		t.Errorf("the group is %q", made.ID)
	}
	var written struct{ ID string }
	for _, to := range []string{alice, made.ID, strings.TrimSuffix(made.ID, "@g.us")} {
		do("POST", "/phones/"+bob+"/messages", map[string]string{"to": to, "text": "to " + to}, &written)
		awaitEvent(c, to, func(e *events.Message) bool { return e.Info.ID == written.ID && e.Message.GetConversation() != "" })
	}
	if _, err := c.SendMessage(t.Context(), jidOf(bob), text("an answer")); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, s, bob, "the answer", func(list []message) bool { return len(list) == 4 })
	var list []map[string]any
	do("GET", "/phones/"+bob+"/messages", nil, &list)
	last := list[3]
	if last["from"] != alice || last["to"] != bob || last["text"] != "an answer" || last["media"] != nil || last["deliveries"] != 1.0 {
		t.Errorf("the answer is %v", last)
	}

	do("PATCH", "/phones/"+bob, map[string]any{"receipts": "none", "registered": false}, nil)
	var phones []struct {
		Number, Receipts string
		Registered       bool
		Companions       []struct{ Online bool }
	}
	do("GET", "/phones", nil, &phones)
	if len(phones) != 2 || phones[0].Number != alice || !phones[0].Companions[0].Online || phones[1].Receipts != "none" || phones[1].Registered {
		t.Errorf("the phones are %+v", phones)
	}
	if on, err := c.IsOnWhatsApp(t.Context(), []string{"+" + bob, "+" + charlie}); err != nil || len(on) != 2 || on[0].IsIn || !on[1].IsIn {
		t.Errorf("on WhatsApp are %+v, %v", on, err)
	}

	do("POST", "/faults", map[string]any{"kind": "reject", "phone": charlie, "code": 475}, nil)
	if _, err := c.SendMessage(t.Context(), jidOf(charlie), text("refused")); err == nil || !strings.Contains(err.Error(), "475") {
		t.Errorf("it is %v", err)
	}
	do("DELETE", "/faults", nil, nil)
	var stats map[string]int
	do("GET", "/stats", nil, &stats)
	if stats["companions"] != 1 || stats["connected"] != 1 || stats["groups"] != 1 || stats["rejected"] != 1 || stats["undecryptable"] != 0 {
		t.Errorf("the figures are %v", stats)
	}
	do("DELETE", "/phones/"+alice+"/companions/1", nil, nil)
	awaitEvent[*events.LoggedOut](c, "unlinked", nil)
}

func TestBadRequestsAreRefusedWithAReason(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	if _, err := s.createGroup("Two", alice, []string{bob}); err != nil {
		t.Fatal(err)
	}
	if err := s.phone(charlie).change(func(p *phoneSettings) { p.Registered = false }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/phones/12/scan", `{"qr": "x"}`, 400},
		{"POST", "/phones/0123456789/scan", `{"qr": "x"}`, 400},
		{"POST", "/phones/" + alice + "/scan", `{"qr": ""}`, 400},
		{"POST", "/phones/" + alice + "/scan", `nonsense`, 400},
		{"POST", "/phones/" + alice + "/scan", `{"qr": 7}`, 400},
		{"POST", "/phones/" + alice + "/scan", `{"qr": "2@STALE,` + strings.Repeat(strings.Repeat("A", 43)+"=,", 3) + `1"}`, 409},
		{"POST", "/phones/" + alice + "/paircode", `{"code": "AB"}`, 400},
		{"POST", "/phones/" + alice + "/paircode", `{"code": "ABCD-1234"}`, 409},
		{"PATCH", "/phones/" + alice, `{"receipts": "sometimes"}`, 400},
		{"PATCH", "/phones/" + alice, `{"name": ""}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + alice + `", "text": "me"}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "nobody", "text": "x"}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "120363000000000000@g.us", "text": "x"}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + bob + `", "text": ""}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + charlie + `", "text": "x"}`, 409},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + bob + `", "raw": "AA==", "id": ""}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + bob + `", "raw": "no base64"}`, 400},
		{"POST", "/phones/" + alice + "/messages", `{"to": "` + bob + `", "text": "x", "id": "A"}`, 400},
		{"POST", "/phones/" + alice + "/receipts", `{"to": "` + bob + `", "ids": []}`, 400},
		{"POST", "/phones/" + alice + "/receipts", `{"to": "` + bob + `", "ids": ["A"], "group": "1@g.us"}`, 404},
		{"POST", "/phones/" + charlie + "/messages", `{"to": "` + bob + `", "text": "x"}`, 409},
		{"POST", "/phones/" + alice + "/typing", `{"to": "1"}`, 400},
		{"POST", "/phones/" + alice + "/contacts", `{"number": "1", "name": "x"}`, 400},
		{"DELETE", "/phones/" + alice + "/companions/9", ``, 404},
		{"GET", "/phones/" + alice + "/messages/none/media", ``, 404},
		{"POST", "/groups", `{"name": "", "owner": "` + alice + `"}`, 400},
		{"POST", "/groups", `{"name": "x", "owner": "1"}`, 400},
		{"PATCH", "/groups/nothing", `{}`, 404},
		{"POST", "/faults", `{"kind": "earthquake"}`, 400},
		{"POST", "/qr/decode", `no picture`, 400},
		{"GET", "/nowhere", ``, 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.PhonesAddress()+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s: %d", c.method, c.path, c.body, response.StatusCode)
		}
	}
}

func TestTheNumbersThatExist(t *testing.T) {
	for number, valid := range map[string]bool{
		"1234567": true, "123456789012345": true, "123456": false, "1234567890123456": false, "0123456789": false, "12345x7": false, "": false,
	} {
		if validNumber(number) != valid {
			t.Errorf("%q", number)
		}
	}
	seen := map[string]string{}
	for i := range 2000 {
		number := fmt.Sprint(1_234_567 + i*i*i*7919)
		lid := address{number, 3}.lid()
		if who, ok := addressOf(lid); !ok || who != (address{number, 3}) {
			t.Fatalf("%s became %s became %v", number, lid, who)
		}
		if len(lid.User) != 16 || seen[lid.User] != "" {
			t.Fatalf("%s and %s are both %s", number, seen[lid.User], lid.User)
		}
		seen[lid.User] = number
	}
}

func TestThePageIsServed(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	for path, kind := range map[string]string{"/": "text/html", "/page/page.css": "text/css", "/page/page.js": "text/javascript"} {
		response, err := http.Get("http://" + s.PhonesAddress() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d, %s", path, response.StatusCode, response.Header.Get("Content-Type"))
		}
	}
}
