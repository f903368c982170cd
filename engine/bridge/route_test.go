package bridge

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With an address, nothing else can be reached, whatever is asked for and whatever the environment says.
func TestAddressIsTheOnlyOneThatCanBeReached(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	var hosts []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.Host)
	}))
	defer server.Close()
	client, err := newHTTPClient(Options{WhatsAppAddress: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"https://web.whatsapp.com/", "http://example.com/", "https://192.0.2.1:8443/"} {
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if strings.Join(hosts, " ") != "web.whatsapp.com example.com 192.0.2.1:8443" {
		t.Errorf("the server was asked for %v", hosts)
	}
}

func TestRoutesThatMakeNoSense(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]Options{
		"no port":           {WhatsAppAddress: "localhost"},
		"address and proxy": {WhatsAppAddress: "localhost:1", Proxy: "http://localhost:2"},
		"proxy":             {Proxy: "localhost"},
		"no file":           {CAFile: "/nonexistent"},
		"no certificate":    {CAFile: empty},
	} {
		if _, err := newHTTPClient(options); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := setRootKey("abcd"); err == nil {
		t.Error("a root key of two bytes: taken")
	}
}

// A proxy carries the connection as a tunnel: it is asked to CONNECT.
func TestProxyIsUsed(t *testing.T) {
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	client, err := newHTTPClient(Options{Proxy: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get("https://web.whatsapp.com/"); err == nil {
		t.Error("the proxy refused, and yet")
	}
	if got := <-asked; got != "CONNECT web.whatsapp.com:443" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// What whatsmeow reads whole is bounded, and a file that is read as it comes is not.
func TestAnswersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, rand.NewChaCha8([32]byte{}), largestAnswer+1)
	}))
	defer server.Close()
	client, err := newHTTPClient(Options{WhatsAppAddress: server.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context) (int64, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mmg.whatsapp.net/x&mms-type=md-app-state", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return io.Copy(io.Discard, response.Body)
	}
	var large *http.MaxBytesError
	if read, err := get(t.Context()); !errors.As(err, &large) || read != largestAnswer {
		t.Errorf("settings: %d bytes, %v", read, err)
	}
	if read, err := get(context.WithValue(t.Context(), asItComes{}, true)); err != nil || read != largestAnswer+1 {
		t.Errorf("a file: %d bytes, %v", read, err)
	}
}
