package bridge_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"google.golang.org/protobuf/proto"
)

// TestAStrangerStoresLittle has one send what whatsmeow would store of every message, as large as it passes.
func TestAStrangerStoresLittle(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, mallory := n.pair(newNumber()), newNumber()
	for i, name := range []any{base64("M\xff\x00\x9b\xed\xa0\x80"), strings.Repeat("n", 240_000)} {
		attack(t, mallory, alice.number, encoded(t, &waE2E.Message{
			Conversation: proto.String("hi"), MessageContextInfo: &waE2E.MessageContextInfo{MessageSecret: make([]byte, 4_000_000)},
		}), map[string]any{"pushName": name})
		worker.await("the message", i+1, messageWith(alice.id, "hi"))
		want := []string{"M\uFFFD\uFFFD\uFFFD", strings.Repeat("n", 256)}[i]
		eventually(t, "the name is stored", func() bool { return slices.Contains(pushNames(t, alice.jid), want) })
	}
	var secrets int
	if err := world.admin.QueryRow("SELECT count(*) FROM whatsmeow.whatsmeow_message_secrets").Scan(&secrets); err != nil || secrets > 0 {
		t.Errorf("%d secrets are stored, %v", secrets, err)
	}
	for _, name := range pushNames(t, alice.jid) {
		if len(name) > 256 || !utf8.ValidString(name) {
			t.Errorf("a name of %d bytes is stored", len(name))
		}
	}
	if strings.Contains(n.logs.String(), "Failed to save push name") {
		t.Error("the database has refused a name")
	}
}

// What is no message, whatever its size, leaves no bytes in whatsmeow's buffer: it is put aside, once.
func TestWhatIsNoMessageIsPutAside(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, mallory := n.pair(newNumber()), newNumber()
	for i, garbage := range [][]byte{{0xff}, bytes.Repeat([]byte{0xff}, 3_000_000)} {
		attack(t, mallory, alice.number, garbage, nil)
		aside := worker.await("what is no message", i+1, unreadableOf(alice.id, "message")).GetUnreadable()
		if !bytes.HasPrefix(aside.Raw, garbage[:min(len(garbage), 1<<20)]) {
			t.Errorf("%d bytes are put aside", len(aside.Raw))
		}
	}
	attack(t, mallory, alice.number, encoded(t, &waE2E.Message{Conversation: proto.String("hi")}), nil)
	worker.await("the message after it", 1, messageWith(alice.id, "hi"))
	eventually(t, "no plaintext is kept", func() bool {
		var kept int
		err := world.admin.QueryRow(
			"SELECT count(plaintext) FROM whatsmeow.whatsmeow_event_buffer WHERE our_jid = $1", alice.jid).Scan(&kept)
		return err == nil && kept == 0
	})
	if again := worker.all(unreadableOf(alice.id, "message")); len(again) != 2 {
		t.Errorf("it was put aside %d times", len(again))
	}
}

func pushNames(t *testing.T, jid string) (names []string) {
	t.Helper()
	rows, err := world.admin.Query("SELECT push_name FROM whatsmeow.whatsmeow_contacts WHERE our_jid = $1 AND push_name IS NOT NULL", jid)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// A table that whatsmeow brings needs a bound before it is used.
func TestTheDocsNameABoundForEveryTable(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(docs), "\n## What whatsmeow keeps\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var named []string
	for _, line := range regexp.MustCompile("(?m)^\\| `.*").FindAllString(section, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			if !strings.HasPrefix(name[1], "chatwren_") {
				name[1] = "whatsmeow_" + name[1]
			}
			named = append(named, name[1])
		}
	}
	slices.Sort(named)
	rows, err := world.admin.Query("SELECT tablename FROM pg_tables WHERE schemaname = 'whatsmeow' ORDER BY tablename")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if !slices.Equal(named, tables) {
		t.Errorf("the docs name %v, and there are %v", named, tables)
	}
}
