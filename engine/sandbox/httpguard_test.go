package sandbox

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	_, port, _ := strings.Cut(s.PhonesAddress(), ":")
	for _, c := range []struct {
		method, path, host, origin, kind string
		status                           int
	}{
		{"GET", "/phones", "localhost:" + port, "", "", 200},
		{"GET", "/phones", "LOCALHOST:" + port, "http://localhost:" + port, "", 200},
		{"GET", "/phones", "[::1]:" + port, "", "", 200},
		{"GET", "/phones", "127.0.0.1", "http://127.0.0.1", "", 200},
		{"GET", "/phones", "rebound.example:" + port, "", "", 421},
		{"GET", "/phones", "localhost.rebound.example", "", "", 421},
		{"GET", "/phones", "127.0.0.1.rebound.example:" + port, "http://127.0.0.1.rebound.example:" + port, "", 421},
		{"GET", "/events", "rebound.example", "", "", 421},
		{"GET", "/", "rebound.example", "", "", 421},
		{"GET", "/phones", "192.0.2.1:" + port, "", "", 421},
		{"GET", "/phones", "localhost:" + port, "https://evil.example", "", 403},
		{"GET", "/phones", "localhost:" + port, "http://localhost:8000", "", 403},
		{"GET", "/phones", "localhost:" + port, "null", "", 403},
		{"POST", "/qr/decode", "localhost:" + port, "null", "image/png", 403},
		{"DELETE", "/faults", "localhost:" + port, "https://evil.example", "", 403},
		{"DELETE", "/faults", "localhost:" + port, "", "", 200},
		{"POST", "/faults", "localhost:" + port, "", "text/plain", 415},
		{"POST", "/faults", "localhost:" + port, "", "application/x-www-form-urlencoded", 415},
		{"POST", "/faults", "localhost:" + port, "", "multipart/form-data; boundary=x", 415},
		{"POST", "/faults", "localhost:" + port, "", "", 415},
		{"PATCH", "/phones/" + alice, "localhost:" + port, "", "text/plain", 415},
		{"POST", "/faults", "localhost:" + port, "http://localhost:" + port, "application/json; charset=utf-8", 200},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.PhonesAddress()+c.path, strings.NewReader(`{"kind": "drop"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		for name, value := range map[string]string{"Origin": c.origin, "Content-Type": c.kind} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%+v: %d %s", c, response.StatusCode, answer)
		}
	}
}

func TestWhichHostsAreOurs(t *testing.T) {
	for _, c := range []struct {
		given, bound string
		own          bool
	}{
		{"192.0.2.1:8001", "0.0.0.0", true}, {"192.0.2.1:8001", "::", true}, {"[2001:db8::1]:8001", "", true},
		{"rebound.example:8001", "0.0.0.0", false}, {"rebound.example", "", false},
		{"192.0.2.1:8001", "192.0.2.1", true}, {"192.0.2.2:8001", "192.0.2.1", false},
		{"sandbox.internal:8001", "Sandbox.internal", true}, {"other.internal", "sandbox.internal", false},
		{"", "127.0.0.1", false}, {"", "", false}, {"[::ffff:127.0.0.1]", "127.0.0.1", true},
	} {
		if ownHost(c.given, c.bound) != c.own {
			t.Errorf("%q on %q", c.given, c.bound)
		}
	}
}
