// Command engine connects WhatsApp accounts and offers them to one worker over a unix socket.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"chatwren/engine/bridge"
	"chatwren/engine/daemon"
)

const usage = `usage:
  chatwren-engine serve --socket PATH --worker ID   offer the engine on a unix socket
  chatwren-engine migrate                           make or update its tables

The environment says what it talks to: DATABASE_URL (required), CHATWREN_WHATSAPP_ADDRESS, CHATWREN_WHATSAPP_ROOT_KEY,
CHATWREN_WHATSAPP_PROXY, CHATWREN_WHATSAPP_CA_FILE; CHATWREN_LOG_LEVEL; CHATWREN_LIFELINE_FD names a descriptor at whose end the process ends.`

// version is set by the build.
var version = "development"

const goodbye = 5 * time.Second // for connections to close when the engine is asked to stop

// garbage is how much memory may wait to be collected, in percent of what is in use. Go's own 100 made an account cost 140 KB
// instead of 127 (bench/engine_scale.py).
const garbage = 75

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chatwren-engine:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		return errors.New("DATABASE_URL is not set")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2) // whoever rotates logs asks for new files, and there are none
	switch arguments[0] {
	case "migrate":
		return bridge.Migrate(ctx, url)
	case "serve":
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(garbage)
		}
		flags := flag.NewFlagSet("serve", flag.ContinueOnError)
		socket := flags.String("socket", "", "path of the unix socket")
		worker := flags.String("worker", "", "id of the worker that owns this engine")
		if err := flags.Parse(arguments[1:]); err != nil {
			return err
		}
		if *socket == "" || *worker == "" {
			return errors.New("serve needs --socket and --worker")
		}
		log, err := daemon.Log()
		if err != nil {
			return err
		}
		return serve(ctx, *socket, bridge.Options{
			DatabaseURL:     url,
			Worker:          *worker,
			Version:         version,
			WhatsAppAddress: os.Getenv("CHATWREN_WHATSAPP_ADDRESS"),
			RootKey:         os.Getenv("CHATWREN_WHATSAPP_ROOT_KEY"),
			Proxy:           os.Getenv("CHATWREN_WHATSAPP_PROXY"),
			CAFile:          os.Getenv("CHATWREN_WHATSAPP_CA_FILE"),
			Log:             log,
		})
	}
	return errors.New(usage)
}

func serve(ctx context.Context, socket string, options bridge.Options) error {
	// Without its parent nobody owns these accounts any more: the process ends at once.
	if err := daemon.Lifeline(func() { os.Exit(0) }); err != nil {
		return err
	}
	listener, err := listen(socket)
	if err != nil {
		return err
	}
	engine, err := bridge.New(ctx, options)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := grpc.NewServer()
	engine.Register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Println(`{"ready": true}`)
	select {
	case err = <-ended:
	case <-ctx.Done():
		time.AfterFunc(goodbye, func() { os.Exit(0) })
		server.Stop()
	}
	engine.Close()
	return err
}

// listen makes a socket that only this user can reach, in place of one that a dead process left.
func listen(path string) (net.Listener, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	found, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if found.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the folder of the socket must be private (0700): %s", folder)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another engine listens on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}
