package bridge_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// phoneMessage is a message as a simulated phone shows it.
type phoneMessage struct {
	ID, From, To, Text, Receipt string
	Media                       *struct {
		Mimetype, SHA256 string
		Size             int
	}
	Deliveries int
}

func awaitOnPhone(t testing.TB, number, id string) phoneMessage {
	t.Helper()
	var found phoneMessage
	eventually(t, "message "+id+" on phone "+number, func() bool {
		for _, message := range onPhone(t, number) {
			if message.ID == id {
				found = message
				return true
			}
		}
		return false
	})
	return found
}

func onPhone(t testing.TB, number string) []phoneMessage {
	t.Helper()
	var messages []phoneMessage
	phones(t, http.MethodGet, "/phones/"+number+"/messages", nil, &messages)
	return messages
}

func scan(t testing.TB, number, code string) {
	t.Helper()
	phones(t, http.MethodPost, "/phones/"+number+"/scan", map[string]any{"qr": code}, nil)
}

// write lets a phone send a text.
func write(t testing.TB, from, to, text string) {
	t.Helper()
	phones(t, http.MethodPost, "/phones/"+from+"/messages", map[string]any{"to": to, "text": text}, nil)
}

// fault makes the sandbox misbehave towards one number.
func fault(t testing.TB, number, kind string, further map[string]any) {
	t.Helper()
	body := map[string]any{"phone": number, "kind": kind}
	for key, value := range further {
		body[key] = value
	}
	phones(t, http.MethodPost, "/faults", body, nil)
}

// queued is how much WhatsApp holds for the device that is linked to a phone, since it is not acknowledged.
func queued(t testing.TB, number string) int {
	t.Helper()
	var list []struct {
		Number     string
		Companions []struct{ Queued int }
	}
	phones(t, http.MethodGet, "/phones", nil, &list)
	for _, phone := range list {
		if phone.Number == number {
			return phone.Companions[0].Queued
		}
	}
	t.Fatalf("no phone has the number %s", number)
	return 0
}

func phones(t testing.TB, method, path string, body, into any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+world.sandbox.PhonesAddress()+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}
