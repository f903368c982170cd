package bridge_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/proto/waLidMigrationSyncPayload"
	"go.mau.fi/whatsmeow/types"
	"google.golang.org/protobuf/proto"

	"chatwren/engine/bridge"
	"chatwren/engine/enginepb"
)

// tell has a phone tell its own linked device that numbers have LIDs.
func tell(t *testing.T, phone string, lids map[string]string) {
	t.Helper()
	parse := func(user string) *uint64 {
		value, err := strconv.ParseUint(user, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return &value
	}
	payload := &waLidMigrationSyncPayload.LIDMigrationMappingSyncPayload{}
	for number, lid := range lids {
		payload.PnToLidMappings = append(payload.PnToLidMappings, &waLidMigrationSyncPayload.LIDMigrationMapping{Pn: parse(number), AssignedLid: parse(lid)})
	}
	mappings, err := proto.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	attack(t, phone, newNumber(), encoded(t, &waE2E.Message{ProtocolMessage: &waE2E.ProtocolMessage{
		Type:                           waE2E.ProtocolMessage_LID_MIGRATION_MAPPING_SYNC.Enum(),
		LidMigrationMappingSyncMessage: &waE2E.LIDMigrationMappingSyncMessage{EncodedMappingPayload: mappings},
	}}), nil)
}

func userOf(t *testing.T, jid string) string {
	t.Helper()
	parsed, err := types.ParseJID(jid)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.User
}

// lidOf is the LID of a number, as an account that has written to it knows it.
func lidOf(t *testing.T, number string) (lid string) {
	t.Helper()
	if err := world.admin.QueryRow("SELECT min(lid) FROM whatsmeow.chatwren_lid_map WHERE pn = $1", number).Scan(&lid); err != nil {
		t.Fatal(err)
	}
	return lid
}

// TestALinkedPhoneRedirectsNobodyElse has Mallory's phone, which is linked, say that whoever Alice writes to is Mallory.
func TestALinkedPhoneRedirectsNobodyElse(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	worker := n.listen()
	alice, mallory := n.pair(newNumber()), n.pair(newNumber())
	bob, carol, dave, eve := newNumber(), newNumber(), newNumber(), newNumber()
	n.mustSend(alice, bob, "before")
	n.mustSend(mallory, dave, "what Mallory's account learns of Dave")
	n.mustSend(mallory, eve, "of Eve, who is with Mallory")
	bobLID, daveLID := lidOf(t, bob), lidOf(t, dave)

	tell(t, mallory.number, map[string]string{bob: userOf(t, mallory.lid), carol: lidOf(t, eve), mallory.number: bobLID})
	write(t, mallory.number, newNumber(), "all is told")
	worker.await("the end of what Mallory's phone tells", 1, messageWith(mallory.id, "all is told"))

	for _, friend := range []string{bob, carol} {
		id := newMessageID()
		if response := n.text(alice, address(friend), id, "for you alone"); response.GetSent() == nil {
			t.Fatalf("not sent: %v", response)
		}
		receipt := worker.await("a receipt", 1, func(event *enginepb.Event) bool {
			return event.Account == alice.id && receiptOf(id, enginepb.Event_Receipt_READ)(event)
		}).GetReceipt()
		if receipt.ChatAlt != address(friend) {
			t.Errorf("it comes from %q and %q", receipt.Chat, receipt.ChatAlt)
		}
		write(t, friend, alice.number, "I am "+friend)
		got := worker.await("an answer", 1, messageWith(alice.id, "I am "+friend)).GetMessage()
		if got.ChatPhone != friend || got.SenderPhone != friend {
			t.Errorf("the answer of %s is %s's, by %s", friend, got.ChatPhone, got.SenderPhone)
		}
	}
	for _, phone := range []string{mallory.number, eve} {
		for _, shown := range onPhone(t, phone) {
			if shown.From == alice.number {
				t.Errorf("another phone shows %+v", shown)
			}
		}
	}

	phones(t, http.MethodPost, "/phones/"+dave+"/receipts", map[string]any{"to": alice.number, "ids": []string{"none"}}, nil)
	receipt := worker.await("a stranger's receipt", 1, func(event *enginepb.Event) bool {
		return event.Account == alice.id && receiptOf("none", enginepb.Event_Receipt_DELIVERED)(event)
	}).GetReceipt()
	if userOf(t, receipt.Chat) != daveLID || receipt.ChatAlt != "" {
		t.Errorf("Alice's account knows of Mallory's contact %q: %q", receipt.Chat, receipt.ChatAlt)
	}
	n.mustSend(mallory, dave, "and Mallory's own account goes on")
}

// TestAnOlderReleasesMapIsCarriedOver: each account gets what it writes with, once.
func TestAnOlderReleasesMapIsCarriedOver(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("older_release_%d", os.Getpid())
	if _, err := world.admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = world.admin.Exec("DROP DATABASE " + name + " WITH (FORCE)") }()
	url, err := withDatabase(world.database, name)
	if err != nil {
		t.Fatal(err)
	}
	migrate := func() {
		t.Helper()
		if err := bridge.Migrate(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	migrate()
	db, err := openSQL(url, "whatsmeow")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	device := strings.Repeat("00", 32)
	for _, statement := range []string{
		"DROP TABLE chatwren_lid_map",
		`INSERT INTO whatsmeow_device (jid, registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id,
			signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig)
			SELECT jid, 1, b, b, b, 1, b || b, b, b, b || b, b, b || b
			FROM unnest(ARRAY['1:1@s.whatsapp.net', '2:1@s.whatsapp.net']) AS jid, decode('` + device + `', 'hex') AS b`,
		"INSERT INTO whatsmeow_lid_map (lid, pn) VALUES ('101', '1'), ('102', '2'), ('103', '3'), ('104', '4'), ('105', '5')",
		`INSERT INTO whatsmeow_sessions (our_jid, their_id, session) VALUES
			('1:1@s.whatsapp.net', '103_1:0', ''), ('1:1@s.whatsapp.net', '103_1:7', ''), ('1:1@s.whatsapp.net', '102_1:0', ''),
			('2:1@s.whatsapp.net', '104_1:0', ''), ('2:1@s.whatsapp.net', '5:0', '')`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, further := range []string{"", "INSERT INTO whatsmeow_sessions (our_jid, their_id) VALUES ('1:1@s.whatsapp.net', '104_1:0')"} {
		if _, err := db.Exec(further); err != nil {
			t.Fatal(err)
		}
		migrate()
		var carried string
		if err := db.QueryRow("SELECT string_agg(our_jid || ' ' || lid || ' ' || pn, ', ' ORDER BY our_jid, lid) FROM chatwren_lid_map").Scan(&carried); err != nil {
			t.Fatal(err)
		}
		if want := "1:1@s.whatsapp.net 102 2, 1:1@s.whatsapp.net 103 3, 2:1@s.whatsapp.net 104 4"; carried != want {
			t.Errorf("carried over: %s", carried)
		}
	}
}
