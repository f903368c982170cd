package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// What accounts write while others are written goes in one transaction: of small writes it is the commit that costs.
const (
	mostWriting = 2  // transactions at a time: one that hangs does not hold up all
	mostJoined  = 64 // accounts in one of them
)

// writes are the transactions under way, and what waits for the end of one.
type writes struct {
	mu      sync.Mutex
	running int
	waiting []*joining
}

// joining is what one account writes together with others.
type joining struct {
	ctx   context.Context
	batch *pgx.Batch
	over  chan bool // whether it was committed; has room for the one answer
}

// write writes a batch and waits until it is committed. One that has ended with an error may have been committed.
func (d *database) write(ctx context.Context, batch *pgx.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	waiting := d.writes.begin(ctx, batch)
	if waiting == nil {
		defer d.writeWaiting()
		return d.transact(ctx, batch)
	}
	select {
	case <-ctx.Done():
		d.writes.leave(waiting)
		return ctx.Err()
	case committed := <-waiting.over:
		if committed {
			return nil
		}
	}
	return d.transact(ctx, batch) // by itself, as the fault may be another's
}

// writeWaiting begins to write what waits, in the place of a transaction that has ended.
func (d *database) writeWaiting() {
	next := d.writes.next()
	if next == nil {
		return
	}
	go func() {
		for ; next != nil; next = d.writes.next() {
			committed := d.join(next) == nil
			for _, one := range next {
				one.over <- committed
			}
		}
	}()
}

// join writes batches as one transaction. It fails when one of those who wait for it has given up: whoever else does goes
// on by itself.
func (d *database) join(batches []*joining) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := &pgx.Batch{}
	for _, one := range batches {
		defer context.AfterFunc(one.ctx, cancel)()
		for _, query := range one.batch.QueuedQueries { // as new ones: each remembers the connection that has prepared it
			all.Queue(query.SQL, query.Arguments...)
		}
	}
	return d.transact(ctx, all)
}

// transact sends a batch as one transaction and waits until it is committed.
func (d *database) transact(ctx context.Context, batch *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		return driver.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close()
	})
}

// begin takes the place of a transaction; where there is none, it is told what to wait for.
func (w *writes) begin(ctx context.Context, batch *pgx.Batch) *joining {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running < mostWriting {
		w.running++
		return nil
	}
	waiting := &joining{ctx, batch, make(chan bool, 1)}
	w.waiting = append(w.waiting, waiting)
	return waiting
}

// next takes what waits. Nothing: the place is free.
func (w *writes) next() []*joining {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.running--
		return nil
	}
	most := min(len(w.waiting), mostJoined)
	next := slices.Clone(w.waiting[:most])
	w.waiting = slices.Delete(w.waiting, 0, most)
	return next
}

func (w *writes) leave(waiting *joining) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(other *joining) bool { return other == waiting })
}
