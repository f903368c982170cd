package bridge

import (
	"bytes"
	"os"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// TestDatabaseVariable names the database that the tests of this package share.
const TestDatabaseVariable = "CHATWREN_BRIDGE_TEST_DATABASE"

// 100,000 messages older than a recipient may ask for: sending must not wade through them, and the job takes them away.
func TestOldRowsAreCleanedByAJobAlone(t *testing.T) {
	db, err := openDatabase(t.Context(), os.Getenv(TestDatabaseVariable), "test", waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	const rows = 100_000
	old, fresh := time.Now().Add(-outgoingKept-time.Hour), time.Now()
	jid := types.NewADJID("4915100000001", 0, 1)
	insertDevice(t, db, jid)
	insert := `INSERT INTO whatsmeow_retry_buffer (our_jid, chat_jid, message_id, format, plaintext, timestamp)
		SELECT '4915100000001:1@s.whatsapp.net', 'chat', 'id' || i, 'wa', '', $1 FROM generate_series($2::int, $3::int) AS i`
	for _, part := range []struct {
		at          time.Time
		first, last int
	}{{old, 1, rows}, {fresh, rows + 1, rows + 5}} {
		if _, err := db.sql.Exec(insert, part.at.UnixMilli(), part.first, part.last); err != nil {
			t.Fatal(err)
		}
	}
	for i, at := range []time.Time{time.Now().Add(-incomingKept - time.Hour), fresh} {
		if _, err := db.sql.Exec(`
			INSERT INTO whatsmeow_event_buffer (our_jid, ciphertext_hash, server_timestamp, insert_timestamp) VALUES ($1, $2, 0, $3)`,
			jid.String(), bytes.Repeat([]byte{byte(i)}, 32), at.UnixMilli()); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (outgoing, incoming int) {
		t.Helper()
		if err := db.sql.QueryRow(`
			SELECT (SELECT count(*) FROM whatsmeow_retry_buffer WHERE our_jid = $1), (SELECT count(*) FROM whatsmeow_event_buffer WHERE our_jid = $1)`,
			jid.String()).Scan(&outgoing, &incoming); err != nil {
			t.Fatal(err)
		}
		return outgoing, incoming
	}
	device, err := db.container.GetDevice(t.Context(), jid)
	if err != nil || device == nil {
		t.Fatal(device, err)
	}
	keeper := &keeper{database: db, guard: newGuard(), memory: newMemory(), lease: func() error { return nil }}
	keeper.adopt(device)
	if err := device.EventBuffer.DeleteOldOutgoingEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := device.EventBuffer.DeleteOldBufferedHashes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if outgoing, incoming := count(); outgoing != rows+5 || incoming != 2 {
		t.Fatalf("a message deleted rows: %d and %d are left", outgoing, incoming)
	}
	begun := time.Now()
	if err := db.clean(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows cleaned in %v", rows, time.Since(begun))
	if outgoing, incoming := count(); outgoing != 5 || incoming != 1 {
		t.Errorf("%d and %d rows are left", outgoing, incoming)
	}
}

// Of what others can make, an account keeps so many rows; another account's stay.
func TestTooManyRowsOfAnAccountAreCut(t *testing.T) {
	db, err := openDatabase(t.Context(), os.Getenv(TestDatabaseVariable), "test", waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	large, small := types.NewADJID("4915100000011", 0, 1), types.NewADJID("4915100000012", 0, 1)
	for jid, rows := range map[types.JID]int{large: cleanBatch + 20, small: 5} {
		insertDevice(t, db, jid)
		if _, err := db.sql.Exec(`
			INSERT INTO whatsmeow_contacts (our_jid, their_jid, full_name)
			SELECT $1, i, CASE WHEN i = 1 THEN 'in the address book' END FROM generate_series(1, $2::int) AS i`, jid.String(), rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.cut(t.Context(), "whatsmeow_contacts", "our_jid", "(full_name IS NOT NULL)::int", 10); err != nil {
		t.Fatal(err)
	}
	for jid, want := range map[types.JID]string{large: "1,5012,5013,5014,5015,5016,5017,5018,5019,5020", small: "1,2,3,4,5"} {
		var left string
		if err := db.sql.QueryRow("SELECT string_agg(their_jid, ',' ORDER BY their_jid::int) FROM whatsmeow_contacts WHERE our_jid = $1", jid.String()).Scan(&left); err != nil || left != want {
			t.Errorf("%s are left, %v", left, err)
		}
	}
	for _, bound := range mostRows { // each is one that the database understands
		if err := db.cut(t.Context(), bound.table, bound.account, bound.order, max(bound.most, 1)); err != nil {
			t.Errorf("%s: %v", bound.table, err)
		}
	}
}

// 40,000 rows too many, which take several batches: the last on disk stay.
func TestManyRowsTooManyAreCut(t *testing.T) {
	db, err := openDatabase(t.Context(), os.Getenv(TestDatabaseVariable), "test", waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	jid := types.NewADJID("4915100000021", 0, 1)
	insertDevice(t, db, jid)
	const kept, more = 100, 40_000
	if _, err := db.sql.Exec("INSERT INTO chatwren_lid_map (our_jid, lid, pn) SELECT $1, i, i FROM generate_series(1, $2::int) AS i",
		jid.String(), kept+more); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := db.cut(t.Context(), "chatwren_lid_map", "our_jid", "0", kept); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows cut in %v", more, time.Since(begun))
	var rows, oldest int
	if err := db.sql.QueryRow("SELECT count(*), min(lid::int) FROM chatwren_lid_map WHERE our_jid = $1", jid.String()).Scan(&rows, &oldest); err != nil ||
		rows != kept || oldest != more+1 {
		t.Errorf("%d rows are left from %d, %v", rows, oldest, err)
	}
}
