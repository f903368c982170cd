package bridge

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
)

func TestALineOfTheProtocolsLogNamesWhereItWasWrittenAndNotWhatAStanzaCarries(t *testing.T) {
	var out bytes.Buffer
	log := newProtocolLog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{AddSource: true}))).Sub("Socket")
	log.Warnf("odd: %v", &waBinary.Node{Tag: "message", Attrs: waBinary.Attrs{"id": "3EB0"}, Content: []byte("secret")})
	var event struct {
		Level, Msg, Module string
		Source             slog.Source
	}
	if err := json.Unmarshal(out.Bytes(), &event); err != nil {
		t.Fatal(err)
	}
	if event.Level != "WARN" || event.Module != "Socket" || event.Msg != "odd: <message id=3EB0>" {
		t.Errorf("%+v", event)
	}
	if !strings.HasSuffix(event.Source.File, "log_test.go") {
		t.Errorf("written at %s", event.Source.File)
	}
}
