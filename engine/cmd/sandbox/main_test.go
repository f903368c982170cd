package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"chatwren/engine/sandbox"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// asCommand makes the test's binary behave as the command.
const asCommand = "SANDBOX_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

type ready struct{ WhatsApp, Phones, RootKey string }

// start runs the command and reads its first line. The function returned waits for its end.
func start(t *testing.T, files []*os.File, environment string, arguments ...string) (*exec.Cmd, ready, func() error) {
	t.Helper()
	command := exec.Command(os.Args[0], append([]string{"--listen", "127.0.0.1:0", "--phones-listen", "127.0.0.1:0"}, arguments...)...)
	command.Env = append(os.Environ(), asCommand+"=1", environment)
	command.ExtraFiles = files
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = command.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(output)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var first ready
	if err = json.Unmarshal(line, &first); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		rest, _ := io.ReadAll(reader)
		err := command.Wait()
		if len(rest) > 0 {
			err = errors.Join(err, errors.New("more than one line on standard output"))
		}
		ended <- err
	}()
	t.Cleanup(func() { _ = command.Process.Kill() })
	return command, first, func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("it does not end")
		}
	}
}

func TestItEndsOnASignal(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		command, _, wait := start(t, nil, "")
		if err := command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := wait(); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
	}
}

func TestItEndsWhenItsParentIsGone(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _, wait := start(t, []*os.File{reader}, "CHATWREN_LIFELINE_FD"+"=3")
	if err = writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err = wait(); err != nil {
		t.Error(err)
	}
}

func TestAPortInUseIsOneClearLine(t *testing.T) {
	_, first, _ := start(t, nil, "")
	command := exec.Command(os.Args[0], "--listen", first.WhatsApp, "--phones-listen", "127.0.0.1:0")
	command.Env = append(os.Environ(), asCommand+"=1")
	var complaint bytes.Buffer
	command.Stderr = &complaint
	err := command.Run()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Errorf("it ends with %v", err)
	}
	if text := complaint.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "in use") {
		t.Errorf("it says %q", text)
	}
}

func TestTheStateSurvivesKill(t *testing.T) {
	directory := t.TempDir()
	command, first, wait := start(t, nil, "", "--state-dir", directory)
	if err := (sandbox.PhonesClient{URL: first.Phones}).Do(t.Context(), "PATCH", "/phones/4915770000001", map[string]any{"receipts": "none"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = wait()
	_, second, _ := start(t, nil, "", "--state-dir", directory)
	if second.RootKey != first.RootKey {
		t.Error("the root key has changed")
	}
	var phones []struct{ Number, Receipts string }
	if err := (sandbox.PhonesClient{URL: second.Phones}).Do(t.Context(), "GET", "/phones", nil, &phones); err != nil {
		t.Fatal(err)
	}
	if len(phones) != 1 || phones[0].Receipts != "none" {
		t.Errorf("the phones are %+v", phones)
	}
}
