// Command sandbox runs a simulator of WhatsApp's side of the protocol, with simulated phones, on loopback.
//
// When it is ready it prints one line of JSON on standard output: the address a client dials, the URL of the page and
// the HTTP interface, and the root key that a client pins. Its log goes to standard error, one JSON object a line.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"chatwren/engine/daemon"
	"chatwren/engine/sandbox"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8002", "host:port that a client dials")
	phones := flag.String("phones-listen", "127.0.0.1:8001", "host:port of the page and the HTTP interface")
	directory := flag.String("state-dir", "", "directory of the durable state; without it nothing survives")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := daemon.Lifeline(stop); err != nil {
		return err
	}
	log, err := daemon.Log()
	if err != nil {
		return err
	}
	server, err := sandbox.Start(ctx, sandbox.Options{
		WhatsAppListen: *listen,
		PhonesListen:   *phones,
		StateDir:       *directory,
		Log:            log,
	})
	if err != nil {
		return err
	}
	defer server.Close()
	if err = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"whatsapp": server.WhatsAppAddress(),
		"phones":   "http://" + server.PhonesAddress(),
		"rootKey":  hex.EncodeToString(server.RootKey()),
	}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
