package bridge_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"go.mau.fi/whatsmeow/store"

	"chatwren/engine/enginepb"
)

// newerServer passes all on to the sandbox, but says itself which protocol version is the current one.
func newerServer(t *testing.T, revision uint32, asked *atomic.Int32) string {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: world.sandbox.WhatsAppAddress()}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = nil
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || r.URL.Path == "" {
			asked.Add(1)
			_, _ = fmt.Fprintf(w, `<script>{"client_revision":%d,}</script>`, revision)
			return
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			tunnel(t, w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func tunnel(t *testing.T, w http.ResponseWriter, r *http.Request) {
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer near.Close()
	far, err := net.Dial("tcp", world.sandbox.WhatsAppAddress())
	if err != nil {
		t.Error(err)
		return
	}
	defer far.Close()
	if err := r.Write(far); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = bufio.NewReader(way[1]).WriteTo(way[0])
			done <- struct{}{}
		}()
	}
	<-done
}

// Not in parallel: the version is the process's. A server that calls it outdated is asked for the current one.
func TestOutdatedVersionIsRefreshed(t *testing.T) {
	before := store.GetWAVersion()
	newer := before
	newer[2]++
	var asked atomic.Int32
	server := newerServer(t, newer[2], &asked)
	first := startNode(t)
	alice := first.pair(newNumber())
	first.stop()

	fault(t, alice.number, "failure", map[string]any{"code": 405, "count": 1})
	n := startNode(t, overAddress(server))
	worker := n.listen()
	n.open(alice, 1, long)
	worker.await("connection", 1, stateOf(alice.id, enginepb.Event_State_CONNECTED))
	info, err := n.Info(t.Context(), &enginepb.InfoRequest{})
	if err != nil || info.ProtocolVersion != newer.String() {
		t.Errorf("version %v, %v; want %v", info, err, newer)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}

	// If the newest is refused as well, the account waits for Open.
	if _, err := n.Close(t.Context(), &enginepb.CloseRequest{Account: alice.id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	fault(t, alice.number, "failure", map[string]any{"code": 405, "count": 1})
	n.open(alice, 1, long)
	worker.await("refusal", 1, stateOf(alice.id, enginepb.Event_State_OUTDATED))
	n.open(alice, 1, long)
	worker.await("connection", 2, stateOf(alice.id, enginepb.Event_State_CONNECTED))

	// So it is at the first login after a pairing, and before there are codes.
	number := newNumber()
	fault(t, number, "failure", map[string]any{"code": 405, "count": 1})
	n.pair(number)
	n.stop()
	store.SetWAVersion(before)
	fault(t, "", "failure", map[string]any{"code": 405, "count": 1})
	last := startNode(t, overAddress(server))
	last.pair(newNumber())
	last.stop()
	store.SetWAVersion(before)
}
