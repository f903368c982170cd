package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestALineThatWasCutShortIsIgnored(t *testing.T) {
	directory := t.TempDir()
	s := startSandbox(t, directory)
	if err := s.phone(alice).change(func(p *phoneSettings) { p.Name = "Alice" }); err != nil {
		t.Fatal(err)
	}
	if err := s.phone(bob).change(func(p *phoneSettings) { p.Name = "Bob" }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	path := filepath.Join(directory, journalFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(path, content[:len(content)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	s = startSandbox(t, directory)
	if name := s.settingsOf(alice).Name; name != "Alice" {
		t.Errorf("Alice is %q", name)
	}
	if name := s.settingsOf(bob).Name; name == "Bob" {
		t.Error("half a line was read")
	}
}

func TestAJournalThatIsBrokenInTheMiddleIsRefused(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, journalFile), []byte("{\"phone\":\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(t.Context(), Options{WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0", StateDir: directory}); err == nil {
		s.Close()
		t.Error("it starts")
	}
}

func TestADirectoryIsHeldByOneSandbox(t *testing.T) {
	directory := t.TempDir()
	startSandbox(t, directory)
	second, err := Start(t.Context(), Options{WhatsAppListen: "127.0.0.1:0", PhonesListen: "127.0.0.1:0", StateDir: directory})
	if err == nil {
		second.Close()
		t.Error("a second sandbox takes it")
	}
}

func TestTheJournalIsWrittenAnewWhenItHasGrown(t *testing.T) {
	directory := t.TempDir()
	s := startSandbox(t, directory)
	name := make([]byte, 1<<20)
	for i := range name {
		name[i] = 'x'
	}
	for range 40 {
		if err := s.phone(alice).change(func(p *phoneSettings) { p.Name = string(name) }); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(directory, journalFile))
	if err != nil || info.Size() > journalSlack+8<<20 {
		t.Errorf("it has %d bytes, %v", info.Size(), err)
	}
	s.Close()
	if again := startSandbox(t, directory); again.settingsOf(alice).Name != string(name) {
		t.Error("the name is lost")
	}
}

func TestPhonesThatAreIdleAreDroppedAndKeepTheirKeys(t *testing.T) {
	s := startSandbox(t, t.TempDir())
	before := s.phone(alice).device.IdentityKey.Pub
	for i := range 19 {
		s.phone(fmt.Sprintf("4930%07d", i))
	}
	s.mu.Lock()
	s.dropIdlePhones()
	left, kept := len(s.phones), s.phones[alice] != nil
	s.mu.Unlock()
	if left != 18 || kept {
		t.Errorf("%d are left, Alice's among them: %t", left, kept)
	}
	if after := s.phone(alice).device.IdentityKey.Pub; *after != *before {
		t.Error("the identity has changed")
	}
}
