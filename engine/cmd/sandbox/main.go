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
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"chatwren/engine/sandbox"
)

// lifelineVariable names a file descriptor whose end of file says that the parent is gone.
const lifelineVariable = "CHATWREN_LIFELINE_FD"

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
	if err := holdLifeline(stop); err != nil {
		return err
	}
	server, err := sandbox.Start(ctx, sandbox.Options{
		WhatsAppListen: *listen,
		PhonesListen:   *phones,
		StateDir:       *directory,
		Log:            slog.New(slog.NewJSONHandler(os.Stderr, nil)),
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

// holdLifeline stops the program when the inherited descriptor, if one is named, reaches its end.
func holdLifeline(stop func()) error {
	text := os.Getenv(lifelineVariable)
	if text == "" {
		return nil
	}
	descriptor, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("%s is %q, not the number of a file descriptor", lifelineVariable, text)
	}
	lifeline := os.NewFile(uintptr(descriptor), "lifeline")
	if _, err = lifeline.Stat(); err != nil {
		return fmt.Errorf("%s names a descriptor that is not open", lifelineVariable)
	}
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		stop()
	}()
	return nil
}
