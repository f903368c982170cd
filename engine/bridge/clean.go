package bridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// cleanHourly deletes what whatsmeow keeps too long or too much of, for all accounts at once.
func (e *Engine) cleanHourly() {
	pause := rand.N(cleanSpread) // engines that start together do not clean together
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := e.database.clean(e.ctx, time.Now()); err != nil && e.ctx.Err() == nil {
			e.log.Warn("old rows could not be deleted", "error", err.Error())
		}
		pause = time.Hour
	}
}

const (
	outgoingKept = 7 * 24 * time.Hour  // how long a recipient may ask for a message again
	incomingKept = 14 * 24 * time.Hour // how long WhatsApp keeps what is not acknowledged
	cleanBatch   = 5000
	cleanSpread  = 10 * time.Minute
)

// mostRows bounds the rows of one account that others can make, those kept that have most in `order`, a number, and of these
// the last on disk, which are mostly the newest. What is lost is asked of WhatsApp again: a name, a session, an identity, an
// address.
var mostRows = []struct {
	table, account, order string
	most                  int
}{
	{"whatsmeow_message_secrets", "our_jid", "0", 0}, // an older release's
	{"whatsmeow_contacts", "our_jid", "(full_name IS NOT NULL)::int", 100_000},
	{"whatsmeow_chat_settings", "our_jid", "0", 100_000},
	{"whatsmeow_privacy_tokens", "our_jid", "timestamp", 100_000},
	{"whatsmeow_sessions", "our_jid", "0", 200_000},
	{"whatsmeow_identity_keys", "our_jid", "0", 200_000},
	{"whatsmeow_sender_keys", "our_jid", "0", 200_000},
	{"whatsmeow_pre_keys", "jid", "key_id", 20_000}, // whoever asks WhatsApp for one need not use it
	{"whatsmeow_app_state_sync_keys", "jid", "timestamp", 1000},
	{"whatsmeow_event_buffer", "our_jid", "insert_timestamp", 1_000_000},
	{"chatwren_lid_map", "our_jid", "0", keptLIDRows},
}

// clean deletes in batches, so that no lock and no transaction lasts long. Two engines may clean at the same time.
func (d *database) clean(ctx context.Context, now time.Time) error {
	for _, job := range []struct {
		table, column string
		before        time.Time
	}{
		{"whatsmeow_retry_buffer", "timestamp", now.Add(-outgoingKept)},
		{"whatsmeow_event_buffer", "insert_timestamp", now.Add(-incomingKept)},
	} {
		if err := d.inBatches(ctx, job.table, job.column+" < $1", job.before.UnixMilli()); err != nil {
			return fmt.Errorf("%s: %w", job.table, err)
		}
	}
	for _, bound := range mostRows {
		if err := d.cut(ctx, bound.table, bound.account, bound.order, bound.most); err != nil {
			return fmt.Errorf("%s: %w", bound.table, err)
		}
	}
	return nil
}

// cut deletes what accounts have more than `most` rows of.
func (d *database) cut(ctx context.Context, table, account, order string, most int) error {
	rows, err := d.sql.QueryContext(ctx, fmt.Sprintf("SELECT %[2]s FROM %[1]s GROUP BY %[2]s HAVING count(*) > $1", table, account), most)
	if err != nil {
		return err
	}
	defer rows.Close()
	var large []string
	for rows.Next() {
		var jid string
		if err := rows.Scan(&jid); err != nil {
			return err
		}
		large = append(large, jid)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, jid := range large {
		if err := d.cutOne(ctx, table, account, order, jid, most); err != nil {
			return err
		}
	}
	return nil
}

// cutOne looks once for the first row that goes, and all go that come after it.
func (d *database) cutOne(ctx context.Context, table, account, order, jid string, most int) error {
	var rank int64
	var place string
	err := d.sql.QueryRowContext(ctx, fmt.Sprintf("SELECT %[3]s, ctid FROM %[1]s WHERE %[2]s = $1 ORDER BY %[3]s DESC, ctid DESC OFFSET $2 LIMIT 1",
		table, account, ranked(order)), jid, most).Scan(&rank, &place)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	return d.inBatches(ctx, table, fmt.Sprintf("%s = $1 AND (%s, ctid) <= ($2, $3::tid)", account, ranked(order)), jid, rank, place)
}

func ranked(order string) string { return "(" + order + ")::bigint" }

// inBatches deletes the rows of which a condition is true, until there are few.
func (d *database) inBatches(ctx context.Context, table, condition string, arguments ...any) error {
	query := fmt.Sprintf("DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %[1]s WHERE %[2]s LIMIT %[3]d FOR UPDATE SKIP LOCKED))",
		table, condition, cleanBatch)
	for {
		result, err := d.sql.ExecContext(ctx, query, arguments...)
		if err != nil {
			return err
		}
		deleted, err := result.RowsAffected()
		if err != nil || deleted < cleanBatch {
			return err
		}
	}
}

// plaintexts are the inbound messages that the worker has stored, whose text can go from the buffer. They are cleared for
// all accounts at once. Should the engine die before, the job that cleans takes them, and one that WhatsApp delivers
// again goes to the worker again.
type plaintexts struct {
	mu     sync.Mutex
	stored map[bufferedKey]struct{}
}

type bufferedKey struct {
	jid  string
	hash [32]byte
}

const clearPause = time.Second

func (p *plaintexts) add(jid string, hash [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored[bufferedKey{jid, hash}] = struct{}{}
}

// done says whether a message is stored by the worker, though its text is there still.
func (p *plaintexts) done(jid string, hash [32]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, done := p.stored[bufferedKey{jid, hash}]
	return done
}

func (p *plaintexts) take() (jids []string, hashes [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.stored {
		jids, hashes = append(jids, key.jid), append(hashes, key.hash[:])
	}
	return jids, hashes
}

func (p *plaintexts) cleared(jids []string, hashes [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range jids {
		delete(p.stored, bufferedKey{jids[i], [32]byte(hashes[i])})
	}
}

// clearPlaintexts runs until the engine stops. What is left then, Close clears.
func (e *Engine) clearPlaintexts() {
	ticker := time.NewTicker(clearPause)
	defer ticker.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-ticker.C:
		}
		if err := e.database.clearPlaintexts(e.ctx); err != nil && e.ctx.Err() == nil {
			e.log.Warn("stored messages are not cleared yet", "error", err.Error())
		}
	}
}

func (d *database) clearPlaintexts(ctx context.Context) error {
	jids, hashes := d.plaintexts.take()
	if len(jids) == 0 {
		return nil
	}
	_, err := d.sql.ExecContext(ctx, `
		UPDATE whatsmeow_event_buffer AS b SET plaintext = NULL
		FROM unnest($1::text[], $2::bytea[]) AS stored (jid, hash)
		WHERE b.our_jid = stored.jid AND b.ciphertext_hash = stored.hash`, jids, hashes)
	if err == nil {
		d.plaintexts.cleared(jids, hashes)
	}
	return err
}
