package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// What accounts write while others are written is one transaction. What cannot be written, and what was given up, costs
// the others nothing.
func TestAccountsWriteTogether(t *testing.T) {
	db, err := openDatabase(t.Context(), os.Getenv(TestDatabaseVariable), "test", waLog.Noop)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	number := 4915100000100
	device := func() string {
		number++
		jid := types.NewADJID(fmt.Sprint(number), 0, 1)
		insertDevice(t, db, jid)
		return jid.String()
	}
	write := func(ctx context.Context, jid string) <-chan error {
		batch, failed := &pgx.Batch{}, make(chan error, 1)
		batch.Queue(upsertOutgoing, jid, "chat", "id", "wa", []byte("text"), time.Now().UnixMilli())
		go func() { failed <- db.write(ctx, batch) }()
		return failed
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			db.writes.mu.Lock()
			held := holds()
			db.writes.mu.Unlock()
			if held {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("not in time: ", what)
			}
		}
	}
	for _, faulty := range []bool{false, true} {
		held := []string{device(), device()}
		lock, err := db.sql.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = lock.Rollback() }()
		if _, err := lock.Exec("SELECT FROM whatsmeow_device WHERE jid = ANY ($1) FOR UPDATE", held); err != nil {
			t.Fatal(err)
		}
		under := []<-chan error{write(t.Context(), held[0]), write(t.Context(), held[1])}
		until("both places are taken", func() bool { return db.writes.running == mostWriting })
		together := []string{device(), device(), device()}
		for _, jid := range together {
			under = append(under, write(t.Context(), jid))
		}
		ctx, cancel := context.WithCancel(t.Context())
		givenUp := device()
		gone := write(ctx, givenUp)
		until("all wait", func() bool { return len(db.writes.waiting) == len(together)+1 })
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		var unknown <-chan error
		if faulty {
			unknown = write(t.Context(), "1:1@s.whatsapp.net") // which is no device here
			until("it waits", func() bool { return len(db.writes.waiting) == len(together)+1 })
		}
		if err := lock.Commit(); err != nil {
			t.Fatal(err)
		}
		for _, failed := range under {
			if err := <-failed; err != nil {
				t.Errorf("not written: %v", err)
			}
		}
		if faulty && <-unknown == nil {
			t.Error("a message of no account is written")
		}
		var rows, transactions, left int
		if err := db.sql.QueryRow(`
			SELECT count(*), count(DISTINCT xmin::text), (SELECT count(*) FROM whatsmeow_retry_buffer WHERE our_jid = $2)
			FROM whatsmeow_retry_buffer WHERE our_jid = ANY ($1)`, together, givenUp).Scan(&rows, &transactions, &left); err != nil {
			t.Fatal(err)
		}
		if rows != len(together) || left != 0 || !faulty && transactions != 1 {
			t.Errorf("%d rows in %d transactions, and %d of what was given up", rows, transactions, left)
		}
		until("all places are free", func() bool { return db.writes.running == 0 && len(db.writes.waiting) == 0 })
	}
}
