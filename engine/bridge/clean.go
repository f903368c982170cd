package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// cleanHourly deletes what whatsmeow keeps for late retries and duplicates, for all accounts at once.
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

// clean deletes in batches, so that no lock and no transaction lasts long. Two engines may clean at the same time.
func (d *database) clean(ctx context.Context, now time.Time) error {
	for _, job := range []struct {
		table, column string
		before        time.Time
	}{
		{"whatsmeow_retry_buffer", "timestamp", now.Add(-outgoingKept)},
		{"whatsmeow_event_buffer", "insert_timestamp", now.Add(-incomingKept)},
	} {
		query := fmt.Sprintf(`DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM %[1]s WHERE %[2]s < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))`, job.table, job.column)
		for {
			result, err := d.sql.ExecContext(ctx, query, job.before.UnixMilli(), cleanBatch)
			if err != nil {
				return fmt.Errorf("%s: %w", job.table, err)
			}
			deleted, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("%s: %w", job.table, err)
			}
			if deleted < cleanBatch {
				break
			}
		}
	}
	return nil
}
