package bridge_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// gate stands before a server, so that a test can take the server away and give it back.
type gate struct {
	listener net.Listener
	network  string
	target   string

	mu     sync.Mutex
	shut   bool
	silent int // so many connections hear nothing after the handshake
	mute   int // so many hear nothing at all
	conns  map[net.Conn]struct{}
}

func newGate(t *testing.T, listener net.Listener, network, target string) *gate {
	t.Helper()
	g := &gate{listener: listener, network: network, target: target, conns: map[net.Conn]struct{}{}}
	go g.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		g.close()
	})
	return g
}

// gateToSandbox stands before the sandbox's protocol listener.
func gateToSandbox(t *testing.T) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newGate(t, listener, "tcp", world.sandbox.WhatsAppAddress())
}

// gateToDatabase stands before PostgreSQL, and has a URL of its own.
func gateToDatabase(t *testing.T) (*gate, string) {
	t.Helper()
	config, err := pgx.ParseConfig(world.database)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "gate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	listener, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	network, target := pgNetwork(config)
	moved := *config
	moved.Port = 5432
	return newGate(t, listener, network, target), dsn(&moved, folder, config.Database)
}

func (g *gate) address() string { return g.listener.Addr().String() }

func (g *gate) serve() {
	for {
		near, err := g.listener.Accept()
		if err != nil {
			return
		}
		go g.pass(near)
	}
}

func (g *gate) pass(near net.Conn) {
	defer near.Close()
	if !g.hold(near) {
		return
	}
	if g.isMute() { // the server, which would end it, knows nothing of it
		_, _ = io.Copy(io.Discard, near)
		return
	}
	far, err := net.Dial(g.network, g.target)
	if err != nil {
		return
	}
	defer far.Close()
	if !g.hold(far) {
		return
	}
	g.mu.Lock()
	silent := g.silent > 0
	if silent {
		g.silent--
	}
	g.mu.Unlock()
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(far, near)
		done <- struct{}{}
	}()
	go func() {
		into := io.Writer(near)
		if silent {
			part := make([]byte, 64*1024)
			for range 2 { // the upgrade of HTTP and the server's hello: it waits for the client after each
				size, _ := far.Read(part)
				_, _ = near.Write(part[:size])
			}
			into = io.Discard
		}
		_, _ = io.Copy(into, far)
		done <- struct{}{}
	}()
	<-done
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, near)
	delete(g.conns, far)
}

func (g *gate) hold(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.conns[conn] = struct{}{}
	return true
}

// close cuts what is connected, and lets nothing in until open.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for conn := range g.conns {
		_ = conn.Close()
	}
	clear(g.conns)
}

// silenceNext lets the next connections hear the server's part of the handshake and no more.
func (g *gate) silenceNext(connections int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = connections
}

// muteNext lets the next connections hear nothing, for as long as they last.
func (g *gate) muteNext(connections int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mute = connections
}

func (g *gate) isMute() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	mute := g.mute > 0
	if mute {
		g.mute--
	}
	return mute
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

func pgNetwork(config *pgx.ConnConfig) (network, target string) {
	if filepath.IsAbs(config.Host) {
		return "unix", filepath.Join(config.Host, ".s.PGSQL."+fmt.Sprint(config.Port))
	}
	return "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
}
