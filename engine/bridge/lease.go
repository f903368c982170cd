package bridge

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	leaseCheck = 100 * time.Millisecond
	pairLease  = 10 * time.Second // from the end of a pairing until the worker renews
)

// lease is the right to act for an account until a deadline.
type lease struct {
	epoch    int64
	deadline time.Duration // on leaseClock
}

func newLease(epoch int64, validFor time.Duration) lease {
	return lease{epoch: epoch, deadline: leaseNow() + validFor}
}

func (l lease) expired() bool { return leaseNow() >= l.deadline }

// leaseNow reads the clock that leases are measured by.
func leaseNow() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(leaseClock, &now); err != nil {
		panic(fmt.Sprintf("clock %d: %v", leaseClock, err)) // the kernel always has it
	}
	return time.Duration(now.Nano())
}

// watch fences each account whose lease has run out, and revives those that whatsmeow has given up.
func (e *Engine) watch() {
	ticker := time.NewTicker(leaseCheck)
	defer ticker.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-ticker.C:
		}
		for _, a := range e.openAccounts() {
			switch {
			case a.leaseExpired():
				e.fence(a)
			case a.overdue():
				a.log.Warn("no login: connecting anew")
				a.connect()
			}
		}
	}
}
